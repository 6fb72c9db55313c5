//! Tests of the verifier against an issuer that says whatever a test wants.

mod corpus;
mod feed;
mod keys;
mod knowledge;
mod sessions;
pub(super) mod support;
