//! The gate, asked over HTTP as gateways and APIs ask it.

#![cfg(all(feature = "server", feature = "sqlite", feature = "postgres"))]

mod acting;
mod bindings;
mod conventions;
mod decision;
mod explain;
mod json;
mod peers;
mod support;
mod upstream;
