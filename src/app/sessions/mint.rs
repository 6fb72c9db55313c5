//! Minting: with a key, for its account or a child, at large or on a profile path.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::Value;

use super::{
    App, Caller, Draft, Error, Forbidden, SessionCreated, check_data, key_caller, merge, texts,
};
use crate::app::authorise::Presented;
use crate::app::domains::check_suffixes;
use crate::app::error::{self, Invalid, InvalidCode};
use crate::app::idempotency::{Once, Replay};
use crate::app::webhooks::News;
use crate::domain::config::{self, ConfigError, ConfigProblem};
use crate::domain::decision::decide_body;
use crate::domain::grant::{Grant, Mode, ProfileTerms, Refusal, Wanted, grant};
use crate::domain::id::ConversationId;
use crate::domain::profile::{ProfileUse, SessionProfile};
use crate::domain::route::PlaceholderValue;
use crate::domain::session::{Origin, Session};
use crate::domain::text::JsonObject;
use crate::store::sessions::{self, NewRow};

/// What a caller wants of a new session. ChatBotKit's clients write `contact`, `meta`, `messages`
/// and `config`.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
#[expect(
    missing_docs,
    reason = "the names on the wire, described in openapi.yaml"
)]
pub struct NewSession {
    pub duration_in_seconds: Option<i64>,
    pub allowed_routes: Option<Vec<String>>,
    pub permissions: Option<Vec<String>>,
    pub bindings: Option<BTreeMap<String, Vec<String>>>,
    pub domains: Option<Vec<String>>,
    pub audience: Option<String>,
    pub mode: Option<WantedMode>,
    pub renewable_for_in_seconds: Option<i64>,
    pub data: Option<JsonObject>,
    pub contact: Option<JsonObject>,
    pub meta: Option<JsonObject>,
    pub messages: Option<Vec<Value>>,
    pub config: Option<NewSessionConfig>,
}

/// `config` as ChatBotKit's clients write it.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct NewSessionConfig {
    pub allowed_routes: Option<Vec<String>>,
    pub contact_id: Option<String>,
    pub namespace: Option<String>,
}

/// `mode` on the wire.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum WantedMode {
    Strict,
    Intersect,
}

/// The path of the profile that mints for a child. It is no setting, since what it gives is not
/// fixed.
pub(super) const CHILD_PROFILE: &str = "user/{userId}";

/// On what a session is minted.
#[derive(Debug, Clone, Copy)]
pub enum MintOn<'a> {
    /// `session/create`.
    Large,
    /// `user/{userId}/session/create`: for a child, with everything within its ceiling.
    Child,
    /// `<profile path>/session/create`.
    Profile(&'a SessionProfile, &'a BTreeMap<String, PlaceholderValue>),
}

impl App {
    /// The profile whose path this is, with the values of its placeholders.
    pub fn find_profile(
        &self,
        resource: &crate::domain::route::RequestPath,
    ) -> Option<(&SessionProfile, BTreeMap<String, PlaceholderValue>)> {
        self.policy
            .profiles
            .iter()
            .find_map(|profile| Some((profile, profile.match_path(resource)?)))
    }

    /// Mints a session. It is on disk before its token leaves.
    ///
    /// # Errors
    /// [`Forbidden::Grant`], [`Error::Invalid`], [`Error::Unavailable`].
    pub async fn mint(
        &self,
        caller: &Caller,
        presented: &Presented,
        on: MintOn<'_>,
        new: NewSession,
        replay: Option<&Replay>,
    ) -> Result<Once<SessionCreated>, Error> {
        let key = key_caller(caller)?;
        let (wanted, data) = self.wanted(new)?;
        decide_body(
            &caller.effective,
            &caller.permit,
            &presented.facts.named,
            &wanted.bindings,
        )
        .map_err(|deny| App::denied(&caller.who, deny))?;
        let now = self.now();

        let mut profile_use = None;
        let mut terms = None;
        if let MintOn::Child = on {
            let id = PlaceholderValue::parse(caller.account().as_str())
                .map_err(|error| Error::Internal(error.into()))?;
            let values = BTreeMap::from([("userId".to_owned(), id)]);
            terms = Some(ProfileTerms::of_child());
            profile_use = Some(ProfileUse {
                path: CHILD_PROFILE.to_owned(),
                values,
            });
        }
        if let MintOn::Profile(profile, values) = on {
            let mut values = values.clone();
            for name in &profile.makes {
                let made = ConversationId::new(now, &*self.entropy)?;
                let made = PlaceholderValue::parse(made.as_str())
                    .map_err(|error| Error::Internal(error.into()))?;
                values.insert(name.clone(), made);
            }
            terms = Some(profile_terms(profile, &values)?);
            profile_use = Some(ProfileUse {
                path: profile.path.to_string(),
                values,
            });
        }
        let granted = self.grant(caller, terms.as_ref(), &wanted)?;
        let cut = (wanted.mode == Mode::Intersect).then(|| granted.cut.clone());
        let draft = Draft {
            origin: Origin::Mint,
            key,
            subject: caller.subject()?,
            actors: caller.effective.grantors.clone(),
            grant: granted,
            data,
            source: None,
            profile: profile_use,
            rev: caller.rev,
        };
        // Its caller may have been recalled a moment after the log was read and before the keys were.
        self.ensure_signing_keys().await?;
        let (session, token) = self.sign(draft, presented)?;
        let mut answer = SessionCreated::new(&session, token, cut);
        if let (MintOn::Profile(profile, _), Some(used)) = (on, &session.profile) {
            let values = texts(used);
            answer.session_id = Some(session.id.clone());
            answer.conversation_id = values.get("conversationId").cloned();
            if let Some(id) = profile
                .resource()
                .and_then(|name| values.get(&name).cloned())
            {
                answer.id = id;
            }
        }
        let once = self.store_session(caller, &session, answer, replay).await?;
        if !once.replayed {
            self.metrics
                .session_created(session.origin, session.environment);
        }
        Ok(once)
    }

    /// Stores a minted session with the answer that is kept for a repetition.
    pub(super) async fn store_session(
        &self,
        caller: &Caller,
        session: &Session,
        answer: SessionCreated,
        replay: Option<&Replay>,
    ) -> Result<Once<SessionCreated>, Error> {
        let parent = caller.subject()?.account().parent.as_ref();
        let row = NewRow::new(session, parent)?;
        let news = self.news_of_session(session, parent).await?;
        let is_told = news.is_some();
        let once = match replay {
            None => {
                self.writer.store(row, news).await?;
                Once::first(answer)
            }
            // Not every mint need have the room for it.
            Some(replay) => Box::pin(self.store_with_answer(row, news, answer, replay)).await?,
        };
        if is_told {
            self.webhooks.wake();
        }
        Ok(once)
    }

    /// Stores a session in one transaction with the answer that is kept.
    async fn store_with_answer(
        &self,
        row: NewRow,
        news: Option<News>,
        answer: SessionCreated,
        replay: &Replay,
    ) -> Result<Once<SessionCreated>, Error> {
        let mut tx = self.store.write().await?;
        if let Some(answer) = replay.begin_in(tx.conn(), self.now()).await? {
            return Ok(Once {
                answer,
                replayed: true,
            });
        }
        sessions::insert(tx.conn(), std::slice::from_ref(&row)).await?;
        if let Some(news) = &news {
            self.outbox.tell(tx.conn(), &[news]).await?;
        }
        replay.finish(self, tx.conn(), &answer).await?;
        tx.commit().await?;
        self.ledger.handed.give(&[row]);
        Ok(Once::first(answer))
    }

    pub(super) fn grant(
        &self,
        caller: &Caller,
        terms: Option<&ProfileTerms>,
        wanted: &Wanted,
    ) -> Result<Grant, Error> {
        grant(
            &caller.effective,
            terms,
            wanted,
            &self.policy.audiences,
            self.now(),
        )
        .map_err(refused)
    }

    /// What is wanted, parsed, and what shall be attached.
    fn wanted(&self, new: NewSession) -> Result<(Wanted, Option<JsonObject>), Error> {
        let NewSession {
            duration_in_seconds,
            mut allowed_routes,
            permissions,
            bindings,
            domains,
            audience,
            mode,
            renewable_for_in_seconds,
            data,
            contact,
            meta,
            messages,
            config: client,
        } = new;
        if messages.is_some_and(|messages| !messages.is_empty()) {
            return Err(Error::invalid(
                "messages",
                "nothing here keeps conversations; leave it out",
            ));
        }
        let mut data = data.unwrap_or_default();
        merge(&mut data, "contact", contact.map(Value::Object))?;
        merge(&mut data, "meta", meta.map(Value::Object))?;
        if let Some(client) = client {
            let NewSessionConfig {
                allowed_routes: routes,
                contact_id,
                namespace,
            } = client;
            if routes.is_some() && allowed_routes.is_some() {
                return Err(Error::invalid(
                    "config.allowedRoutes",
                    "write `allowedRoutes` or `config.allowedRoutes`, not both",
                ));
            }
            allowed_routes = allowed_routes.or(routes);
            merge(&mut data, "contactId", contact_id.map(Value::from))?;
            merge(&mut data, "namespace", namespace.map(Value::from))?;
        }
        let mode = match mode {
            None | Some(WantedMode::Strict) => Mode::Strict,
            Some(WantedMode::Intersect) => Mode::Intersect,
        };
        let vocabulary = Some(&self.policy.vocabulary);
        let domains = field("domains", domains.as_deref().map(config::domains))?;
        check_suffixes("domains", domains.as_ref())?;
        let wanted = Wanted {
            routes: field(
                "allowedRoutes",
                allowed_routes.as_deref().map(config::routes),
            )?,
            permissions: field(
                "permissions",
                permissions.map(|list| config::permissions(&list, vocabulary)),
            )?,
            bindings: field("bindings", bindings.as_ref().map(config::bindings))?
                .unwrap_or_default(),
            domains,
            audience,
            duration_secs: duration_in_seconds,
            renewable_secs: renewable_for_in_seconds,
            mode,
        };
        Ok((wanted, check_data(data)?))
    }
}

fn field<T>(name: &str, parsed: Option<Result<T, ConfigProblem>>) -> Result<Option<T>, Error> {
    parsed.transpose().map_err(|problem| {
        error::config(
            "",
            &ConfigError {
                field: name.to_owned(),
                problem,
            },
        )
    })
}

pub(super) fn profile_terms(
    profile: &SessionProfile,
    values: &BTreeMap<String, PlaceholderValue>,
) -> Result<ProfileTerms, Error> {
    profile
        .terms(values)
        .map_err(|error| Error::Internal(error.into()))
}

/// The refusals of the grant that are mistakes of the request are 400, the others 403.
pub(super) fn refused(refusal: Refusal) -> Error {
    let range = |field: &str, max: i64| {
        Error::invalid(field, format!("a whole number of seconds from 1 to {max}"))
    };
    match refusal {
        Refusal::RoutesRequired => Error::Invalid(Invalid {
            field: "allowedRoutes".to_owned(),
            problem:
                "the key does not narrow routes, so the session must name them, if need be [\"**\"]"
                    .to_owned(),
            code: InvalidCode::RoutesRequired,
        }),
        Refusal::RoutesTooComplex(_) => Error::Invalid(Invalid {
            field: "allowedRoutes".to_owned(),
            problem: "what the key leaves cannot be written as one set; name the routes".to_owned(),
            code: InvalidCode::RoutesRequired,
        }),
        Refusal::Duration { max } => range("durationInSeconds", max),
        Refusal::Renewable { max } => range("renewableForInSeconds", max),
        Refusal::AudienceUnknown(audience) => Error::invalid(
            "audience",
            format!("`{audience}` is not an audience that is configured here"),
        ),
        refusal @ (Refusal::RouteNotCovered(_)
        | Refusal::NothingLeft
        | Refusal::Permission(_)
        | Refusal::Binding(_)
        | Refusal::Domain(_)
        | Refusal::Audience(_)
        | Refusal::Expired) => Forbidden::Grant(Box::new(refusal)).into(),
    }
}
