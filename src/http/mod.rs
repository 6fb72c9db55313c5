//! The edge: take a request apart, call the use case, render the answer.

mod activity;
pub mod headers;
pub mod json;
mod json_value;
pub mod query;
pub mod server;
