//! The gate, asked over HTTP as gateways and APIs ask it.

#![cfg(all(feature = "server", feature = "sqlite", feature = "postgres"))]

mod conventions;
mod support;
