//! The edge: take a request apart, call the use case, render the answer.

mod activity;
mod audit;
mod dashboard;
mod dispatch;
mod endpoint;
mod exchange;
mod feed;
pub mod fields;
mod gate;
pub mod headers;
pub mod json;
mod json_value;
mod list;
mod oauth;
mod operation;
mod problem;
pub mod query;
mod routes;
pub mod server;
mod sessions;
mod signing_keys;
mod tokens;
mod unrouted;
mod usage;
mod users;
mod webhooks;

pub use dashboard::pages;
pub use dispatch::{Edge, LocalOperator, Service, router};
pub use gate::{GatePeers, GateProblem};
pub use problem::Problem;
pub use routes::{routes, templates};
pub use unrouted::server_problems;
