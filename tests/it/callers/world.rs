//! The people and things that every operation is tried with.

use hallpass::domain::environment::Environment;
use hallpass::domain::secret::{KeyKind, PlainKey};
use hallpass::entropy::SeededEntropy;
use serde_json::json;

use crate::support::town::{Account, Caller, Key, Session, Town, jose_header};

/// The issuer of the tests may be an audience here, so that there are sessions for hallpass itself.
const SETTINGS: &str = "audiences = [\"https://hallpass.test/manage\"]\n\
    gate = { peers = [\"192.0.2.0/24\"] }\n";

const MANAGE: &str = "https://hallpass.test/manage";

/// An operator over a shop over a branch, and a rival of the shop. The right caller is a key of the
/// shop, but where only an operator may.
pub(super) struct World {
    pub(super) town: Town,
    pub(super) shop: Account,
    pub(super) branch: Account,
    /// The unrestricted key of the shop.
    pub(super) owner: Key,
    /// A key of the shop, to be shown and changed.
    pub(super) target: Key,
    /// A session of the shop, to be shown and revoked.
    pub(super) session: Session,
    /// A key that the shop made for the branch.
    pub(super) granted: Key,
    /// A key that the shop made for a child that has no key of its own.
    pub(super) claimer: Key,
    pub(super) operator: Key,
    /// A signing key that may be revoked.
    pub(super) kid: String,
    /// A webhook of the shop, and a delivery of it that was given up.
    pub(super) webhook: String,
    pub(super) delivery: String,
    people: People,
}

struct People {
    disabled: Key,
    revoked: Key,
    expired: Key,
    suspended: Key,
    elsewhere: Key,
    manages_nothing: Key,
    rival: Key,
    parent: Key,
    child: Key,
    test_key: Key,
    plain_session: Session,
    manage_session: Session,
    revoked_session: Session,
}

impl World {
    pub(super) async fn new() -> Self {
        let town = Town::with_settings(SETTINGS).await;
        let operator = town.operator_key().await;
        let shop = town.account("shop").await;
        let branch = shop.child("branch").await;
        let owner = shop.full_key().await;
        let target = shop.full_key().await;
        let session = owner
            .session(json!({"allowedRoutes": ["order/**"], "renewableForInSeconds": 3600}))
            .await;
        let granted = Self::grant(&town, &owner, &branch).await;
        let claimer = Self::grant(&town, &owner, &shop.child("kiosk").await).await;
        let people = Self::people(&town, &shop, &branch, &owner).await;
        let kid = jose_header(&session.token)["kid"]
            .as_str()
            .unwrap()
            .to_owned();
        let made = owner
            .post(
                "/v1/webhook/create",
                json!({"url": "https://hooks.example/"}),
            )
            .await
            .ok();
        let webhook = made["id"].as_str().unwrap().to_owned();
        let path = format!("/v1/webhook/{webhook}/test");
        let sent = owner.post(&path, json!({})).await.ok();
        let delivery = sent["id"].as_str().unwrap().to_owned();
        town.sql("UPDATE webhook_delivery SET state = 'failed'")
            .await;
        town.seal().await;
        // A signing key is published for a while before it may take over.
        town.advance_secs(700);
        Self {
            town,
            shop,
            branch,
            owner,
            target,
            session,
            granted,
            claimer,
            operator,
            kid,
            webhook,
            delivery,
            people,
        }
    }

    async fn grant(town: &Town, owner: &Key, child: &Account) -> Key {
        let path = format!("/v1/user/{}/token/create", child.id);
        let made = owner.post(&path, json!({"unrestricted": true})).await;
        Key::of(town, &made.ok())
    }

    async fn people(town: &Town, shop: &Account, branch: &Account, owner: &Key) -> People {
        let disabled = shop.full_key().await;
        let path = format!("/v1/token/{}/update", disabled.id);
        owner.post(&path, json!({"enabled": false})).await.ok();
        let revoked = shop.full_key().await;
        let path = format!("/v1/token/{}/delete", revoked.id);
        owner.post(&path, json!({})).await.ok();
        let closed = town.account("closed").await;
        let suspended = closed.full_key().await;
        let path = format!("/v1/user/{}/suspend", closed.id);
        town.first_key().await.post(&path, json!({})).await.ok();
        let soon = town.now_ms() + 60_000;
        let expired = shop
            .make_key(json!({"unrestricted": true, "expiresAt": soon}))
            .await;
        let everything = json!(["tokens", "users", "webhooks", "audit"]);
        let elsewhere = shop
            .key(json!({"allowedRoutes": ["elsewhere/**"], "manage": everything}))
            .await;
        let minter = shop
            .key(json!({"allowedRoutes": ["**"], "session": {"audiences": [MANAGE]}}))
            .await;
        let everywhere = json!({"allowedRoutes": ["**"]});
        let revoked_session = owner.session(everywhere.clone()).await;
        let path = format!("/v1/session/{}/revoke", revoked_session.id);
        owner.post(&path, json!({})).await.ok();
        People {
            disabled,
            revoked,
            expired,
            suspended,
            elsewhere,
            manages_nothing: shop.key(json!({"allowedRoutes": ["**"]})).await,
            rival: town.account("rival").await.full_key().await,
            parent: town.first_key().await,
            child: branch.full_key().await,
            test_key: shop.test_key().await,
            plain_session: owner.session(everywhere).await,
            manage_session: minter
                .session(json!({"allowedRoutes": ["**"], "audience": MANAGE}))
                .await,
            revoked_session,
        }
    }

    pub(super) fn malformed(&self) -> Caller {
        self.town.nobody().header("authorization", "Bearer")
    }

    pub(super) fn unknown(&self) -> Caller {
        let key = PlainKey::generate(KeyKind::Secret, Environment::Live, &SeededEntropy::new(99));
        self.town.bearer(key.unwrap().expose())
    }

    pub(super) fn wrong_checksum(&self) -> Caller {
        let mut token = self.owner.token.clone();
        let last = token.pop().unwrap();
        token.push(if last == 'a' { 'b' } else { 'a' });
        self.town.bearer(&token)
    }

    pub(super) fn disabled(&self) -> Caller {
        self.people.disabled.caller()
    }

    pub(super) fn revoked(&self) -> Caller {
        self.people.revoked.caller()
    }

    pub(super) fn expired(&self) -> Caller {
        self.people.expired.caller()
    }

    pub(super) fn suspended(&self) -> Caller {
        self.people.suspended.caller()
    }

    pub(super) fn scoped_elsewhere(&self) -> Caller {
        self.people.elsewhere.caller()
    }

    pub(super) fn manages_nothing(&self) -> Caller {
        self.people.manages_nothing.caller()
    }

    pub(super) fn rival(&self) -> Caller {
        self.people.rival.caller()
    }

    pub(super) fn parent(&self) -> Caller {
        self.people.parent.caller()
    }

    pub(super) fn child(&self) -> Caller {
        self.people.child.caller()
    }

    pub(super) fn test_key(&self) -> Caller {
        self.people.test_key.caller()
    }

    pub(super) fn plain_session(&self) -> Caller {
        self.people.plain_session.caller()
    }

    pub(super) fn manage_session(&self) -> Caller {
        self.people.manage_session.caller()
    }

    pub(super) fn revoked_session(&self) -> Caller {
        self.people.revoked_session.caller()
    }

    /// Signed for other claims.
    pub(super) fn broken_session(&self) -> Caller {
        let (head, _) = self.session.token.rsplit_once('.').unwrap();
        let (_, signature) = self.people.plain_session.token.rsplit_once('.').unwrap();
        self.town.bearer(&format!("{head}.{signature}"))
    }
}
