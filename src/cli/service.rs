//! The seam between the command line and the service itself.

use std::io;
use std::net::SocketAddr;

use serde_json::Value;

use super::signing_key::{ExportArgs, RewrapArgs};
use super::transport::{BoxFuture, LocalClient};
use super::upkeep::{Finding, RestoreArgs};
use crate::domain::secret::PlainKey;
use crate::settings::SettingsArgs;

/// What the first start has to say, once.
#[derive(Debug)]
pub struct FirstKey<'a> {
    /// The key that was made.
    pub key: &'a PlainKey,
    /// Where a client reaches the server; `None` while nobody knows its port.
    pub address: Option<SocketAddr>,
    /// The command that makes another key on this database, ready for a shell.
    pub another: String,
}

/// Shows the first API key, which is made at first start and shown this once.
pub type Announce = fn(&FirstKey<'_>) -> io::Result<()>;

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
    /// `hallpass doctor`: what was found.
    pub doctor: fn(SettingsArgs) -> BoxFuture<'static, Vec<Finding>>,
    /// `hallpass restore`: what was done, as it is shown.
    pub restore: fn(SettingsArgs, RestoreArgs) -> BoxFuture<'static, anyhow::Result<Value>>,
    /// `hallpass audit export`: how many checkpoints are in the export.
    pub export: fn(SettingsArgs, ExportArgs) -> BoxFuture<'static, anyhow::Result<i64>>,
    /// `hallpass signing-key rewrap`: how many private keys were sealed anew.
    pub rewrap: fn(SettingsArgs, RewrapArgs) -> BoxFuture<'static, anyhow::Result<usize>>,
}
