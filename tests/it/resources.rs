//! What each resource does when all is well, and what it says to bad input.

#![cfg(all(feature = "server", feature = "sqlite", feature = "postgres"))]

mod accounts;
mod audit;
mod headers;
mod idempotency;
mod json;
mod last_used;
mod ledger;
mod limits;
mod oauth;
mod profiles;
mod retention;
mod sessions;
mod signing_keys;
mod tokens;
mod watching;
mod webhooks;
