//! The rules: pure, no I/O, no async, no clock.

pub mod account;
pub mod api_key;
pub mod audit;
pub mod binding;
pub mod config;
pub mod cover;
pub mod decision;
pub mod effective;
pub mod environment;
pub mod feed;
pub mod gate;
pub mod grant;
pub mod id;
pub mod lease;
pub mod limits;
pub mod liveness;
pub mod network;
pub mod origin;
pub mod permission;
pub mod profile;
pub mod rate;
pub mod restrictions;
pub mod route;
pub mod run_as;
pub mod secret;
pub mod session;
pub mod strict_json;
#[cfg(test)]
mod support;
pub mod template;
pub mod text;
pub mod time;
pub mod webhook;
