//! The row of a session that is new, and the statement that stores many of them.

use std::borrow::Cow;
use std::sync::{Arc, OnceLock};

use serde::Serialize;
use sqlx::{Arguments as _, Database};

use super::{Detail, DetailProfile, ROWS_MAX};
use crate::domain::config;
use crate::domain::id::{AccountId, KeyId, RequestId, SessionId};
use crate::domain::permission::Permissions;
use crate::domain::session::Session;
use crate::domain::time::Timestamp;
use crate::store::StoreError;
use crate::store::error::to_json;

/// The row of a minted session, ready to be stored. Its fields and their order are those of the entry
/// that is sealed.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct NewRow {
    id: SessionId,
    family_id: SessionId,
    account_id: AccountId,
    parent_id: Option<AccountId>,
    actor_id: Option<AccountId>,
    key_id: KeyId,
    environment: &'static str,
    audience: Arc<str>,
    issued_at: i64,
    expires_at: i64,
    renewable_until: Option<i64>,
    family_tag: i64,
    tags: Arc<str>,
    log_id: i64,
    position: i64,
    request_id: RequestId,
    address: Option<Arc<str>>,
    detail: Arc<str>,
}

impl NewRow {
    /// The id of the session.
    pub fn id(&self) -> &str {
        self.id.as_str()
    }

    /// What the ledger seals of it, as [`crate::store::ledger::Sealed::bytes`] gives it once it is stored.
    ///
    /// # Errors
    /// [`serde_json::Error`].
    pub fn sealed(&self) -> Result<Vec<u8>, serde_json::Error> {
        serde_json::to_vec(self)
    }

    /// The row of a session. `parent` is the parent of its account, whose ledger it is in, too.
    ///
    /// # Errors
    /// [`StoreError::Database`] when its details cannot be written as JSON, which never happens.
    pub fn new(session: &Session, parent: Option<&AccountId>) -> Result<Self, StoreError> {
        let Session {
            id,
            family,
            family_tag,
            origin,
            account,
            actors,
            key,
            environment,
            audience,
            scope,
            data,
            tags,
            rev,
            duration_secs,
            profile,
            issued_at,
            expires_at,
            renewable_until,
            request,
            address,
        } = session;
        let detail = Detail {
            origin: origin.as_str().into(),
            actors: actors.as_slice().into(),
            allowed_routes: scope.routes.clone(),
            scope: scope.permissions.as_ref().map(Permissions::to_scope),
            bindings: config::bindings_to_map(&scope.bindings),
            domains: scope
                .domains
                .as_ref()
                .map(crate::domain::origin::Domains::to_strings),
            data: data.as_ref().map(Cow::Borrowed),
            duration_secs: *duration_secs,
            profile: profile.as_ref().map(|profile| DetailProfile {
                path: profile.path.clone(),
                values: profile.values.clone(),
            }),
        };
        Ok(Self {
            id: id.clone(),
            family_id: family.clone(),
            account_id: account.clone(),
            parent_id: parent.cloned(),
            actor_id: actors.first().cloned(),
            key_id: key.clone(),
            environment: environment.as_str(),
            audience: audience.as_str().into(),
            issued_at: issued_at.millis(),
            expires_at: expires_at.millis(),
            renewable_until: renewable_until.map(Timestamp::millis),
            family_tag: family_tag.to_i64(),
            tags: tags.encode().into(),
            log_id: rev.log.to_i64(),
            position: rev.position.get(),
            request_id: request.clone(),
            address: address.map(|address| address.to_string().into()),
            detail: to_json(&detail)?.into(),
        })
    }
}

/// A connection over which new rows are stored.
pub(super) trait Insertion {
    /// Its database.
    type In: Database;

    /// The statement that stores as many rows, and its values.
    ///
    /// # Errors
    /// [`StoreError`], for no rows and for more than [`ROWS_MAX`], too.
    fn insertion(
        &self,
        rows: &[NewRow],
    ) -> Result<(&'static str, <Self::In as Database>::Arguments), StoreError>;
}

fn refused(why: &'static str) -> StoreError {
    StoreError::Database(sqlx::Error::Encode(why.into()))
}

/// The values of rows in the order of [`COLUMNS`]: `$text` makes a value of a text, `$shared` of one
/// that is shared.
macro_rules! values {
    ($database:ty, $rows:expr, $text:expr, $shared:expr) => {{
        let mut values = <$database as Database>::Arguments::default();
        values.reserve($rows.len() * WIDTH, $rows.len() * ROW_BYTES);
        for row in $rows {
            let NewRow {
                id,
                family_id,
                account_id,
                parent_id,
                actor_id,
                key_id,
                environment,
                audience,
                issued_at,
                expires_at,
                renewable_until,
                family_tag,
                tags,
                log_id,
                position,
                request_id,
                address,
                detail,
            } = row;
            macro_rules! add {
                ($value:expr) => {
                    values.add($value).map_err(sqlx::Error::Encode)?
                };
            }
            add!($text(id.as_str()));
            add!($text(family_id.as_str()));
            add!($text(account_id.as_str()));
            add!(parent_id.as_ref().map(AccountId::as_str).map($text));
            add!(actor_id.as_ref().map(AccountId::as_str).map($text));
            add!($text(key_id.as_str()));
            add!($text(*environment));
            add!($shared(audience));
            add!(*issued_at);
            add!(*expires_at);
            add!(*renewable_until);
            add!(*family_tag);
            add!($shared(tags));
            add!(*log_id);
            add!(*position);
            add!($text(request_id.as_str()));
            add!(address.as_ref().map($shared));
            add!($shared(detail));
        }
        // A value that is forgotten would be NULL on SQLite, silently.
        if values.len() != $rows.len() * WIDTH {
            return Err(refused("a row has as many values as columns"));
        }
        values
    }};
}

#[cfg(feature = "sqlite")]
impl Insertion for sqlx::SqliteConnection {
    type In = sqlx::Sqlite;

    fn insertion(
        &self,
        rows: &[NewRow],
    ) -> Result<(&'static str, sqlx::sqlite::SqliteArguments), StoreError> {
        static TEXTS: Texts = [const { OnceLock::new() }; ROWS_MAX];
        let text = text_of(&TEXTS, rows.len(), |_| "?".to_owned())?;
        // A text that is shared is taken as it is, and any other is copied twice.
        let values = values!(sqlx::Sqlite, rows, Arc::<str>::from, Arc::clone);
        Ok((text, values))
    }
}

#[cfg(feature = "postgres")]
impl Insertion for sqlx::PgConnection {
    type In = sqlx::Postgres;

    fn insertion(
        &self,
        rows: &[NewRow],
    ) -> Result<(&'static str, sqlx::postgres::PgArguments), StoreError> {
        fn shared(text: &Arc<str>) -> &str {
            text
        }

        static TEXTS: Texts = [const { OnceLock::new() }; ROWS_MAX];
        let text = text_of(&TEXTS, rows.len(), |number| format!("${number}"))?;
        let values = values!(sqlx::Postgres, rows, std::convert::identity::<&str>, shared);
        Ok((text, values))
    }
}

const COLUMNS: &str = "id, family_id, account_id, parent_id, actor_id, key_id, environment, audience,
     issued_at, expires_at, renewable_until, family_tag, tags, log_id, position, request_id, address,
     detail";
/// How many columns these are.
const WIDTH: usize = 18;
/// About what the values of a row take up.
const ROW_BYTES: usize = 640;

/// The texts of the statement by the number of rows.
type Texts = [OnceLock<String>; ROWS_MAX];

fn text_of(
    texts: &'static Texts,
    rows: usize,
    placeholder: impl Fn(usize) -> String,
) -> Result<&'static str, StoreError> {
    let text = texts.get(rows.wrapping_sub(1));
    let text = text.ok_or_else(|| refused("there are too many rows, or none"))?;
    Ok(text.get_or_init(|| {
        let row = |row: usize| {
            let places: Vec<String> = (1..=WIDTH)
                .map(|place| placeholder(row * WIDTH + place))
                .collect();
            format!("({})", places.join(", "))
        };
        let rows: Vec<String> = (0..rows).map(row).collect();
        format!("INSERT INTO session ({COLUMNS}) VALUES {}", rows.join(", "))
    }))
}
