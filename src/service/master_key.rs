//! Where the master key comes from.

use std::fs::{File, OpenOptions};
use std::io::{ErrorKind, Read as _, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use zeroize::Zeroizing;

use crate::entropy::Entropy;
use crate::settings::MasterKeySource;
use crate::token::MasterKey;

/// The master key, from where the settings say. It is made where there is none and the database is
/// new; in any other case a missing key is an error, since a new one could open nothing.
pub(super) fn master_key(
    source: &MasterKeySource,
    set_up: bool,
    entropy: &dyn Entropy,
) -> anyhow::Result<MasterKey> {
    match source {
        MasterKeySource::Given(text) => {
            MasterKey::parse(text.reveal()).context("HALLPASS_MASTER_KEY")
        }
        MasterKeySource::File(path) => read_master_key(path),
        MasterKeySource::MadeAtFirstStart(path) if set_up || path.exists() => read_master_key(path),
        MasterKeySource::MadeAtFirstStart(path) => {
            make_master_key(path, entropy)?;
            read_master_key(path)
        }
    }
}

pub(super) fn read_master_key(path: &Path) -> anyhow::Result<MasterKey> {
    let mut file = File::open(path).with_context(|| {
        format!(
            "the master key {} cannot be read; without it no signing key can be opened",
            path.display()
        )
    })?;
    let mode = file.metadata()?.permissions().mode() & 0o777;
    if mode & 0o077 != 0 {
        bail!(
            "the master key {0} can be read by others (mode {mode:03o}); run: chmod 600 {0}",
            path.display()
        );
    }
    let mut text = Zeroizing::new(String::new());
    file.read_to_string(&mut text)
        .with_context(|| format!("the master key {}", path.display()))?;
    MasterKey::parse(text.trim()).with_context(|| format!("the master key {}", path.display()))
}

fn make_master_key(path: &PathBuf, entropy: &dyn Entropy) -> anyhow::Result<()> {
    if let Some(folder) = path
        .parent()
        .filter(|folder| !folder.as_os_str().is_empty())
    {
        let made = std::fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(folder);
        made.with_context(|| format!("the keys folder {} cannot be made", folder.display()))?;
    }
    let key = MasterKey::generate(entropy)?;
    // Written beside and linked into place, so that two first starts at once agree on one key and
    // none is ever seen half written.
    let beside = path.with_extension(format!("new-{}", std::process::id()));
    let mut file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(&beside)
        .with_context(|| format!("the master key {} cannot be written", path.display()))?;
    let written = file
        .write_all(key.to_base64().as_bytes())
        .and_then(|()| file.sync_all());
    let linked = written.and_then(|()| match std::fs::hard_link(&beside, path) {
        Err(error) if error.kind() == ErrorKind::AlreadyExists => Ok(()),
        result => result,
    });
    let removed = std::fs::remove_file(&beside);
    linked.with_context(|| format!("the master key {} cannot be written", path.display()))?;
    removed.with_context(|| format!("the file {} cannot be removed", beside.display()))
}
