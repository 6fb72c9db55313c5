//! The integration tests, in one program.

#[cfg(test)]
mod storage;
#[cfg(test)]
mod support;
