//! The gate, as gateways and APIs ask it. One endpoint for each convention of headers, so that what
//! a client wrote in those of another one is never read.

mod answer;
mod ask;
mod peers;
mod read;

pub(super) use answer::ALLOWED;
pub(super) use ask::{authorize, explain};
pub use peers::GatePeers;
pub(super) use read::{Asking, Convention};

use axum::body::{Body, Bytes};
use axum::response::Response;

use super::dispatch::Edge;
use super::fields::{FieldSink, Fields};
use super::problem::Problem;
use super::routes::GATES;
use crate::app::gate::{Allowed, AtOnce, Rest};
use crate::domain::id::RequestId;

/// Why the gate does not judge a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum GateProblem {
    /// From this address nobody may ask.
    #[error("the gate may not be asked from this address; it takes one of `gate.peers`")]
    Peer,
    /// The shared secret is not there, or another one.
    #[error("the gate is asked with its shared secret in X-Hallpass-Gate-Secret")]
    Secret,
    /// A header of the convention is not there.
    #[error("the header {0} is missing")]
    Missing(&'static str),
    /// A header that may be there once, several times.
    #[error("the header {0} is there more than once")]
    Repeated(&'static str),
    /// A header of the convention that nobody can read.
    #[error("the header {0} is not well-formed")]
    Malformed(&'static str),
    /// A proxy that obeys `Connection` would have removed a header that counts here.
    #[error("the Connection header names a header that is judged here")]
    Connection,
    /// The API behind would take the request for one of another method.
    #[error("a method-override header is refused")]
    MethodOverride,
    /// A path that is not one of the API behind.
    #[error("the path is outside the mount of the gate")]
    OutsideMount,
    /// What the API behind would be told does not fit into its headers.
    #[error("the identity does not fit into {max} bytes of headers; the credential has too many permissions", max = answer::HEADERS_BYTES_MAX)]
    IdentityTooLarge,
}

impl GateProblem {
    /// Its stable code.
    pub const fn code(self) -> &'static str {
        match self {
            Self::Peer => "GATE_PEER_NOT_ALLOWED",
            Self::Secret => "GATE_SECRET_REQUIRED",
            Self::Missing(_) => "HEADER_MISSING",
            Self::Repeated(_) => "HEADER_REPEATED",
            Self::Malformed(_) => "HEADER_MALFORMED",
            Self::Connection => "CONNECTION_HEADER",
            Self::MethodOverride => "METHOD_OVERRIDE",
            Self::OutsideMount => "PATH_OUTSIDE_MOUNT",
            Self::IdentityTooLarge => "IDENTITY_TOO_LARGE",
        }
    }
}

/// One of the endpoints for gateways, and what of the request's target is behind it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Gate<'r> {
    convention: Convention,
    /// The path in the table of routes.
    pub(super) template: &'static str,
    /// What follows the endpoint in the target as it was sent.
    tail: &'r str,
}

/// The gateway endpoint of a target. It is found before the path is read: what follows it may be a
/// path that is refused, and that is the gate's answer to give.
pub(super) fn find(target: &str) -> Option<Gate<'_>> {
    let below = target.strip_prefix("/api").unwrap_or(target);
    let below = below.strip_prefix("/v1/authorize/")?;
    GATES.iter().find_map(|line| {
        let tail = below.strip_prefix(line.name)?;
        let is_whole = tail.is_empty() || tail.starts_with(['/', '?']);
        // Only the convention that has the path behind its endpoint has anything behind it.
        let is_here = match line.convention {
            Convention::Envoy => is_whole,
            Convention::Nginx | Convention::Forwarded => {
                is_whole && (!tail.starts_with('/') || tail == "/" || tail.starts_with("/?"))
            }
        };
        is_here.then_some(Gate {
            convention: line.convention,
            template: line.template,
            tail,
        })
    })
}

/// What the gate came to without the database.
pub(super) enum Judged {
    Answered(Result<Allowed, Problem>),
    /// Go on with [`judge_rest`].
    Unanswered(Box<Rest>),
}

/// Judges what a gateway asks about, as far as that needs no database.
pub(super) fn judge_at_once(
    edge: &Edge,
    gate: Gate<'_>,
    asking: &Asking<'_, impl Fields>,
    id: &RequestId,
) -> Judged {
    let asked = edge
        .gate
        .check(asking.peer, asking.fields)
        .map_err(Problem::from)
        .and_then(|()| read::from_gateway(edge, gate, asking, id));
    match asked {
        Err(problem) => Judged::Answered(Err(problem)),
        Ok(asked) => {
            let app = &edge.app;
            match app.authorize_at_once(asked.credential, asked.wish, asked.facts) {
                AtOnce::Answered(outcome) => Judged::Answered(outcome.map_err(Problem::from)),
                AtOnce::Unanswered(rest) => Judged::Unanswered(rest),
            }
        }
    }
}

/// Judges the rest of it, with the database.
pub(super) async fn judge_rest(edge: &Edge, rest: Rest) -> Result<Allowed, Problem> {
    Ok(edge.app.authorize_rest(rest).await?)
}

/// Writes the fields of the answer to a request that was allowed. `Ok` is always 200.
pub(super) fn write(
    edge: &Edge,
    allowed: &Allowed,
    into: &mut impl FieldSink,
) -> Result<(), Problem> {
    answer::allow(&edge.app, allowed, into)?;
    edge.app.metrics.gate_allowed();
    Ok(())
}

/// The answer to a request that was judged.
pub(super) fn respond(edge: &Edge, judged: Result<Allowed, Problem>) -> Result<Response, Problem> {
    let mut response = Response::new(Body::from(Bytes::from_static(ALLOWED)));
    response.headers_mut().reserve(16);
    write(edge, &judged?, response.headers_mut())?;
    Ok(response)
}
