//! Things to store, with every field set to something that could get lost.

use std::sync::atomic::{AtomicI64, Ordering};

use hallpass::domain::account::{Account, AccountState, ImpersonationPolicy, Profile};
use hallpass::domain::api_key::{ApiKey, KeyProfile};
use hallpass::domain::audit::{Action, Entry, Outcome};
use hallpass::domain::config::Config;
use hallpass::domain::environment::Environment;
use hallpass::domain::id::{
    AccountId, AuditId, DeliveryId, EventId, KeyId, RequestId, SessionId, WebhookId,
};
use hallpass::domain::liveness::{LogId, Position, Rev, Tag, Tags};
use hallpass::domain::permission::Permissions;
use hallpass::domain::profile::ProfileUse;
use hallpass::domain::route::{PlaceholderValue, RouteSet};
use hallpass::domain::secret::{KeyKind, PlainKey};
use hallpass::domain::session::{Origin, Session, SessionScope};
use hallpass::domain::text::{Email, JsonObject};
use hallpass::domain::time::Timestamp;
use hallpass::domain::webhook::{DeliveryState, EventFilter, EventKind};
use hallpass::entropy::SeededEntropy;
use hallpass::store::secrets::Secret;
use hallpass::store::webhook_outbox::{Delivery, Event};
use hallpass::store::webhooks::{Health, Webhook};
use hallpass::store::{Order, Page, Store, accounts, api_keys};
use serde_json::json;

/// An instant with milliseconds, so that a rounding shows.
pub(super) const START: i64 = 1_764_000_000_123;

/// Makes things, each a millisecond after the one before.
#[derive(Debug)]
pub(super) struct Maker {
    entropy: SeededEntropy,
    next_ms: AtomicI64,
}

impl Maker {
    pub(super) fn new() -> Self {
        Self {
            entropy: SeededEntropy::new(7),
            next_ms: AtomicI64::new(START),
        }
    }

    pub(super) fn now(&self) -> Timestamp {
        Timestamp::from_millis(self.next_ms.fetch_add(1, Ordering::SeqCst))
    }

    pub(super) fn tag(&self) -> Tag {
        Tag::new(&self.entropy).unwrap()
    }

    pub(super) fn log(&self) -> LogId {
        LogId::new(&self.entropy).unwrap()
    }

    /// An account with nothing that may be left out.
    pub(super) fn account(&self, parent: Option<&Account>) -> Account {
        let now = self.now();
        Account {
            id: AccountId::new(now, &self.entropy).unwrap(),
            parent: parent.map(|parent| parent.id.clone()),
            depth: parent.map_or(1, |parent| parent.depth + 1),
            profile: Profile::default(),
            state: AccountState::Active,
            can_impersonate: true,
            impersonation_policy: ImpersonationPolicy::Allow,
            tag: self.tag(),
            child_tag: self.tag(),
            parent_tag: self.tag(),
            denied_at: None,
            barred_at: None,
            created_at: now,
            updated_at: now,
        }
    }

    /// An account with everything.
    pub(super) fn full_account(&self, parent: Option<&Account>) -> Account {
        Account {
            profile: full_profile(),
            can_impersonate: false,
            impersonation_policy: ImpersonationPolicy::Deny,
            // The highest bit is a sign in the database.
            tag: Tag::from_i64(-1),
            denied_at: Some(Position::new(START * 1000)),
            barred_at: Some(Position::new(START * 1000 + 1)),
            updated_at: self.now(),
            ..self.account(parent)
        }
    }

    /// A key with nothing that may be left out.
    pub(super) fn key(&self, account: &Account, maker: Option<&ApiKey>) -> ApiKey {
        let now = self.now();
        ApiKey {
            id: KeyId::new(now, &self.entropy).unwrap(),
            account: account.id.clone(),
            maker: maker.map(|maker| maker.id.clone()),
            grantors: Vec::new(),
            depth: maker.map_or(1, |maker| maker.depth + 1),
            environment: Environment::Live,
            kind: KeyKind::Secret,
            profile: KeyProfile::default(),
            enabled: true,
            operator: false,
            declared_unrestricted: true,
            restrictions: Config::default().parse_stored().unwrap(),
            expires_at: None,
            ended: None,
            tag: self.tag(),
            line_tag: self.tag(),
            made_at: Position::new(now.millis() * 1000),
            line_cut_at: None,
            created_at: now,
            updated_at: now,
        }
    }

    /// A key with everything.
    pub(super) fn full_key(&self, account: &Account, maker: Option<&ApiKey>) -> ApiKey {
        ApiKey {
            grantors: account.parent.iter().cloned().collect(),
            environment: Environment::Test,
            kind: KeyKind::Integration,
            profile: KeyProfile {
                name: Some("Kasse \u{1F511}".to_owned()),
                description: Some("first line\nsecond line".to_owned()),
                meta: Some(object(json!({"shop": "Zürich", "nil": "\u{0}"}))),
                external_id: Some("till-1".to_owned()),
            },
            enabled: false,
            operator: true,
            declared_unrestricted: false,
            restrictions: full_config().parse_stored().unwrap(),
            expires_at: Some(self.now()),
            line_cut_at: Some(Position::new(START * 1000 + 7)),
            updated_at: self.now(),
            ..self.key(account, maker)
        }
    }

    pub(super) fn secret(&self, key: &ApiKey) -> Secret {
        let plain = PlainKey::generate(key.kind, key.environment, &self.entropy).unwrap();
        Secret {
            digest: plain.digest(),
            key: key.id.clone(),
            hint: plain.hint(),
            created_at: self.now(),
            expires_at: None,
            last_used: None,
        }
    }

    /// A session with nothing that may be left out.
    pub(super) fn session(&self, account: &Account, key: &ApiKey) -> Session {
        let now = self.now();
        let id = SessionId::new(now, &self.entropy).unwrap();
        let mut tags = Tags::new();
        tags.add(key.tag);
        Session {
            id: id.clone(),
            family: id,
            family_tag: self.tag(),
            origin: Origin::Mint,
            account: account.id.clone(),
            actors: Vec::new(),
            key: key.id.clone(),
            environment: Environment::Live,
            audience: "https://api.example.com".to_owned(),
            scope: SessionScope {
                routes: RouteSet::parse(["**"]).unwrap(),
                permissions: None,
                bindings: hallpass::domain::binding::Bindings::default(),
                domains: None,
            },
            data: None,
            tags,
            rev: Rev {
                log: LogId::from_i64(5),
                position: Position::new(START * 1000),
            },
            duration_secs: 900,
            profile: None,
            issued_at: now.floor_to_secs(),
            expires_at: now.floor_to_secs().plus_secs(900),
            renewable_until: None,
            request: RequestId::new(now, &self.entropy).unwrap(),
            address: None,
        }
    }

    /// A session with everything.
    pub(super) fn full_session(&self, account: &Account, key: &ApiKey) -> Session {
        let plain = self.session(account, key);
        let restrictions = full_config().parse_stored().unwrap();
        let mut tags = plain.tags.clone();
        tags.add(Tag::from_i64(i64::MIN));
        Session {
            family: SessionId::new(self.now(), &self.entropy).unwrap(),
            origin: Origin::Exchange,
            actors: account.parent.iter().cloned().collect(),
            environment: Environment::Test,
            scope: SessionScope {
                routes: RouteSet::parse(["POST bot/*/session/create", "conversation/**"]).unwrap(),
                permissions: Some(Permissions::default()),
                bindings: restrictions.bindings,
                domains: restrictions.domains,
            },
            data: Some(object(
                json!({"contact": {"name": "Ann"}, "list": [1, 2.5, null]}),
            )),
            tags,
            duration_secs: 60,
            profile: Some(ProfileUse {
                path: "bot/{botId}".to_owned(),
                values: [("botId".to_owned(), PlaceholderValue::parse("b1").unwrap())].into(),
            }),
            renewable_until: Some(plain.expires_at.plus_secs(3600)),
            address: Some("2001:db8::7".parse().unwrap()),
            ..plain
        }
    }

    /// A webhook.
    pub(super) fn webhook(&self, account: &Account) -> Webhook {
        let now = self.now();
        Webhook {
            id: WebhookId::new(now, &self.entropy).unwrap(),
            account: account.id.clone(),
            url: "https://example.com/hooks".to_owned(),
            description: Some("till".to_owned()),
            meta: Some(object(json!({"a": 1}))),
            events: EventFilter::parse(&["token.reported".to_owned()]).unwrap(),
            enabled: true,
            sealed_secret: b"sealed".to_vec(),
            sealed_old_secret: None,
            old_secret_until: None,
            health: Health::default(),
            created_at: now,
            updated_at: now,
        }
    }

    /// An event for a webhook.
    pub(super) fn delivery(&self, webhook: &Webhook) -> (Event, Delivery) {
        let now = self.now();
        let event = Event {
            id: EventId::new(now, &self.entropy).unwrap(),
            kind: EventKind::TokenReported,
            environment: Some(Environment::Live),
            body: "{}".to_owned(),
            created_at: now,
        };
        let delivery = Delivery {
            id: DeliveryId::new(now, &self.entropy).unwrap(),
            webhook: webhook.id.clone(),
            event: event.id.clone(),
            subject: "key".to_owned(),
            ordinal: now.millis(),
            state: DeliveryState::Pending,
            attempts: 0,
            due_at: now,
            tried_at: None,
            status: None,
            problem: None,
            duration_ms: None,
            replay_of: None,
            created_at: now,
        };
        (event, delivery)
    }

    /// An entry with nothing that may be left out.
    pub(super) fn entry(&self, account: &Account) -> Entry {
        let now = self.now();
        Entry {
            id: AuditId::new(now, &self.entropy).unwrap(),
            at: now,
            action: Action::UserCreate,
            outcome: Outcome::Done,
            account: account.id.clone(),
            actor: None,
            key: None,
            session: None,
            target: None,
            request: None,
            address: None,
            details: JsonObject::new(),
        }
    }

    /// An entry with everything.
    pub(super) fn full_entry(&self, account: &Account) -> Entry {
        let now = self.now();
        Entry {
            action: Action::SigningKeyRewrap,
            outcome: Outcome::Refused,
            actor: account.parent.clone(),
            key: Some(KeyId::new(now, &self.entropy).unwrap()),
            session: Some(SessionId::new(now, &self.entropy).unwrap()),
            target: Some("whatever it was".to_owned()),
            request: Some(RequestId::new(now, &self.entropy).unwrap()),
            address: Some("192.0.2.1".parse().unwrap()),
            details: object(json!({"reason": "ROUTE_NOT_COVERED"})),
            ..self.entry(account)
        }
    }

    /// A stored account.
    pub(super) async fn stored_account(&self, store: &Store, parent: Option<&Account>) -> Account {
        let account = self.account(parent);
        let mut tx = store.write().await.unwrap();
        accounts::insert(tx.conn(), &account).await.unwrap();
        tx.commit().await.unwrap();
        account
    }

    /// A stored key.
    pub(super) async fn stored_key(
        &self,
        store: &Store,
        account: &Account,
        maker: Option<&ApiKey>,
    ) -> ApiKey {
        let key = self.key(account, maker);
        let mut tx = store.write().await.unwrap();
        api_keys::insert(tx.conn(), &key).await.unwrap();
        tx.commit().await.unwrap();
        key
    }
}

pub(super) fn email(text: &str) -> Email {
    Email::parse(text).unwrap()
}

pub(super) fn object(value: serde_json::Value) -> JsonObject {
    serde_json::from_value(value).unwrap()
}

pub(super) fn full_profile() -> Profile {
    Profile {
        name: Some("Läden & Söhne".to_owned()),
        email: Some(email("ann@example.com")),
        alias: Some("shop".to_owned()),
        description: Some("'; DROP TABLE account; --".to_owned()),
        image: Some("https://example.com/a.png".to_owned()),
        limits: Some(object(json!({"tokens": 10, "database": {"files": 1.5}}))),
        // The order of members is kept, too.
        meta: Some(object(json!({"z": 1, "a": [true, null], "": "\u{0}"}))),
        external_id: Some("customer-1".to_owned()),
    }
}

fn full_config() -> Config {
    serde_json::from_value(json!({
        "allowedRoutes": ["bot/**", "POST conversation/*/session/create"],
        "permissions": ["bots:read", "left-the-vocabulary:write"],
        "bindings": {"project": ["p1", "p2"], "bot": []},
        "domains": ["example.com", "*.example.org"],
        "cidrs": ["192.0.2.0/24", "2001:db8::/32"],
        "session": {
            "allowedRoutes": [],
            "permissions": ["bots:read"],
            "audiences": ["https://api.example.com"],
            "maxDurationInSeconds": 60,
            "maxRenewableInSeconds": 3600,
        },
        "impersonation": {"allowedRoutes": ["conversation/**"]},
        "manage": ["audit"],
        "rateLimit": {"requests": 10, "perSeconds": 60},
    }))
    .unwrap()
}

pub(super) fn page(order: Order, after: Option<&str>, take: u32) -> Page {
    Page {
        after: after.map(str::to_owned),
        order,
        take,
    }
}

/// Reads a list to its end in pages of two, each behind the last id of the one before, and says the
/// ids. The list is a function of a page.
macro_rules! walk {
    ($store:expr, $order:expr, |$conn:ident, $page:ident| $list:expr) => {{
        let mut ids: Vec<String> = Vec::new();
        loop {
            let $page = crate::storage::fixtures::page($order, ids.last().map(String::as_str), 2);
            let mut read = $store.read().await.unwrap();
            let $conn = read.conn();
            let items = $list.await.unwrap();
            assert!(items.len() <= 2, "a page is no longer than it may be");
            if items.is_empty() {
                break ids;
            }
            ids.extend(items.iter().map(|item| item.id.as_str().to_owned()));
        }
    }};
}
pub(super) use walk;

pub(super) fn reversed(ids: &[String]) -> Vec<String> {
    ids.iter().rev().cloned().collect()
}
