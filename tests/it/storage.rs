//! What storage is: the same answers from SQLite and from PostgreSQL.

#![cfg(all(feature = "sqlite", feature = "postgres"))]

mod accounts;
mod api_keys;
mod audit;
mod change_log;
mod corrupt;
mod fixtures;
mod idempotency;
mod opening;
mod queries;
mod schema;
mod secrets;
mod sessions;
mod shared;
mod signing_keys;
mod transactions;
