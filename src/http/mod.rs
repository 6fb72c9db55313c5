//! The edge: take a request apart, call the use case, render the answer.

mod activity;
pub mod server;
