//! API keys as the API shows them.

use serde::{Deserialize, Serialize};

use super::find_visible;
use crate::app::App;
use crate::app::authorise::Caller;
use crate::app::error::Error;
use crate::app::pulse::reborrow;
use crate::domain::api_key::ApiKey;
use crate::domain::config::Config;
use crate::domain::environment::Environment;
use crate::domain::id::{AccountId, KeyId};
use crate::domain::secret::{KeyKind, PlainKey};
use crate::domain::text::JsonObject;
use crate::domain::time::Timestamp;
use crate::store::api_keys::Filter;
use crate::store::{Batch, Conn, Page, api_keys, secrets};

/// The answer that shows a secret, once.
#[derive(Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[expect(
    missing_docs,
    reason = "the names on the wire, described in openapi.yaml"
)]
pub struct TokenCreated {
    pub id: KeyId,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub token: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub hint: Option<String>,
    pub created_at: Timestamp,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub previous_expires_at: Option<Timestamp>,
}

impl std::fmt::Debug for TokenCreated {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("TokenCreated")
            .field("id", &self.id)
            .finish_non_exhaustive()
    }
}

impl TokenCreated {
    /// With a secret, which is shown this once.
    pub(super) fn shown(
        id: &KeyId,
        secret: &PlainKey,
        created_at: Timestamp,
        previous_expires_at: Option<Timestamp>,
    ) -> Self {
        Self {
            id: id.clone(),
            token: Some(secret.expose().to_owned()),
            hint: Some(secret.hint()),
            created_at,
            previous_expires_at,
        }
    }
}

/// A secret as the API shows it.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
#[expect(
    missing_docs,
    reason = "the names on the wire, described in openapi.yaml"
)]
pub struct SecretItem {
    pub hint: String,
    pub created_at: Timestamp,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<Timestamp>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_used_at: Option<Timestamp>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_used_address: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_used_agent: Option<String>,
}

/// A key as the API shows it. There is no secret in it.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
#[expect(
    missing_docs,
    reason = "the names on the wire, described in openapi.yaml"
)]
pub struct TokenItem {
    pub id: KeyId,
    pub user_id: AccountId,
    pub kind: KeyKind,
    pub environment: Environment,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub meta: Option<JsonObject>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub external_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
    pub enabled: bool,
    pub state: &'static str,
    pub operator: bool,
    pub unrestricted: bool,
    pub config: Config,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<Timestamp>,
    pub created_at: Timestamp,
    pub updated_at: Timestamp,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_used_at: Option<Timestamp>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_used_address: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_used_agent: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub maker_id: Option<KeyId>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub grantor_id: Option<AccountId>,
    pub lineage: Vec<KeyId>,
    pub secrets: Vec<SecretItem>,
}

impl App {
    /// The keys of the caller's account, or of the child that it acts as.
    ///
    /// # Errors
    /// [`Error`].
    pub async fn list_tokens(
        &self,
        caller: &Caller,
        mut filter: Filter,
        page: &Page,
    ) -> Result<Batch<TokenItem>, Error> {
        if caller.effective.environment == Environment::Test {
            if filter.environment == Some(Environment::Live) {
                return Ok(page.batch(Vec::new(), |item: &TokenItem| item.id.as_str()));
            }
            filter.environment = Some(Environment::Test);
        }
        let mut read = self.store.read().await?;
        let keys = api_keys::list(read.conn(), caller.account(), &filter, page).await?;
        let mut items = Vec::with_capacity(keys.len());
        for key in &keys {
            items.push(self.item(read.conn(), key).await?);
        }
        Ok(page.batch(items, |item| item.id.as_str()))
    }

    /// A key of the caller's account, or of the child that it acts as.
    ///
    /// # Errors
    /// [`Error::NotFound`].
    pub async fn fetch_token(&self, caller: &Caller, id: &str) -> Result<TokenItem, Error> {
        let mut read = self.store.read().await?;
        let key = find_visible(read.conn(), caller, id).await?;
        self.item(read.conn(), &key).await
    }

    pub(crate) async fn item(&self, mut conn: Conn<'_>, key: &ApiKey) -> Result<TokenItem, Error> {
        let secrets = secrets::of_key(reborrow(&mut conn), &key.id).await?;
        let makers = match key.maker {
            None => Vec::new(),
            Some(_) => api_keys::lineage(conn, &key.id)
                .await?
                .map(|(_, makers)| makers)
                .unwrap_or_default(),
        };
        let last = secrets
            .iter()
            .filter_map(|secret| secret.last_used.as_ref())
            .max_by_key(|used| used.at);
        let state = match key.expires_at {
            Some(at) if at <= self.now() => "expired",
            _ if key.enabled => "active",
            _ => "disabled",
        };
        Ok(TokenItem {
            id: key.id.clone(),
            user_id: key.account.clone(),
            kind: key.kind,
            environment: key.environment,
            name: key.profile.name.clone(),
            description: key.profile.description.clone(),
            meta: key.profile.meta.clone(),
            external_id: key.profile.external_id.clone(),
            hint: secrets.first().map(|secret| secret.hint.clone()),
            enabled: key.enabled,
            state,
            operator: key.operator,
            unrestricted: key.is_unrestricted(),
            config: Config::from_restrictions(&key.restrictions),
            expires_at: key.expires_at,
            created_at: key.created_at,
            updated_at: key.updated_at,
            last_used_at: last.map(|used| used.at),
            last_used_address: last.and_then(|used| used.address.clone()),
            last_used_agent: last.and_then(|used| used.agent.clone()),
            maker_id: key.maker.clone(),
            grantor_id: key.grantors.first().cloned(),
            lineage: makers.into_iter().map(|maker| maker.id).collect(),
            secrets: secrets
                .iter()
                .map(|secret| SecretItem {
                    hint: secret.hint.clone(),
                    created_at: secret.created_at,
                    expires_at: secret.expires_at,
                    last_used_at: secret.last_used.as_ref().map(|used| used.at),
                    last_used_address: secret
                        .last_used
                        .as_ref()
                        .and_then(|used| used.address.clone()),
                    last_used_agent: secret
                        .last_used
                        .as_ref()
                        .and_then(|used| used.agent.clone()),
                })
                .collect(),
        })
    }
}
