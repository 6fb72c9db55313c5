//! `POST /v1/authorize`: the same question as JSON, for APIs that ask by themselves, one or many at
//! once. `POST /v1/authorize/explain`: a holder asks about its own credential.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;

use axum::http::header::AUTHORIZATION;
use axum::http::{HeaderMap, HeaderName, HeaderValue};
use axum::response::Response;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::GateProblem;
use super::answer::rate;
use super::read::{self, Asked};
use crate::app::App;
use crate::app::error::{Error, Forbidden};
use crate::app::gate::{Allowed, Explained};
use crate::domain::gate::Remedy;
use crate::domain::id::{AccountId, KeyId, RequestId, SessionId};
use crate::http::endpoint::{Call, ok};
use crate::http::headers::HeaderError;
use crate::http::problem::{Problem, secs_up};

/// Requests that one call may ask about.
const REQUESTS_MAX: usize = 100;

/// One request that is asked about, or several.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Body {
    requests: Option<Vec<Question>>,
    credential: Option<String>,
    method: Option<String>,
    path: Option<String>,
    headers: Option<BTreeMap<String, Values>>,
    address: Option<String>,
}

/// One request as the API got it.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Question {
    /// What stood behind `Bearer`; else it is looked for in the headers.
    credential: Option<String>,
    method: String,
    /// The target as it was sent, query included.
    path: String,
    /// The headers of the request; the gate reads those that it knows.
    headers: Option<BTreeMap<String, Values>>,
    /// The address of the client.
    address: Option<String>,
}

/// The value of a header, or the values of one that was there several times.
#[derive(Deserialize)]
#[serde(untagged)]
enum Values {
    One(String),
    Several(Vec<String>),
}

pub(in crate::http) async fn authorize(call: Call) -> Result<Response, Problem> {
    call.gate.check(call.peer, &call.headers)?;
    let Body {
        requests,
        credential,
        method,
        path,
        headers,
        address,
    } = call.json()?;
    let app = &call.app;
    let id = &call.presented.facts.request;
    let Some(questions) = requests else {
        let question = Question {
            credential,
            method: method.ok_or_else(|| Error::invalid("method", "must be there"))?,
            path: path.ok_or_else(|| Error::invalid("path", "must be there"))?,
            headers,
            address,
        };
        return ok(&decide(app, id, question).await);
    };
    let alone = credential.is_none()
        && method.is_none()
        && path.is_none()
        && headers.is_none()
        && address.is_none();
    if !alone {
        return Err(Error::invalid("requests", "stands beside another member").into());
    }
    if !(1..=REQUESTS_MAX).contains(&questions.len()) {
        let problem = format!("has 1 to {REQUESTS_MAX} requests");
        return Err(Error::invalid("requests", problem).into());
    }
    let mut decisions = Vec::with_capacity(questions.len());
    for question in questions {
        decisions.push(decide(app, id, question).await);
    }
    ok(&json!({ "decisions": decisions }))
}

async fn decide(app: &Arc<App>, id: &RequestId, question: Question) -> Value {
    match judge(app, id, question).await {
        Ok(allowed) => {
            app.metrics.gate_allowed();
            allow(app, &allowed)
        }
        Err(problem) => {
            app.metrics.gate_refused();
            app.metrics.refused(problem.error_code());
            refuse(&problem, id)
        }
    }
}

async fn judge(app: &Arc<App>, id: &RequestId, question: Question) -> Result<Allowed, Problem> {
    let Question {
        credential,
        method,
        path,
        headers,
        address,
    } = question;
    let headers = header_map(credential.as_deref(), headers.unwrap_or_default())?;
    if !read::is_method(&method) {
        return Err(GateProblem::Malformed("method").into());
    }
    let address = address
        .map(|text| text.parse::<IpAddr>())
        .transpose()
        .map_err(|_| GateProblem::Malformed("address"))?;
    let Asked {
        credential,
        wish,
        facts,
    } = read::read(app, id, &headers, &method, path.as_bytes(), address)?;
    Ok(app.authorize(credential, wish, facts).await?)
}

/// A request that the holder of a credential asks about.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct OwnQuestion {
    method: String,
    path: String,
    headers: Option<BTreeMap<String, Values>>,
    address: Option<String>,
}

pub(in crate::http) async fn explain(call: Call) -> Result<Response, Problem> {
    let OwnQuestion {
        method,
        path,
        headers,
        address,
    } = call.json()?;
    let app = &call.app;
    let id = &call.presented.facts.request;
    let headers = header_map(None, headers.unwrap_or_default())
        .map_err(|_| Error::invalid("headers", "names and values of headers"))?;
    // The credential and the wish are those of this request; a second pair would be another caller.
    if headers.contains_key(AUTHORIZATION) || read::wish(&headers)?.is_some() {
        let problem = "Authorization and run-as headers stand at this request itself";
        return Err(Error::invalid("headers", problem).into());
    }
    if !read::is_method(&method) {
        return Err(Error::invalid("method", "a method, such as GET").into());
    }
    let address = address
        .map(|text| text.parse::<IpAddr>())
        .transpose()
        .map_err(|_| Error::invalid("address", "an IP address"))?;
    let caller = call.caller()?;
    let asked = match read::read(app, id, &headers, &method, path.as_bytes(), address) {
        Ok(asked) => asked,
        Err(_) if caller.acting => return Err(Error::from(Forbidden::Impersonation).into()),
        Err(problem) => return ok(&refuse(&problem, id)),
    };
    let Explained {
        pattern,
        permission,
        refusal,
        remedies,
    } = app.explain(caller, asked.facts)?;
    let mut answer = match refusal {
        None => json!({ "allowed": true }),
        Some(error) => refuse(&error.into(), id),
    };
    if let Value::Object(answer) = &mut answer {
        for (name, value) in [
            ("pattern", pattern),
            ("permission", permission.map(|scope| scope.to_string())),
        ] {
            if let Some(value) = value {
                answer.insert(name.to_owned(), value.into());
            }
        }
        if !remedies.is_empty() {
            let remedies: Vec<Value> = remedies.iter().map(remedy).collect();
            answer.insert("remedies".to_owned(), remedies.into());
        }
    }
    ok(&answer)
}

fn remedy(remedy: &Remedy) -> Value {
    json!({
        "place": remedy.place.as_str(),
        "field": remedy.field,
        "values": remedy.values,
    })
}

/// The headers of a request in the form in which a gateway would send them.
fn header_map(
    credential: Option<&str>,
    given: BTreeMap<String, Values>,
) -> Result<HeaderMap, Problem> {
    let malformed = || GateProblem::Malformed("headers");
    let mut headers = HeaderMap::new();
    for (name, values) in given {
        let name = HeaderName::from_bytes(name.as_bytes()).map_err(|_| malformed())?;
        let values = match values {
            Values::One(value) => vec![value],
            // Whoever wrote none may have meant one.
            Values::Several(values) if values.is_empty() => return Err(malformed().into()),
            Values::Several(values) => values,
        };
        for value in values {
            let value = HeaderValue::from_str(&value).map_err(|_| malformed())?;
            headers.append(name.clone(), value);
        }
    }
    if let Some(credential) = credential {
        // Two places, so two credentials.
        if headers.contains_key(AUTHORIZATION) {
            return Err(HeaderError::TwoCredentials.into());
        }
        // Behind the scheme of a header any number of spaces may stand; here they would be a part of
        // the credential.
        if credential.starts_with(' ') {
            return Err(HeaderError::BadCredential.into());
        }
        let value = HeaderValue::from_str(&format!("Bearer {credential}"))
            .map_err(|_| HeaderError::BadCredential)?;
        headers.insert(AUTHORIZATION, value);
    }
    Ok(headers)
}

fn allow(app: &App, allowed: &Allowed) -> Value {
    let identity = allowed.identity();
    let mut answer = Map::new();
    answer.insert("allowed".to_owned(), true.into());
    let members = [
        ("account", Some(identity.account.as_str())),
        ("actor", identity.actor.map(AccountId::as_str)),
        ("key", identity.key.map(KeyId::as_str)),
        ("session", identity.session.map(SessionId::as_str)),
        ("environment", Some(identity.environment.as_str())),
        ("scope", identity.scope),
        ("pattern", allowed.caller.permit.pattern()),
        ("token", allowed.token.as_deref()),
    ];
    for (name, value) in members {
        if let Some(value) = value {
            answer.insert(name.to_owned(), value.into());
        }
    }
    if let Some((limit, remaining, reset_secs)) = rate(app, &allowed.caller) {
        let rate = json!({"limit": limit, "remaining": remaining, "resetInSeconds": reset_secs});
        answer.insert("rateLimit".to_owned(), rate);
    }
    Value::Object(answer)
}

fn refuse(problem: &Problem, id: &RequestId) -> Value {
    let status = problem.status();
    let mut answer = problem.body(id);
    if let Value::Object(answer) = &mut answer {
        answer.insert("allowed".to_owned(), false.into());
        answer.insert("reason".to_owned(), problem.reason().into());
        answer.insert("status".to_owned(), status.as_u16().into());
    }
    if let (Value::Object(answer), Problem::App(Error::TooMany { retry_ms, .. })) =
        (&mut answer, problem)
    {
        let secs = secs_up(*retry_ms.max(&0));
        answer.insert("retryAfterInSeconds".to_owned(), secs.into());
    }
    answer
}
