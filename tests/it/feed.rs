//! The revocation feed over HTTP, and our verifier on it.

#![cfg(all(feature = "server", feature = "sqlite", feature = "postgres"))]

mod document;
mod follow;
mod rotation;
