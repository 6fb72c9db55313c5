//! All integration tests, in one binary: each file in `tests/` would be a program to link.

#[cfg(test)]
mod openapi;
