//! OAuth 2.0: RFC 6749 client credentials, RFC 8693 token exchange, RFC 7662 introspection, RFC 7009
//! revocation. Each is the same use case as its twin below `/v1`, asked for in another form.

use axum::response::Response;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use percent_encoding::percent_decode_str;
use serde_json::{Value, json};

use super::endpoint::{Call, KEY, MINT, ok};
use super::headers::{self, RawCredential};
use super::json::has_type;
use super::problem::Problem;
use super::query::parse_form;
use crate::app::authorise::{Caller, Credential, Need, RouteCheck};
use crate::app::error::{BadCredential, Error};
use crate::app::sessions::{Exchange, MintOn, NewSession, SessionCreated};
use crate::domain::decision::BindingCheck;
use crate::domain::grant::{Mode, Wanted};
use crate::domain::permission::Permissions;
use crate::domain::route::{RequestPath, RouteSet};

const EXCHANGE: &str = "urn:ietf:params:oauth:grant-type:token-exchange";
const ACCESS_TOKEN: &str = "urn:ietf:params:oauth:token-type:access_token";
const JWT: &str = "urn:ietf:params:oauth:token-type:jwt";

/// The parameters of a request, each at most once, and all of them known.
struct Form(Vec<(String, String)>);

impl Form {
    fn read(call: &Call, known: &[&str]) -> Result<Self, Problem> {
        let form = Self::read_any(call)?;
        form.refuse_others(known)?;
        Ok(form)
    }

    fn read_any(call: &Call) -> Result<Self, Problem> {
        if !has_type(&call.headers, "application/x-www-form-urlencoded") {
            return Err(super::json::JsonError::MediaType.into());
        }
        Ok(Self(parse_form(&call.body)?))
    }

    fn refuse_others(&self, known: &[&str]) -> Result<(), Problem> {
        for (name, _) in &self.0 {
            if !known.contains(&name.as_str()) && name != "client_id" && name != "client_secret" {
                return Err(Error::invalid(name, "there is no such parameter").into());
            }
        }
        Ok(())
    }

    fn get(&self, name: &str) -> Option<&str> {
        let found = self.0.iter().find(|(parameter, _)| parameter == name);
        found
            .map(|(_, value)| value.as_str())
            .filter(|value| !value.is_empty())
    }

    fn want(&self, name: &str) -> Result<&str, Problem> {
        Ok(self
            .get(name)
            .ok_or_else(|| Error::invalid(name, "must be there"))?)
    }
}

pub(super) async fn token(call: Call) -> Result<Response, Problem> {
    answer(Box::pin(issue(call)).await)
}

pub(super) async fn introspect(call: Call) -> Result<Response, Problem> {
    answer(inspect(call).await)
}

pub(super) async fn revoke(call: Call) -> Result<Response, Problem> {
    answer(end(call).await)
}

/// Errors have the shape of RFC 6749 §5.2 here.
fn answer(result: Result<Response, Problem>) -> Result<Response, Problem> {
    result.map_err(Problem::into_oauth)
}

/// Reads the client's credential from one of the places where it may stand, and admits it as the
/// twin of this endpoint would.
async fn admit(call: &mut Call, form: &Form, path: &[&str], need: Need) -> Result<Caller, Problem> {
    let by_header = match headers::credential(&call.headers)? {
        None => None,
        Some(RawCredential::Bearer(bearer)) => Some((None, bearer.to_owned())),
        Some(RawCredential::Basic(encoded)) => Some(basic(encoded)?),
    };
    let by_form = form
        .get("client_secret")
        .map(|secret| (form.get("client_id").map(str::to_owned), secret.to_owned()));
    let (client_id, secret) = match (by_header, by_form) {
        (Some(_), Some(_)) => {
            return Err(
                Error::invalid("client_secret", "stands beside the Authorization header").into(),
            );
        }
        (Some(found), None) | (None, Some(found)) => found,
        (None, None) => return Err(Error::from(BadCredential::Missing).into()),
    };
    if !matches!(call.presented.credential, Credential::Cli(_)) {
        call.presented.credential = Credential::parse(&secret).map_err(Error::Unauthenticated)?;
    }
    call.presented.need = need;
    "POST".clone_into(&mut call.presented.facts.method);
    call.presented.facts.path = RequestPath::from_segments(path.iter().copied())?;
    call.presented.wish =
        headers::run_as(&call.headers)?.map(|run_as| crate::app::authorise::Wish {
            run_as: run_as.into(),
            by_header: true,
        });
    let caller = call.app.admit(&call.presented).await?;
    if client_id.is_some_and(|id| caller.key_id().is_none_or(|key| key.as_str() != id)) {
        return Err(Error::from(BadCredential::Key).into());
    }
    Ok(caller)
}

/// RFC 6749 §2.3.1: id and secret, each form-encoded. Some clients encode `_` and `-`, others
/// nothing at all. No id or secret has a percent sign or a space (RFC 6750 §2.1), so `%` always
/// begins an encoded character, and `+` stands for itself.
fn basic(encoded: &str) -> Result<(Option<String>, String), Problem> {
    let bad = || Error::from(BadCredential::Scheme);
    let decoded = STANDARD.decode(encoded).map_err(|_| bad())?;
    let text = String::from_utf8(decoded).map_err(|_| bad())?;
    let (id, secret) = text.split_once(':').ok_or_else(bad)?;
    let decode = |part| percent_decode_str(part).decode_utf8().map_err(|_| bad());
    let (id, secret) = (decode(id)?, decode(secret)?);
    Ok((
        Some(id.into_owned()).filter(|id| !id.is_empty()),
        secret.into_owned(),
    ))
}

async fn issue(mut call: Call) -> Result<Response, Problem> {
    let known = [
        "grant_type",
        "scope",
        "audience",
        "allowed_routes",
        "subject_token",
        "subject_token_type",
        "requested_token_type",
    ];
    let form = Form::read_any(&call)?;
    let exchange = match form.want("grant_type")? {
        "client_credentials" => false,
        EXCHANGE => true,
        // Another grant has other parameters, so this is said before those are looked at.
        _ => return Err(Problem::UnsupportedGrant),
    };
    form.refuse_others(&known)?;
    let caller = admit(&mut call, &form, &["session", "create"], MINT).await?;
    let routes = read_routes(&form)?;
    if exchange {
        exchange_token(&call, &caller, &form, routes).await
    } else {
        mint_token(&call, &caller, &form, routes).await
    }
}

/// `allowed_routes`: a JSON array as text, since patterns have spaces and commas.
fn read_routes(form: &Form) -> Result<Option<Vec<String>>, Problem> {
    let Some(text) = form.get("allowed_routes") else {
        return Ok(None);
    };
    let routes = serde_json::from_str(text)
        .map_err(|_| Error::invalid("allowed_routes", "a JSON array of patterns"))?;
    Ok(Some(routes))
}

async fn mint_token(
    call: &Call,
    caller: &Caller,
    form: &Form,
    routes: Option<Vec<String>>,
) -> Result<Response, Problem> {
    for name in [
        "subject_token",
        "subject_token_type",
        "requested_token_type",
    ] {
        if form.get(name).is_some() {
            return Err(Error::invalid(name, "belongs to a token exchange").into());
        }
    }
    let new = NewSession {
        allowed_routes: routes,
        permissions: form
            .get("scope")
            .map(|scope| scope.split(' ').map(str::to_owned).collect()),
        audience: form.get("audience").map(str::to_owned),
        ..NewSession::default()
    };
    let minted = call
        .app
        .mint(caller, &call.presented, MintOn::Large, new, None)
        .await?;
    issued(call, &minted.answer, None)
}

async fn exchange_token(
    call: &Call,
    caller: &Caller,
    form: &Form,
    routes: Option<Vec<String>>,
) -> Result<Response, Problem> {
    if ![ACCESS_TOKEN, JWT].contains(&form.want("subject_token_type")?) {
        return Err(Error::invalid("subject_token_type", ACCESS_TOKEN).into());
    }
    if form
        .get("requested_token_type")
        .is_some_and(|wanted| ![ACCESS_TOKEN, JWT].contains(&wanted))
    {
        return Err(Error::invalid("requested_token_type", ACCESS_TOKEN).into());
    }
    let routes = routes
        .map(|routes| {
            RouteSet::parse(routes.iter().map(String::as_str))
                .map_err(|error| Error::invalid("allowed_routes", error.to_string()))
        })
        .transpose()?;
    let permissions = form
        .get("scope")
        .map(|scope| {
            Permissions::from_scope(scope)
                .ok_or_else(|| Error::invalid("scope", "permissions with one space between them"))
        })
        .transpose()?;
    let wanted = Wanted {
        routes,
        permissions,
        audience: form.get("audience").map(str::to_owned),
        mode: Mode::Strict,
        ..Wanted::default()
    };
    let subject_token = form.want("subject_token")?.to_owned();
    let exchanged = call
        .app
        .exchange(
            caller,
            &call.presented,
            Exchange {
                subject_token,
                wanted,
            },
        )
        .await
        .map_err(|error| match error {
            // The client is good; what it wants to exchange is not.
            Error::Unauthenticated(_) => Problem::InvalidGrant,
            error @ (Error::Forbidden(_)
            | Error::NotFound
            | Error::Invalid(_)
            | Error::Conflict(_)
            | Error::TooMany { .. }
            | Error::Unavailable(_)
            | Error::Internal(_)) => error.into(),
        })?;
    issued(call, &exchanged.answer, Some(ACCESS_TOKEN))
}

fn issued(
    call: &Call,
    session: &SessionCreated,
    issued_token_type: Option<&str>,
) -> Result<Response, Problem> {
    let left_ms = session.expires_at.millis() - call.app.now().millis();
    let mut body = json!({
        "access_token": session.token,
        "token_type": "Bearer",
        "expires_in": (left_ms / 1000).max(0),
    });
    if let Value::Object(body) = &mut body {
        if let Some(permissions) = &session.permissions {
            body.insert("scope".to_owned(), permissions.join(" ").into());
        }
        if let Some(kind) = issued_token_type {
            body.insert("issued_token_type".to_owned(), kind.into());
        }
    }
    ok(&body)
}

async fn inspect(mut call: Call) -> Result<Response, Problem> {
    let form = Form::read(&call, &["token", "token_type_hint"])?;
    let caller = admit(&mut call, &form, &["session", "verify"], KEY).await?;
    let token = form.want("token")?;
    match call.app.verify_session(&caller, token).await? {
        None => ok(&json!({ "active": false })),
        Some(mut claims) => {
            if let Value::Object(claims) = &mut claims {
                claims.insert("token_type".to_owned(), "Bearer".into());
            }
            ok(&claims)
        }
    }
}

async fn end(mut call: Call) -> Result<Response, Problem> {
    let form = Form::read(&call, &["token", "token_type_hint"])?;
    let token = form.want("token")?.to_owned();
    // RFC 7009 §2.2: a token that is not good is answered like one that was revoked; but the client
    // authenticates first, and the route is judged as soon as it is known which session is meant.
    let asks = Need {
        route: RouteCheck::Exempt,
        bindings: BindingCheck::Exempt,
        ..KEY
    };
    admit(&mut call, &form, &["session", "revoke"], asks).await?;
    let Some(id) = call.app.session_named_by(&token) else {
        return ok(&json!({}));
    };
    admit(&mut call, &form, &["session", id.as_str(), "revoke"], KEY).await?;
    match call.app.revoke_session(&call.presented, id.as_str()).await {
        Ok(_) | Err(Error::NotFound) => ok(&json!({})),
        Err(error) => Err(error.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn basic_credentials_are_read_encoded_and_plain() {
        let read = |text: &str| basic(&STANDARD.encode(text)).ok();
        let both = |id: &str, secret: &str| Some((Some(id.to_owned()), secret.to_owned()));

        for text in ["key_a:sk_live_b", "key%5Fa:sk%5Flive%5fb"] {
            assert_eq!(read(text), both("key_a", "sk_live_b"), "{text}");
        }
        assert_eq!(read("key_a:a+b/c=:d"), both("key_a", "a+b/c=:d"));
        assert_eq!(read(":sk_live_b"), Some((None, "sk_live_b".to_owned())));
        for text in ["key_a", "key_a:%ff", "%c3:x"] {
            assert_eq!(read(text), None, "{text}");
        }
    }
}
