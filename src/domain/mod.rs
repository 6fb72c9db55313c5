//! The rules: pure, no I/O, no async, no clock.

pub mod environment;
pub mod id;
pub mod route;
pub mod strict_json;
pub mod time;
