//! The rules: pure, no I/O, no async, no clock.

pub mod id;
pub mod route;
pub mod time;
