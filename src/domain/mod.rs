//! The rules: pure, no I/O, no async, no clock.

pub mod binding;
pub mod environment;
pub mod id;
pub mod limits;
pub mod liveness;
pub mod network;
pub mod origin;
pub mod permission;
pub mod rate;
pub mod route;
pub mod secret;
pub mod strict_json;
pub mod time;
