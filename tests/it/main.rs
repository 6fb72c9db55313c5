//! All integration tests in one program: each file in `tests/` would be one more to link.

#[cfg(all(test, feature = "server", feature = "sqlite", feature = "postgres"))]
mod callers;
#[cfg(all(test, feature = "server", feature = "sqlite", feature = "postgres"))]
mod contract;
#[cfg(test)]
mod escalation;
#[cfg(test)]
mod openapi;
#[cfg(test)]
mod program;
#[cfg(test)]
mod route_properties;
#[cfg(test)]
mod storage;
#[cfg(test)]
mod support;
#[cfg(all(test, feature = "server", feature = "sqlite", feature = "postgres"))]
mod town;
