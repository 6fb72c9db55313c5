//! Recall: identification by what is remembered, without the database.
//!
//! What was read from the database is remembered with the position as of which it was read. It is
//! believed only while nothing that it consists of was touched above that position, by knowledge of
//! the change log that is fresh ([`Pulse::as_of`]); else it is read again. Refusals that depend on
//! what is in the database are never made from memory, so that time tells nothing.
//!
//! [`Pulse::as_of`]: crate::app::pulse::Pulse::as_of

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU32, Ordering};

use super::compact::CompactKeys;
use super::{Credential, Door, Facts, Identified, Presented, RouteCheck, SessionCaller, Who, Wish};
use crate::app::App;
use crate::app::error::Error;
use crate::app::memory::{ByDigest, Memory, Quick, Weigh};
use crate::domain::account::{Account, AccountChain, Profile};
use crate::domain::api_key::{ApiKey, KeyChain};
use crate::domain::binding::Bindings;
use crate::domain::effective::Effective;
use crate::domain::id::AccountId;
use crate::domain::liveness::{Rev, Tags};
use crate::domain::origin::Domains;
use crate::domain::permission::Permissions;
use crate::domain::restrictions::Restrictions;
use crate::domain::run_as::{RunAs, act_as};
use crate::domain::secret::KeyDigest;
use crate::domain::text::Email;
use crate::domain::time::Timestamp;

/// How much is remembered, in bytes.
const KEYS_BYTES_MAX: usize = 8 << 20;
/// Some 650,000 keys, ten of each account, that are named and narrowed alike; those that were not used
/// for longest are read again.
const COMPACT_BYTES_MAX: usize = 112 << 20;
const TOKENS_BYTES_MAX: usize = 32 << 20;
const ACCOUNTS_BYTES_MAX: usize = 16 << 20;
const EMAILS_BYTES_MAX: usize = 4 << 20;

/// What is remembered of callers.
#[derive(Debug)]
pub(crate) struct Remembered {
    keys: Memory<ByDigest, KnownKey, Quick>,
    compact: CompactKeys,
    lately: CameLately,
    tokens: Memory<ByDigest, KnownToken, Quick>,
    accounts: Memory<AccountId, KnownAccount>,
    emails: Memory<(AccountId, Email), AccountId>,
}

/// A key by one of its secrets, as it was read.
#[derive(Debug)]
pub(super) struct KnownKey {
    pub(super) chain: Arc<KeyChain>,
    pub(super) effective: Arc<Effective>,
    pub(super) secret_expires_at: Option<Timestamp>,
    rows: Tags,
    pub(super) read_at: Rev,
    /// When a use of the secret was noted last.
    pub(super) noted_ms: AtomicI64,
}

/// A token whose signature and claims were good, under the digest of its signature.
#[derive(Debug)]
struct KnownToken {
    /// What was signed. Without the signature it opens nothing, so it is kept as it is and
    /// compared, which is less work than a digest of it.
    signed: Box<str>,
    caller: Arc<SessionCaller>,
}

/// An account with all above it, as it was read.
#[derive(Debug)]
struct KnownAccount {
    chain: Arc<AccountChain>,
    rows: Tags,
    read_at: Rev,
}

/// A caller that was recalled, and the child that it wants to act as.
pub(super) struct Recalled {
    pub(super) identified: Identified,
    pub(super) child: Option<Arc<AccountChain>>,
}

impl Remembered {
    /// Nothing yet.
    pub(crate) fn nothing() -> Self {
        Self {
            keys: Memory::new(KEYS_BYTES_MAX),
            compact: CompactKeys::new(COMPACT_BYTES_MAX),
            lately: CameLately::nothing(),
            tokens: Memory::new(TOKENS_BYTES_MAX),
            accounts: Memory::new(ACCOUNTS_BYTES_MAX),
            emails: Memory::new(EMAILS_BYTES_MAX),
        }
    }

    /// How many bytes are taken up, about.
    pub(crate) fn bytes(&self) -> usize {
        self.keys.bytes()
            + self.compact.bytes()
            + self.tokens.bytes()
            + self.accounts.bytes()
            + self.emails.bytes()
    }

    /// Remembers a key that was read as of a position.
    pub(super) fn key(&self, digest: &KeyDigest, known: KnownKey) {
        self.compact.put(digest, &known);
        self.keys.put(ByDigest(*digest.as_bytes()), Arc::new(known));
    }

    /// A key as it was read, not yet asked whether it still holds, and whether it is remembered in
    /// little only.
    fn recall_key(&self, digest: &KeyDigest) -> Option<(Arc<KnownKey>, bool)> {
        if let Some(known) = self.keys.get(&ByDigest(*digest.as_bytes())) {
            return Some((known, false));
        }
        let known = self.compact.get(digest)?;
        Some((Arc::new(known), true))
    }

    /// Notes that a key which was remembered in little still held as of `rev`. It is remembered in full
    /// when it comes again before many others: where very many keys are in use, each would push out
    /// one that is no less likely to come next.
    fn held_in_little(&self, digest: &KeyDigest, known: &Arc<KnownKey>, rev: Rev) {
        self.compact.held(digest, known.read_at, rev);
        if self.lately.again(digest) {
            self.keys
                .put(ByDigest(*digest.as_bytes()), Arc::clone(known));
        }
    }

    /// Forgets what is remembered in full of keys, as if more had been used since than fit there.
    fn forget_full_keys(&self) {
        self.keys.forget();
    }

    /// Remembers a token whose signature and claims were good.
    pub(super) fn token(&self, token: &str, caller: &Arc<SessionCaller>) {
        if let Some((signed, signature)) = token.rsplit_once('.') {
            let known = KnownToken {
                signed: signed.into(),
                caller: Arc::clone(caller),
            };
            self.tokens.put(by_signature(signature), Arc::new(known));
        }
    }

    /// Whose token this is, if its signature and claims were good.
    fn recall_token(&self, token: &str) -> Option<Arc<SessionCaller>> {
        let (signed, signature) = token.rsplit_once('.')?;
        let known = self.tokens.get(&by_signature(signature))?;
        (*known.signed == *signed).then(|| Arc::clone(&known.caller))
    }

    /// Remembers an account that was read as of a position, and the address by which its parent
    /// knows it.
    pub(super) fn account(&self, chain: &Arc<AccountChain>, read_at: Rev) {
        let account = chain.account();
        if let (Some(parent), Some(email)) = (&account.parent, &account.profile.email) {
            let name = (parent.clone(), email.clone());
            self.emails.put(name, Arc::new(account.id.clone()));
        }
        let known = KnownAccount {
            rows: chain.rows(),
            chain: Arc::clone(chain),
            read_at,
        };
        self.accounts.put(account.id.clone(), Arc::new(known));
    }
}

/// Which keys came of late, about: of those that share a place, the last one.
#[derive(Debug)]
struct CameLately(Box<[AtomicU32]>);

impl CameLately {
    /// About as many as are remembered in full.
    const PLACES: usize = 4_096;

    fn nothing() -> Self {
        let places = std::iter::repeat_with(AtomicU32::default);
        Self(places.take(Self::PLACES).collect())
    }

    /// Notes that a key comes. Whether it came before, and since then no other of its place.
    fn again(&self, digest: &KeyDigest) -> bool {
        let bytes = digest.as_bytes().as_slice();
        let (place, rest) = bytes.split_first_chunk().unwrap_or((&[0; 2], &[]));
        let (mark, _) = rest.split_first_chunk().unwrap_or((&[0; 4], &[]));
        let place = usize::from(u16::from_le_bytes(*place)) % Self::PLACES;
        let mark = u32::from_le_bytes(*mark);
        let last = self.0.get(place).map(|it| it.swap(mark, Ordering::Relaxed));
        last == Some(mark)
    }
}

impl KnownKey {
    pub(super) fn new(
        chain: Arc<KeyChain>,
        effective: Arc<Effective>,
        secret_expires_at: Option<Timestamp>,
        read_at: Rev,
        noted_ms: i64,
    ) -> Self {
        Self {
            rows: chain.rows(),
            chain,
            effective,
            secret_expires_at,
            read_at,
            noted_ms: AtomicI64::new(noted_ms),
        }
    }
}

impl App {
    /// The caller by what is remembered; nothing when the database has to be asked. What is refused
    /// here is what no database could help: a token that is not genuine, or over.
    pub(super) fn recall(
        &self,
        presented: &Presented,
        now: Timestamp,
    ) -> Option<Result<Recalled, Error>> {
        match &presented.credential {
            Credential::Key(key) => self.recall_key(&key.digest(), presented, now).map(Ok),
            Credential::Dashboard(signed_in) => {
                self.recall_key(&signed_in.key, presented, now).map(Ok)
            }
            // At hallpass's own doors a session speaks for itself, and its account is read.
            Credential::Token(token) if presented.need.door == Door::Gate => {
                self.recall_token(token, presented, now)
            }
            Credential::None | Credential::Token(_) | Credential::Cli(_) => None,
        }
    }

    /// Lets every key that was seen be remembered in little only, as when very many are in use. For
    /// tests.
    #[doc(hidden)]
    pub fn forget_full_keys(&self) {
        self.remembered.forget_full_keys();
    }

    fn recall_key(
        &self,
        digest: &KeyDigest,
        presented: &Presented,
        now: Timestamp,
    ) -> Option<Recalled> {
        // Before anything is believed.
        let asked_at_ms = self.pulse.asked_at_ms();
        let (known, in_little) = self.remembered.recall_key(digest)?;
        let mut rev = self.pulse.as_of(&known.rows, known.read_at)?;
        let works = known.secret_expires_at.is_none_or(|at| at > now)
            && known.chain.check_alive(now).is_ok();
        if !works {
            return None;
        }
        if in_little {
            self.remembered.held_in_little(digest, &known, rev);
        }
        let mut child = None;
        if let Some(wish) = &presented.wish {
            let (chain, read_at) = self.recall_child(&known, wish, presented)?;
            rev = rev.min(read_at)?;
            child = Some(chain);
        }
        self.note_use(digest, &known, &presented.facts, now);
        let identified = Identified {
            who: Who::Key(Arc::clone(&known.chain)),
            effective: Arc::clone(&known.effective),
            rev,
            asked_at_ms,
        };
        Some(Recalled { identified, child })
    }

    /// The child that a wish names, if the key may act as it. A wish that would be refused is judged
    /// by the database, like one for an account that is not there.
    fn recall_child(
        &self,
        known: &KnownKey,
        wish: &Wish,
        presented: &Presented,
    ) -> Option<(Arc<AccountChain>, Rev)> {
        let parent = known.chain.accounts();
        let id = match &wish.run_as {
            RunAs::Id(id) => id.clone()?,
            RunAs::Email(email) => {
                let name = (parent.account().id.clone(), email.clone()?);
                AccountId::clone(&*self.remembered.emails.get(&name)?)
            }
        };
        let child = self.remembered.accounts.get(&id)?;
        let rev = self.pulse.as_of(&child.rows, child.read_at)?;
        if let RunAs::Email(email) = &wish.run_as
            && child.chain.account().profile.email != *email
        {
            return None;
        }
        let chain = Arc::clone(&child.chain);
        let acting = act_as(&known.effective, parent, Some(Arc::clone(&chain))).ok()?;
        let facts = &presented.facts;
        let allowed = presented.need.route == RouteCheck::Exempt
            || acting
                .effective
                .call
                .allow(&facts.method, &facts.path)
                .is_some();
        allowed.then_some((chain, rev))
    }

    /// A token says all that the gate asks of it, so one that was never seen is verified here, too.
    fn recall_token(
        &self,
        token: &str,
        presented: &Presented,
        now: Timestamp,
    ) -> Option<Result<Recalled, Error>> {
        let asked_at_ms = self.pulse.asked_at_ms();
        // Its signing key may have been revoked where the log stands now.
        if !self.pulse.is_fresh().ok()? || !self.signing.is_as_new_as(self.pulse.known()) {
            return None;
        }
        let remembered = self.remembered.recall_token(token);
        let caller = match remembered.filter(|caller| self.still_holds(caller, now)) {
            Some(caller) => caller,
            None => match self.identify_token(token, presented, now) {
                Ok(caller) => caller,
                Err(error) => return Some(Err(error)),
            },
        };
        let rev = self.pulse.check_fresh(&caller.tags, caller.rev)?.ok()?;
        // The log was read further meanwhile.
        if !self.signing.is_as_new_as(rev) {
            return None;
        }
        Some(Ok(Recalled {
            identified: Identified {
                effective: Arc::clone(&caller.effective),
                who: Who::Session(caller),
                rev,
                asked_at_ms,
            },
            child: None,
        }))
    }

    /// Whether the signature of a token would still be accepted, and its time is not over.
    fn still_holds(&self, caller: &SessionCaller, now: Timestamp) -> bool {
        let ring = self.signing.ring();
        let signed = ring.find(caller.environment, &caller.kid, now).is_some();
        signed && Timestamp::from_secs(caller.claims.exp) > now
    }

    /// Notes the use of a secret, not at each request.
    fn note_use(&self, digest: &KeyDigest, known: &KnownKey, facts: &Facts, now: Timestamp) {
        let noted_ms = known.noted_ms.load(Ordering::Relaxed);
        let noted_anew_ms = self.note_last_use(digest, noted_ms, facts, now);
        if noted_anew_ms != noted_ms {
            known.noted_ms.store(noted_anew_ms, Ordering::Relaxed);
            self.remembered.compact.noted(digest, now);
        }
    }
}

fn by_signature(signature: &str) -> ByDigest {
    ByDigest(*KeyDigest::of(signature.as_bytes()).as_bytes())
}

// About: what a typical value holds in its texts and lists. The bound of a memory is no account of
// each byte.

impl Weigh for KnownKey {
    fn weigh(&self) -> usize {
        let keys = std::iter::once(self.chain.key()).chain(self.chain.makers());
        size_of::<Self>()
            + size_of::<Effective>()
            + self
                .chain
                .accounts()
                .iter()
                .map(weigh_account)
                .sum::<usize>()
            + keys.map(weigh_key).sum::<usize>()
    }
}

impl Weigh for KnownAccount {
    fn weigh(&self) -> usize {
        size_of::<Self>() + self.chain.iter().map(weigh_account).sum::<usize>()
    }
}

impl Weigh for KnownToken {
    fn weigh(&self) -> usize {
        const CLAIMS: usize = 1_000;
        const PATTERN: usize = 300;
        let claims = &self.caller.claims;
        size_of::<Self>()
            + self.signed.len()
            + size_of::<SessionCaller>()
            + size_of::<Effective>()
            + CLAIMS
            + PATTERN * claims.allowed_routes.len()
            + claims.data.as_ref().map_or(0, weigh_object)
    }
}

impl Weigh for AccountId {
    fn weigh(&self) -> usize {
        2 * (size_of::<Self>() + self.as_str().len()) + 64
    }
}

pub(super) fn weigh_object(object: &crate::domain::text::JsonObject) -> usize {
    // As text it would be about as large.
    serde_json::to_vec(object).map_or(0, |text| 3 * text.len())
}

pub(super) fn weigh_account(account: &Account) -> usize {
    size_of::<Account>() + 96 + weigh_profile(&account.profile)
}

pub(super) fn weigh_profile(profile: &Profile) -> usize {
    let texts = [
        &profile.name,
        &profile.alias,
        &profile.description,
        &profile.image,
        &profile.external_id,
    ];
    let objects = [&profile.limits, &profile.meta];
    texts.into_iter().flatten().map(String::len).sum::<usize>()
        + objects
            .into_iter()
            .flatten()
            .map(weigh_object)
            .sum::<usize>()
}

pub(super) fn weigh_key(key: &ApiKey) -> usize {
    const PATTERN: usize = 300;
    // Once in the key, and once in what is effective.
    const ENTRY: usize = 2 * 64;
    let restrictions = &key.restrictions;
    let sets = [&restrictions.routes, &restrictions.session.routes];
    let profile = &key.profile;
    let texts = [&profile.name, &profile.description, &profile.external_id];
    size_of::<ApiKey>()
        + 500
        + PATTERN
            * sets
                .into_iter()
                .flatten()
                .map(|set| set.patterns().len())
                .sum::<usize>()
        + ENTRY * entries(restrictions)
        + texts.into_iter().flatten().map(String::len).sum::<usize>()
        + profile.meta.as_ref().map_or(0, weigh_object)
}

/// How many values the lists of a key have, routes aside.
fn entries(restrictions: &Restrictions) -> usize {
    let session = &restrictions.session;
    let bindings = [&restrictions.bindings, &session.bindings];
    let permissions = [&restrictions.permissions, &session.permissions];
    let domains = [&restrictions.domains, &session.domains];
    let bound = bindings.into_iter().flat_map(Bindings::iter);
    bound.map(|(_, values)| values.len()).sum::<usize>()
        + permissions
            .into_iter()
            .flatten()
            .flat_map(Permissions::iter)
            .count()
        + domains
            .into_iter()
            .flatten()
            .flat_map(Domains::iter)
            .count()
        + session.audiences.as_ref().map_or(0, BTreeSet::len)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_comes_again_unless_very_many_others_came_since() {
        let digest = |number: u32| KeyDigest::of(&number.to_le_bytes());
        let lately = CameLately::nothing();
        assert!(!lately.again(&digest(0)));
        assert!(lately.again(&digest(0)) && lately.again(&digest(0)));

        // A few others leave most of those that came.
        let few = 0..200;
        for number in few.clone() {
            lately.again(&digest(number));
        }
        let again = few.filter(|number| lately.again(&digest(*number))).count();
        assert!(again > 180, "{again}");

        // Round and round in very many, hardly one comes again.
        let many = 0..100_000;
        for number in many.clone() {
            lately.again(&digest(number));
        }
        let again = many.filter(|number| lately.again(&digest(*number))).count();
        assert!(again < 10, "{again}");
    }
}
