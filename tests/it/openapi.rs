//! The document `openapi.yaml` as tests use it: the list of operations, and whether a real answer is
//! one that the document describes.
//!
//! ```ignore
//! let contract = Contract::load();
//! contract.check_response("POST", "/v1/session/create", 200, &body).unwrap();
//! ```

use std::fmt;

use serde_json::{Map, Value, json};

#[cfg(test)]
mod tests;

const DOCUMENT: &str = include_str!("../../openapi.yaml");
const METHODS: [&str; 3] = ["get", "post", "options"];
const JSON: &str = "application/json";
const JSON_LINES: &str = "application/jsonl";
const FORM: &str = "application/x-www-form-urlencoded";

/// `openapi.yaml`, read.
#[derive(Debug)]
pub(crate) struct Contract {
    document: Value,
    operations: Vec<Operation>,
}

/// Who may call an operation (`x-hallpass-access`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Access {
    /// Everybody; no credential is asked for.
    Public,
    /// Whoever holds a live credential; its routes are not asked.
    Holder,
    /// A credential whose routes allow the path.
    Key,
}

/// A kind of credential (`x-hallpass-credentials`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Credential {
    /// An API key.
    Key,
    /// A session token.
    Session,
}

/// One operation: what the router must serve, and what its callers must be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Operation {
    /// `operationId`.
    pub(crate) id: String,
    /// In upper case.
    pub(crate) method: String,
    /// The path with its placeholders, such as `/v1/token/{tokenId}/fetch`. Served under `/api`, and
    /// below `/v1/partner/user` instead of `/v1/user`, as well.
    pub(crate) path: String,
    /// Who may call it.
    pub(crate) access: Access,
    /// With what the right caller comes; empty for a public operation.
    pub(crate) credentials: Vec<Credential>,
    /// What the key must manage.
    pub(crate) manage: Option<String>,
    /// Whether it takes an operator key.
    pub(crate) operator: bool,
    /// Whether it takes an `Idempotency-Key`.
    pub(crate) idempotent: bool,
    /// The documented statuses, in ascending order.
    pub(crate) statuses: Vec<u16>,
    /// A body that is right in form, when it takes one.
    pub(crate) request_example: Option<Value>,
}

/// What a request or an answer does that the document does not say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Violation {
    /// No operation has this method and path.
    NoOperation { method: String, path: String },
    /// The operation has no such status.
    NoStatus { operation: String, status: u16 },
    /// The operation does not take or give JSON there.
    NoBody { operation: String },
    /// The body is another one than the schema says. Each problem begins with its place.
    Body {
        operation: String,
        problems: Vec<String>,
    },
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoOperation { method, path } => write!(f, "{method} {path} is not documented"),
            Self::NoStatus { operation, status } => {
                write!(f, "{operation} does not document the status {status}")
            }
            Self::NoBody { operation } => write!(f, "{operation} documents no such body"),
            Self::Body {
                operation,
                problems,
            } => {
                write!(f, "{operation}: {}", problems.join("; "))
            }
        }
    }
}

/// The document, parsed.
pub(crate) fn document() -> Value {
    serde_norway::from_str(DOCUMENT).expect("openapi.yaml is YAML")
}

impl Contract {
    /// Reads the document that was compiled in.
    pub(crate) fn load() -> Self {
        Self::new(document())
    }

    fn new(document: Value) -> Self {
        let operations = read_operations(&document);
        Self {
            document,
            operations,
        }
    }

    /// Every operation, in the order of the document.
    pub(crate) fn operations(&self) -> &[Operation] {
        &self.operations
    }

    /// The operation that serves a request, whichever of its equal paths was called.
    pub(crate) fn find(&self, method: &str, path: &str) -> Option<&Operation> {
        let path = canonical(path);
        // The gate takes every method, and the document names the one that gateways use.
        let method = if is_gateway(&path) { "GET" } else { method };
        self.operations
            .iter()
            .filter(|operation| operation.method == method && fits(&operation.path, &path))
            .min_by_key(|operation| operation.path.matches('{').count())
    }

    /// Whether an answer is documented. `Null` stands for an empty body, and a string for a body
    /// that is not JSON.
    pub(crate) fn check_response(
        &self,
        method: &str,
        path: &str,
        status: u16,
        body: &Value,
    ) -> Result<(), Violation> {
        let operation = self.expect_operation(method, path)?;
        let response = self.response(operation, status)?;
        let content = response.get("content").and_then(Value::as_object);
        let schema = content.and_then(|content| {
            content
                .get(JSON)
                .or_else(|| content.values().next())?
                .get("schema")
        });
        match schema {
            Some(schema) => self.check_body(operation, schema, body),
            None if body.is_null() => Ok(()),
            None => Err(Violation::NoBody {
                operation: operation.id.clone(),
            }),
        }
    }

    /// Whether one line of a list that was asked for as `application/jsonl` is documented.
    pub(crate) fn check_line(&self, path: &str, line: &Value) -> Result<(), Violation> {
        let operation = self.expect_operation("GET", path)?;
        let response = self.response(operation, 200)?;
        match response
            .get("content")
            .and_then(|content| content.get(JSON_LINES)?.get("schema"))
        {
            Some(schema) => self.check_body(operation, schema, line),
            None => Err(Violation::NoBody {
                operation: operation.id.clone(),
            }),
        }
    }

    /// Whether the body of a request is documented.
    pub(crate) fn check_request(
        &self,
        method: &str,
        path: &str,
        body: &Value,
    ) -> Result<(), Violation> {
        let operation = self.expect_operation(method, path)?;
        let described = request_content(self.described(operation));
        match described.and_then(|content| content.get("schema")) {
            Some(schema) => self.check_body(operation, schema, body),
            None => Err(Violation::NoBody {
                operation: operation.id.clone(),
            }),
        }
    }

    fn expect_operation(&self, method: &str, path: &str) -> Result<&Operation, Violation> {
        self.find(method, path)
            .ok_or_else(|| Violation::NoOperation {
                method: method.to_owned(),
                path: path.to_owned(),
            })
    }

    fn described(&self, operation: &Operation) -> &Value {
        &self.document["paths"][&operation.path][operation.method.to_lowercase()]
    }

    fn response(&self, operation: &Operation, status: u16) -> Result<&Value, Violation> {
        let response = self.described(operation)["responses"]
            .get(status.to_string())
            .ok_or_else(|| Violation::NoStatus {
                operation: operation.id.clone(),
                status,
            })?;
        Ok(self.resolve(response))
    }

    /// Follows one `$ref` into this document.
    fn resolve<'a>(&'a self, value: &'a Value) -> &'a Value {
        match value.get("$ref").and_then(Value::as_str) {
            Some(reference) => reference
                .strip_prefix('#')
                .and_then(|pointer| self.document.pointer(pointer))
                .unwrap_or_else(|| panic!("{reference} leads nowhere")),
            None => value,
        }
    }

    fn check_body(
        &self,
        operation: &Operation,
        schema: &Value,
        body: &Value,
    ) -> Result<(), Violation> {
        let problems = self.problems(schema, body);
        if problems.is_empty() {
            Ok(())
        } else {
            Err(Violation::Body {
                operation: operation.id.clone(),
                problems,
            })
        }
    }

    /// What a value does that a schema of this document does not allow.
    fn problems(&self, schema: &Value, value: &Value) -> Vec<String> {
        // The references of the schema begin at the root of the document, so it gets one.
        let root = json!({ "allOf": [schema], "components": self.document["components"] });
        let validator = jsonschema::draft202012::new(&root).expect("schemas are well formed");
        validator
            .iter_errors(value)
            .map(|error| format!("`{}` {error}", error.instance_path()))
            .collect()
    }
}

/// The one path of several equal ones that the document names.
fn canonical(path: &str) -> String {
    let path = path.split('?').next().unwrap_or(path);
    let path = path.strip_suffix('/').unwrap_or(path);
    let path = match path.strip_prefix("/api") {
        Some(rest) if rest.starts_with("/v1/") => rest,
        Some(_) | None => path,
    };
    match path.strip_prefix("/v1/partner/user/") {
        Some(rest) => format!("/v1/user/{rest}"),
        None => path.to_owned(),
    }
}

/// Whether a gateway asks there, rather than a client.
fn is_gateway(path: &str) -> bool {
    ["nginx", "forwarded", "envoy"].iter().any(|name| {
        let rest = path.strip_prefix("/v1/authorize/");
        let rest = rest.and_then(|rest| rest.strip_prefix(name));
        rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    })
}

fn fits(template: &str, path: &str) -> bool {
    // Any target at all stands behind Envoy's prefix, and none, too.
    if let Some(prefix) = template.strip_suffix("envoy/{path}") {
        return path
            .strip_prefix(prefix)
            .is_some_and(|rest| rest == "envoy" || rest.starts_with("envoy/"));
    }
    let mut segments = path.split('/');
    template.split('/').all(|wanted| match segments.next() {
        Some(segment) => wanted == segment || (wanted.starts_with('{') && !segment.is_empty()),
        None => false,
    }) && segments.next().is_none()
}

fn request_content(described: &Value) -> Option<&Value> {
    let content = described.get("requestBody")?.get("content")?;
    content.get(JSON).or_else(|| content.get(FORM))
}

fn read_operations(document: &Value) -> Vec<Operation> {
    let paths = document["paths"].as_object().expect("there are paths");
    let mut operations = Vec::new();
    for (path, item) in paths {
        for (method, described) in item.as_object().expect("a path is an object") {
            assert!(METHODS.contains(&method.as_str()), "{method} {path}");
            operations.push(read_operation(path, method, described));
        }
    }
    operations
}

fn read_operation(path: &str, method: &str, described: &Value) -> Operation {
    let field = |name: &str| {
        described
            .get(name)
            .unwrap_or_else(|| panic!("{method} {path} does not say {name}"))
    };
    let credentials = field("x-hallpass-credentials")
        .as_array()
        .into_iter()
        .flatten();
    let parameters = described
        .get("parameters")
        .and_then(Value::as_array)
        .into_iter()
        .flatten();
    let mut statuses: Vec<u16> = field("responses")
        .as_object()
        .into_iter()
        .flat_map(Map::keys)
        .map(|status| status.parse().expect("a status is a number"))
        .collect();
    statuses.sort_unstable();
    Operation {
        id: field("operationId")
            .as_str()
            .expect("an operationId is a text")
            .to_owned(),
        method: method.to_uppercase(),
        path: path.to_owned(),
        access: match field("x-hallpass-access").as_str() {
            Some("public") => Access::Public,
            Some("holder") => Access::Holder,
            Some("key") => Access::Key,
            other => panic!("{method} {path}: {other:?} is no access"),
        },
        credentials: credentials
            .map(|credential| match credential.as_str() {
                Some("key") => Credential::Key,
                Some("session") => Credential::Session,
                other => panic!("{method} {path}: {other:?} is no credential"),
            })
            .collect(),
        manage: field("x-hallpass-manage").as_str().map(str::to_owned),
        operator: described.get("x-hallpass-operator") == Some(&Value::Bool(true)),
        idempotent: parameters
            .filter_map(|parameter| parameter["$ref"].as_str())
            .any(|reference| reference.ends_with("/IdempotencyKey")),
        statuses,
        request_example: request_content(described)
            .map(|content| content.get("example").cloned().unwrap_or_else(|| json!({}))),
    }
}
