//! From a request to its endpoint: the path is parsed once, and the same parsed path finds the
//! endpoint and is judged.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::extract::Request;
use axum::http::header::{
    ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS, ACCESS_CONTROL_MAX_AGE,
};
use axum::http::request::Parts;
use axum::http::{HeaderValue, Method, StatusCode, Version};
use axum::response::Response;
use futures_util::future::BoxFuture;
use ipnet::IpNet;

use super::dashboard;
use super::endpoint::{Access, Answer, Call, Endpoint, MINT};
use super::exchange::{Exchange, no_store, sign};
use super::fields::Fields;
use super::gate::{self, ALLOWED, Asking, GatePeers, Judged};
use super::headers::{self, HeaderError, RawCredential};
use super::json::read_bytes;
use super::problem::{Problem, rate_headers, secs_up};
use super::routes::{ENDPOINTS, OUTSIDE, PROFILE};
use super::server::{Fast, Handler, Head, PeerAddr, Started, Way, Written};
use super::sessions;
use crate::app::App;
use crate::app::authorise::{Caller, Credential, Facts, Need, Presented, Wish};
use crate::app::dashboard::SignedIn;
use crate::app::error::{BadCredential, Error, Forbidden};
use crate::app::gate::Rest;
use crate::domain::binding::{Dimension, NamedValues};
use crate::domain::id::{AccountId, RequestId};
use crate::domain::rate::{RateLimit, Turn};
use crate::domain::route::{Mount, PathError, RequestPath, TrailingSlash};
use crate::domain::run_as::RunAs;

/// What the edge knows beside the use cases.
#[derive(Debug)]
pub struct Edge {
    /// The use cases.
    pub app: Arc<App>,
    /// The proxies whose forwarded addresses count.
    pub trusted_proxies: Vec<IpNet>,
    /// Who may ask the gate.
    pub gate: GatePeers,
}

/// In the extensions of a request of the operator's CLI, which has the database before it. It can
/// only be put there in this process. The account is the one that it speaks for, by default the
/// operator's.
#[derive(Debug, Clone)]
pub struct LocalOperator(pub Option<AccountId>);

/// The router of the whole service.
pub fn router(edge: Edge) -> Router {
    let edge = Arc::new(edge);
    Router::new().fallback(move |request: Request| start(&edge, request).answer())
}

/// The whole service, as [`super::server`] serves it.
#[derive(Debug, Clone)]
pub struct Service(Arc<Edge>);

impl Service {
    /// The service over its edge.
    pub fn new(edge: Edge) -> Self {
        Self(Arc::new(edge))
    }
}

impl Handler for Service {
    fn start(&self, request: Request) -> Started {
        start(&self.0, request)
    }

    fn changes_nothing(&self, head: &Parts) -> bool {
        let path = head.uri.path();
        // Who waits for the feed and goes away leaves its place to others.
        gate::find(path).is_some() || path.ends_with("/v1/revocations")
    }

    fn way(&self, method: &str, target: &str) -> Way {
        way(method, target)
    }

    fn start_fast(&self, head: &Head<'_>, peer: PeerAddr, written: &mut Written) -> Fast {
        match gate::find(head.target) {
            Some(gate) => start_fast(&self.0, gate, head, peer, written),
            None => Fast::Started(self.start(head.to_request(peer))),
        }
    }
}

fn way(method: &str, target: &str) -> Way {
    let mints = || target.ends_with("/session/create") && !target.contains('?');
    if gate::find(target).is_some() {
        Way::Fast
    } else if method == Method::POST.as_str() && mints() {
        Way::Short
    } else {
        Way::Hyper
    }
}

/// Answers what the gate is asked at once, unless it needs the database; all else takes a future,
/// which is in a box, since it is large and whoever waits for it moves it about.
fn start(edge: &Arc<Edge>, request: Request) -> Started {
    let (parts, body) = request.into_parts();
    // Before all else: what follows the endpoint may be a path that is refused, with any method.
    let raw = parts.uri.path_and_query().map_or("", |raw| raw.as_str());
    let gate = gate::find(raw);
    let target = parts.uri.path();
    // What a gateway is told it may pass on to pages of any origin, and that is for the API
    // behind to say.
    let cross_origin =
        gate.is_none() && (target.starts_with("/v1/") || target.starts_with("/api/v1/"));
    let Ok(mut exchange) = Exchange::begin(edge, &parts.method, gate.is_some(), cross_origin)
    else {
        return Started::Answered(unavailable());
    };
    let Some(gate) = gate else {
        let edge = Arc::clone(edge);
        let request = Request::from_parts(parts, body);
        return Started::Goes(Box::pin(async move {
            let answer = handle(&edge, request, &exchange.id, &mut exchange.template).await;
            exchange.end(&edge, answer)
        }));
    };
    exchange.template = Some(gate.template);
    let asking = Asking {
        peer: parts.extensions.get::<PeerAddr>().map(|peer| peer.0.ip()),
        method: parts.method.as_str(),
        names_a_proxy: parts.version <= Version::HTTP_11 && parts.uri.scheme().is_some(),
        fields: &parts.headers,
    };
    match gate::judge_at_once(edge, gate, &asking, &exchange.id) {
        Judged::Answered(judged) => {
            let answer = gate::respond(edge, judged);
            Started::Answered(exchange.end(edge, answer))
        }
        Judged::Unanswered(rest) => Started::Goes(later(edge, *rest, exchange)),
    }
}

/// [`start`] of what a gateway asks, from the head as it was read to the answer as it is sent.
fn start_fast(
    edge: &Arc<Edge>,
    gate: gate::Gate<'_>,
    head: &Head<'_>,
    peer: PeerAddr,
    written: &mut Written,
) -> Fast {
    let Ok(mut exchange) = Exchange::begin(edge, &head.method, true, false) else {
        return Fast::Started(Started::Answered(unavailable()));
    };
    exchange.template = Some(gate.template);
    let asking = Asking {
        peer: Some(peer.0.ip()),
        method: head.method.as_str(),
        names_a_proxy: false,
        fields: head,
    };
    let answer = match gate::judge_at_once(edge, gate, &asking, &exchange.id) {
        Judged::Unanswered(rest) => {
            return Fast::Started(Started::Goes(later(edge, *rest, exchange)));
        }
        Judged::Answered(judged) => judged.and_then(|allowed| {
            written.ok(ALLOWED);
            gate::write(edge, &allowed, written)?;
            sign(written, &exchange.id).map_err(|error| Error::Internal(error.into()))?;
            no_store(written).map_err(|error| Error::Internal(error.into()))?;
            Ok(())
        }),
    };
    match answer {
        Ok(()) => {
            exchange.close(StatusCode::OK, None);
            Fast::Written
        }
        Err(problem) => Fast::Started(Started::Answered(exchange.end(edge, Err(problem)))),
    }
}

/// What the gate is asked when it needs the database.
fn later(edge: &Arc<Edge>, rest: Rest, exchange: Exchange) -> BoxFuture<'static, Response> {
    let edge = Arc::clone(edge);
    Box::pin(async move {
        let judged = gate::judge_rest(&edge, rest).await;
        let answer = gate::respond(&edge, judged);
        exchange.end(&edge, answer)
    })
}

/// Without a name of the request there is nothing that could be told.
fn unavailable() -> Response {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = StatusCode::SERVICE_UNAVAILABLE;
    response
}

/// An endpoint that was found, with the values of its placeholders.
struct Found {
    handler: fn(Call) -> Answer,
    access: Access,
    template: &'static str,
    params: Vec<String>,
    named: NamedValues,
}

pub(super) async fn handle(
    edge: &Edge,
    request: Request,
    id: &RequestId,
    template: &mut Option<&'static str>,
) -> Result<Response, Problem> {
    let (parts, body) = request.into_parts();
    let method = parts.method.as_str();
    let target = parts.uri.path();
    if dashboard::is_page(target) {
        // In a box of its own, so that no other request carries the weight of a page.
        return Ok(Box::pin(dashboard::answer(edge, parts, body, id, template)).await);
    }
    if let Some(found) = find_outside(&parts.method, target)? {
        *template = Some(found.template);
        let oauth = found.template.starts_with("/oauth2/");
        let path = RequestPath::from_segments(["outside"])?;
        let answer = Box::pin(run(edge, found, parts, body, path, id)).await;
        // What is refused before the endpoint is reached has the shape of its errors, too.
        return if oauth {
            answer.map_err(Problem::into_oauth)
        } else {
            answer
        };
    }
    // HTTP/2 always names scheme and authority; in HTTP/1 that is the form for proxies, and a second
    // place to name the target.
    if parts.version <= Version::HTTP_11 && parts.uri.scheme().is_some() {
        return Err(PathError::NotAPath.into());
    }
    let raw = parts
        .uri
        .path_and_query()
        .map_or("/", |target| target.as_str());
    let path = match RequestPath::parse(raw, Mount::hallpass(), TrailingSlash::Equal) {
        Ok(path) => path,
        Err(PathError::OutsideMount) => return Err(Error::NotFound.into()),
        Err(error) => return Err(error.into()),
    };
    if parts.method == Method::OPTIONS {
        return Ok(preflight());
    }
    let found = find(edge, method, &path)?;
    *template = Some(found.template);
    // In a box of its own, so that what the gate is asked does not carry its weight.
    Box::pin(run(edge, found, parts, body, path, id)).await
}

async fn run(
    edge: &Edge,
    found: Found,
    parts: Parts,
    body: Body,
    path: RequestPath,
    id: &RequestId,
) -> Result<Response, Problem> {
    let app = Arc::clone(&edge.app);
    let gate = edge.gate.clone();
    let peer = parts.extensions.get::<PeerAddr>().map(|peer| peer.0.ip());
    let Found {
        handler,
        access,
        params,
        named,
        ..
    } = found;
    let headers = &parts.headers;
    let facts = facts(edge, &parts, path, id, named)?;
    let local = parts.extensions.get::<LocalOperator>().cloned();
    let wish = wish(headers)?;
    let signed_in = parts.extensions.get::<SignedIn>();
    let credential = match (access, &local, signed_in) {
        (_, Some(LocalOperator(account)), _) => Credential::Cli(account.clone()),
        (Access::Public, None, _) => Credential::None,
        (Access::Caller(_) | Access::ForChild(_), None, Some(signed_in)) => {
            Credential::Dashboard(signed_in.clone())
        }
        (Access::Caller(_) | Access::ForChild(_), None, None) => credential(headers)?,
    };
    let (need, wish) = match access {
        Access::Public => (MINT, None),
        Access::Caller(need) => (need, wish),
        Access::ForChild(need) => (need, Some(for_child(wish.as_ref(), &params)?)),
    };
    let idempotency_key = headers::idempotency_key(headers)?.map(str::to_owned);
    let presented = Presented {
        credential,
        wish,
        facts,
        need,
    };
    let caller = match access {
        Access::Public => None,
        Access::Caller(_) | Access::ForChild(_) => Some(app.admit(&presented).await?),
    };
    let turn = caller.as_ref().and_then(limit_headers);
    let body = read_bytes(body).await?;
    let call = Call {
        app,
        presented,
        caller,
        params,
        query: parts.uri.query().map(str::to_owned),
        headers: parts.headers,
        body,
        idempotency_key,
        gate,
        peer,
    };
    let answer = handler(call).await;
    let Some((limit, remaining, reset_secs)) = turn else {
        return answer;
    };
    // A refused request has taken its turn like any other.
    let mut response = match answer {
        Ok(response) => response,
        Err(problem) => {
            edge.app.metrics.refused(problem.error_code());
            problem.into_response(id)
        }
    };
    rate_headers(response.headers_mut(), limit, remaining, reset_secs)
        .map_err(|error| Error::Internal(error.into()))?;
    Ok(response)
}

pub(super) fn limit_headers(caller: &Caller) -> Option<(u32, u32, i64)> {
    turn_of(caller, caller.key()?.key().restrictions.rate_limit?)
}

/// Limit, remaining requests and seconds until all are there again.
pub(super) fn turn_of(caller: &Caller, limit: RateLimit) -> Option<(u32, u32, i64)> {
    match caller.turn? {
        Turn::Go {
            remaining,
            reset_ms,
        } => Some((limit.requests, remaining, secs_up(reset_ms))),
        Turn::Wait { .. } => None,
    }
}

pub(super) fn facts(
    edge: &Edge,
    parts: &Parts,
    path: RequestPath,
    id: &RequestId,
    by_path: NamedValues,
) -> Result<Facts, Problem> {
    let headers = &parts.headers;
    let peer = parts.extensions.get::<PeerAddr>().map(|peer| peer.0.ip());
    let client = |peer: IpAddr| headers::client_address(peer, headers, &edge.trusted_proxies);
    let mut named = headers::binding_headers(headers)?;
    for (dimension, value) in by_path {
        // What two sources name differently is not authorised.
        if named
            .insert(dimension, value.clone())
            .is_some_and(|by_header| by_header != value)
        {
            return Err(Error::from(Forbidden::Binding(dimension)).into());
        }
    }
    Ok(Facts {
        request: id.clone(),
        method: parts.method.as_str().to_owned(),
        path,
        method_override: headers::method_override(headers),
        address: peer.and_then(client),
        agent: headers::user_agent(headers),
        origin: headers::origin(headers)?.map(str::to_owned),
        named,
    })
}

pub(super) fn credential(headers: &impl Fields) -> Result<Credential, Problem> {
    match headers::credential(headers)? {
        None => Ok(Credential::None),
        Some(RawCredential::Bearer(bearer)) => {
            Ok(Credential::parse(bearer).map_err(Error::Unauthenticated)?)
        }
        Some(RawCredential::Basic(_)) => Err(Error::from(BadCredential::Scheme).into()),
    }
}

pub(super) fn wish(headers: &impl Fields) -> Result<Option<Wish>, HeaderError> {
    let Some(header) = headers::run_as(headers)? else {
        return Ok(None);
    };
    Ok(Some(Wish {
        run_as: header.into(),
        by_header: true,
    }))
}

/// The wish in the path. Beside one in a header it is a wish for a grandchild, which nobody has.
fn for_child(by_header: Option<&Wish>, params: &[String]) -> Result<Wish, Error> {
    if by_header.is_some() {
        return Err(Forbidden::Impersonation.into());
    }
    let id = params.first().and_then(|id| AccountId::parse(id).ok());
    Ok(Wish {
        run_as: RunAs::Id(id),
        by_header: false,
    })
}

fn find_outside(method: &Method, target: &str) -> Result<Option<Found>, Problem> {
    let mut other_method = None;
    for line in OUTSIDE.iter().filter(|line| line.path == target) {
        if is_method(method.as_str(), line) {
            return Ok(Some(found(line, Vec::new())));
        }
        other_method = Some(line.method);
    }
    match other_method {
        Some(allowed) => Err(Problem::Method(allowed)),
        None => Ok(None),
    }
}

fn is_method(method: &str, line: &Endpoint) -> bool {
    method == line.method || (method == "HEAD" && line.method == "GET")
}

fn found(line: &Endpoint, params: Vec<String>) -> Found {
    Found {
        handler: line.handler,
        access: line.access,
        template: line.path,
        params,
        named: NamedValues::new(),
    }
}

fn find(edge: &Edge, method: &str, path: &RequestPath) -> Result<Found, Problem> {
    let mut segments: Vec<&str> = path.segments().collect();
    if let ["partner", "user", ..] = segments.as_slice() {
        segments.remove(0);
    }
    let mut other_method = None;
    for line in ENDPOINTS {
        let Some(params) = match_line(line.path, &segments) else {
            continue;
        };
        // GET alone is meant here: a HEAD of an answer that is made for its caller is of no use.
        if method == line.method {
            return Ok(found(line, params));
        }
        other_method = Some(line.method);
    }
    if let Some(allowed) = other_method {
        return Err(Problem::Method(allowed));
    }
    find_profile(edge, method, &segments)
}

/// `<profile path>/session/create`.
fn find_profile(edge: &Edge, method: &str, segments: &[&str]) -> Result<Found, Problem> {
    let Some(resource) = segments.strip_suffix(&["session", "create"]) else {
        return Err(Error::NotFound.into());
    };
    let resource =
        RequestPath::from_segments(resource.iter().copied()).map_err(|_| Error::NotFound)?;
    let (_, values) = edge.app.find_profile(&resource).ok_or(Error::NotFound)?;
    if method != "POST" {
        return Err(Problem::Method("POST"));
    }
    let mut named = BTreeMap::new();
    for (name, value) in &values {
        if let Some(dimension) = bound_by(name) {
            named.insert(dimension, value.as_str().to_owned());
        }
    }
    Ok(Found {
        handler: |call: Call| -> Answer { Box::pin(sessions::create_on_profile(call)) },
        access: Access::Caller(Need { ..MINT }),
        template: PROFILE,
        params: vec![resource.segments().collect::<Vec<_>>().join("/")],
        named,
    })
}

/// The dimension of which a placeholder in a profile's path names the value.
fn bound_by(placeholder: &str) -> Option<Dimension> {
    match placeholder {
        "widgetId" => Some(Dimension::Integration),
        name => name.strip_suffix("Id").and_then(Dimension::parse),
    }
}

/// The values of the placeholders when the segments are those of the path. A literal wins over a
/// placeholder because it stands first in the table.
pub(super) fn match_line(path: &str, segments: &[&str]) -> Option<Vec<String>> {
    let mut params = Vec::new();
    let mut wanted = path.split('/');
    for segment in segments {
        let part = wanted.next()?;
        if part.starts_with('{') {
            params.push((*segment).to_owned());
        } else if part != *segment {
            return None;
        }
    }
    wanted.next().is_none().then_some(params)
}

fn preflight() -> Response {
    let mut response = Response::new(Body::empty());
    let headers = response.headers_mut();
    headers.insert(
        ACCESS_CONTROL_ALLOW_METHODS,
        HeaderValue::from_static("GET, POST"),
    );
    // The run-as headers are for backends, so no page may send them.
    let allowed = HeaderValue::from_static(
        "Authorization, Content-Type, Accept, X-Requested-With, Idempotency-Key, X-Project-ID, X-Workspace-ID, X-Bot-ID, X-Integration-ID",
    );
    headers.insert(ACCESS_CONTROL_ALLOW_HEADERS, allowed);
    headers.insert(ACCESS_CONTROL_MAX_AGE, HeaderValue::from_static("600"));
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gateways_and_mints_have_a_way_of_their_own() {
        for (method, target, expected) in [
            ("GET", "/v1/authorize/nginx", Way::Fast),
            ("POST", "/v1/session/create", Way::Short),
            ("POST", "/api/v1/user/usr_1/session/create", Way::Short),
            (
                "POST",
                "/v1/integration/widget/w1/session/create",
                Way::Short,
            ),
            ("GET", "/v1/session/create", Way::Hyper),
            ("POST", "/v1/session/create?a", Way::Hyper),
            ("POST", "/v1/token/create?/session/create", Way::Hyper),
            ("POST", "/v1/token/create", Way::Hyper),
            ("GET", "/v1/revocations", Way::Hyper),
            ("POST", "/", Way::Hyper),
        ] {
            assert_eq!(way(method, target), expected, "{method} {target}");
        }
    }
}
