//! The seam between the command line and the service itself.

use std::io;

use super::signing_key::RewrapArgs;
use super::transport::{BoxFuture, LocalClient};
use crate::domain::secret::PlainKey;
use crate::settings::SettingsArgs;

/// Shows the first API key, which is made at first start and shown this once, and how to try it at
/// the URL of the server, where one is about to answer.
pub type Announce = fn(&PlainKey, Option<&str>) -> io::Result<()>;

/// What the command line starts. `main.rs` hands it over, so that nothing below depends on the
/// command line.
#[derive(Debug, Clone, Copy)]
pub struct Service {
    /// `hallpass serve`: serves until the process is told to end.
    pub serve: fn(SettingsArgs, Announce) -> BoxFuture<'static, anyhow::Result<()>>,
    /// `hallpass init`: makes database, master key, signing keys and the first account.
    pub init: fn(SettingsArgs, Announce) -> BoxFuture<'static, anyhow::Result<()>>,
    /// Opens the database for commands that are given no server.
    pub open: fn(SettingsArgs) -> BoxFuture<'static, anyhow::Result<LocalClient>>,
    /// `hallpass signing-key rewrap`: how many private keys were sealed anew.
    pub rewrap: fn(SettingsArgs, RewrapArgs) -> BoxFuture<'static, anyhow::Result<usize>>,
}
