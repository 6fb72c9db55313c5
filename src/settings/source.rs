//! Where the values of settings are looked for: flag, environment, file, default.

use std::ops::RangeInclusive;
use std::path::Path;

use super::error::{Problem, SettingError, Source};

/// The names of a setting: in the file, on the command line, in the environment.
pub(super) struct Names {
    pub(super) setting: &'static str,
    flag: &'static str,
    variable: &'static str,
}

impl Names {
    pub(super) const LISTEN: Self = Self::new("listen", "--listen", "HALLPASS_LISTEN");
    pub(super) const ISSUER: Self = Self::new("issuer", "--issuer", "HALLPASS_ISSUER");
    pub(super) const DATABASE_URL: Self =
        Self::new("database_url", "--database-url", "HALLPASS_DATABASE_URL");
    pub(super) const DATABASE_DIRECT_URL: Self =
        Self::without_flag("database_direct_url", "HALLPASS_DATABASE_DIRECT_URL");
    pub(super) const KEYS_DIR: Self = Self::new("keys_dir", "--keys-dir", "HALLPASS_KEYS_DIR");
    pub(super) const CONFIG: Self = Self::new("config", "--config", "HALLPASS_CONFIG");
    pub(super) const MASTER_KEY: Self = Self::without_flag("master_key", "HALLPASS_MASTER_KEY");
    pub(super) const MASTER_KEY_FILE: Self =
        Self::without_flag("master_key_file", "HALLPASS_MASTER_KEY_FILE");
    pub(super) const AUDIENCE: Self = Self::without_flag("audience", "HALLPASS_AUDIENCE");
    pub(super) const ALGORITHM: Self = Self::without_flag("algorithm", "HALLPASS_ALGORITHM");
    pub(super) const GATE_SECRET: Self = Self::without_flag("gate.secret", "HALLPASS_GATE_SECRET");
    pub(super) const LOG: Self = Self::without_flag("log", "HALLPASS_LOG");
    pub(super) const LOG_FORMAT: Self = Self::without_flag("log_format", "HALLPASS_LOG_FORMAT");

    const fn new(setting: &'static str, flag: &'static str, variable: &'static str) -> Self {
        Self {
            setting,
            flag,
            variable,
        }
    }

    const fn without_flag(setting: &'static str, variable: &'static str) -> Self {
        Self::new(setting, "", variable)
    }
}

/// Where a setting is looked for.
pub(super) struct Sources<'a> {
    pub(super) environment: &'a dyn Fn(&str) -> Option<String>,
    pub(super) config_path: &'a Path,
}

/// A text with its origin, before it is read.
pub(super) struct Picked {
    pub(super) setting: &'static str,
    pub(super) found: Option<(String, Source)>,
}

impl Sources<'_> {
    pub(super) fn pick(
        &self,
        names: &Names,
        flag: Option<&str>,
        in_file: Option<String>,
    ) -> Result<Picked, SettingError> {
        let found = flag
            .map(|text| (text.to_owned(), Source::Flag(names.flag)))
            .or_else(|| {
                (self.environment)(names.variable)
                    .map(|text| (text, Source::Environment(names.variable)))
            })
            .or_else(|| in_file.map(|text| (text, self.file())));
        match found {
            // An empty value is most often a variable that was meant to be filled in.
            Some((text, from)) if text.trim().is_empty() => {
                Err(SettingError::new(names.setting, from, Problem::Empty))
            }
            found => Ok(Picked {
                setting: names.setting,
                found,
            }),
        }
    }

    pub(super) fn file(&self) -> Source {
        Source::File(self.config_path.to_owned())
    }

    pub(super) fn wrong(&self, setting: impl Into<String>, problem: Problem) -> SettingError {
        SettingError::new(setting, self.file(), problem)
    }

    pub(super) fn bounded(
        &self,
        setting: &str,
        given: Option<u32>,
        default: u32,
        max: u32,
    ) -> Result<u32, SettingError> {
        self.within(setting, given, default, 1..=max)
    }

    pub(super) fn within(
        &self,
        setting: &str,
        given: Option<u32>,
        default: u32,
        range: RangeInclusive<u32>,
    ) -> Result<u32, SettingError> {
        let value = given.unwrap_or(default);
        if range.contains(&value) {
            return Ok(value);
        }
        let (min, max) = range.into_inner();
        Err(self.wrong(setting, Problem::OutOfRange { min, max }))
    }
}

impl Picked {
    pub(super) fn or_default(self, default: &str) -> Found {
        let (text, from) = self
            .found
            .unwrap_or_else(|| (default.to_owned(), Source::Default));
        Found {
            setting: self.setting,
            text,
            from,
        }
    }
}

/// A text that somebody or the default gave.
pub(super) struct Found {
    pub(super) setting: &'static str,
    pub(super) text: String,
    pub(super) from: Source,
}

impl Found {
    pub(super) fn read<T>(
        self,
        read: impl FnOnce(&str) -> Result<T, Problem>,
    ) -> Result<T, SettingError> {
        read(&self.text).map_err(|problem| SettingError::new(self.setting, self.from, problem))
    }
}
