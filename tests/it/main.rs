//! All integration tests in one program: each file in `tests/` would be one more to link.

#[cfg(test)]
mod callers;
#[cfg(test)]
mod contract;
#[cfg(test)]
mod corpus;
#[cfg(test)]
#[expect(
    clippy::string_slice,
    reason = "texts of tests are ASCII, and plain code reads better here than fast code"
)]
mod dashboard;
#[cfg(test)]
mod dependencies;
#[cfg(test)]
#[expect(
    clippy::string_slice,
    clippy::format_collect,
    clippy::format_push_string,
    clippy::single_match_else,
    reason = "texts of tests are ASCII, and plain code reads better here than fast code"
)]
mod escalation;
#[cfg(test)]
mod feed;
#[cfg(test)]
mod gate;
#[cfg(test)]
mod nodes;
#[cfg(test)]
mod openapi;
#[cfg(test)]
mod path_vectors;
#[cfg(test)]
mod program;
#[cfg(test)]
#[expect(
    clippy::string_slice,
    clippy::format_collect,
    reason = "texts of tests are ASCII, and plain code reads better here than fast code"
)]
mod resources;
#[cfg(test)]
mod route_properties;
#[cfg(test)]
mod storage;
#[cfg(test)]
mod support;
#[cfg(test)]
mod town;
