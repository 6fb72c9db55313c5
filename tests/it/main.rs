//! The integration tests, in one program.

#[cfg(test)]
mod route_properties;
