//! Escalation, to be shown impossible: each test is named for what must not happen.

#![cfg(all(feature = "server", feature = "sqlite", feature = "postgres"))]

mod accounts;
mod children;
mod clock;
mod keys;
mod line;
mod memory;
mod mended;
mod one_answer;
mod races;
mod secrecy;
mod sessions;
mod support;
