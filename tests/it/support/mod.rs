//! What the tests stand on.

#[cfg(all(feature = "sqlite", feature = "postgres"))]
pub(crate) mod database;
#[cfg(all(feature = "server", feature = "sqlite", feature = "postgres"))]
pub(crate) mod receiver;
#[cfg(all(feature = "sqlite", feature = "postgres"))]
pub(crate) mod statements;
#[cfg(all(feature = "server", feature = "sqlite", feature = "postgres"))]
pub(crate) mod town;
