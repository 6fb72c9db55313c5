//! All integration tests in one program: each file in `tests/` would be one more to link.

#[cfg(test)]
mod callers;
#[cfg(test)]
mod contract;
#[cfg(test)]
mod openapi;
#[cfg(test)]
mod resources;
#[cfg(test)]
mod route_properties;
#[cfg(test)]
mod storage;
#[cfg(test)]
mod support;
#[cfg(test)]
mod town;
