//! `hallpass token`: API keys, which are called `token` on the wire.

use clap::{ArgAction, Args, Subcommand, ValueEnum};

use super::account::MetaArgs;
use super::error::CliError;
use super::list::{Filter, PageArgs};
use super::request::{Body, Context, Plan, Request, View};
use super::restrictions::RestrictionArgs;
use super::values::{Instant, Pair, PathId, Seconds, Secret};
use crate::domain::time::Timestamp;

const COLUMNS: &[&str] = &[
    "id",
    "name",
    "hint",
    "environment",
    "state",
    "expiresAt",
    "lastUsedAt",
];
const TEMPLATE_COLUMNS: &[&str] = &["name", "title", "kind", "placeholders", "description"];

/// API keys of an account.
#[derive(Debug, Subcommand)]
pub enum TokenCommand {
    /// Make a key. It is shown this once.
    Create(Box<CreateArgs>),
    /// List the keys.
    List(ListArgs),
    /// Show one key, without its secret.
    Fetch {
        /// The key.
        id: PathId,
        /// Whose key it is.
        #[command(flatten)]
        owner: OwnerArgs,
    },
    /// Change a key. What is not given stays as it is.
    Update(Box<UpdateArgs>),
    /// Make a new secret for a key. It is shown this once.
    Rotate(RotateArgs),
    /// End a key, its sessions and the keys that were made with it.
    Delete {
        /// The key.
        id: PathId,
        /// Let the keys live that were made with it.
        #[arg(long)]
        keep_descendants: bool,
        /// Whose key it is.
        #[command(flatten)]
        owner: OwnerArgs,
    },
    /// Report a key or session that others have got hold of: it is revoked at once. Having it is
    /// enough; no key is needed. The exit code is 1 when there was nothing to revoke.
    Report {
        /// The leaked secret, or `-` to read it from standard input.
        #[arg(default_value = "-")]
        secret: Secret,
    },
    /// Let a key from elsewhere go on working, by its SHA-256 (operator only).
    Import(Box<ImportArgs>),
    /// List the templates that `create` knows.
    Templates {
        /// Which page.
        #[command(flatten)]
        page: PageArgs,
    },
    /// Show the key or session that you present, and what it may do.
    #[command(name = "self")]
    Myself,
}

/// Whose keys.
#[derive(Debug, Args)]
pub struct OwnerArgs {
    /// A key of this child account, by impersonation.
    #[arg(long, value_name = "ID")]
    user: Option<PathId>,
}

impl OwnerArgs {
    fn path(&self, rest: &str) -> String {
        match &self.user {
            Some(user) => format!("user/{user}/token/{rest}"),
            None => format!("token/{rest}"),
        }
    }
}

/// What a key is for; the first part of its text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Kind {
    /// A secret key of a backend.
    Sk,
    /// A personal access token.
    Pat,
    /// A bot's key.
    Bot,
    /// An integration's key.
    Int,
}

impl Kind {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Sk => "sk",
            Self::Pat => "pat",
            Self::Bot => "bot",
            Self::Int => "int",
        }
    }
}

/// Live or test.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum EnvironmentArg {
    /// Real things.
    Live,
    /// A sandbox.
    Test,
}

impl EnvironmentArg {
    /// As it is on the wire.
    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::Live => "live",
            Self::Test => "test",
        }
    }
}

/// What people know a key by.
#[derive(Debug, Args)]
struct LabelArgs {
    /// A name for people.
    #[arg(long)]
    name: Option<String>,
    /// What the key is for.
    #[arg(long)]
    description: Option<String>,
    #[command(flatten)]
    meta: MetaArgs,
    /// The id that your own system has for it.
    #[arg(long, value_name = "ID")]
    external_id: Option<String>,
}

impl LabelArgs {
    fn put(&self, body: &mut Body, cx: &Context<'_>) -> Result<(), CliError> {
        body.put("name", self.name.as_deref());
        body.put("description", self.description.as_deref());
        self.meta.put(body, cx)?;
        body.put("externalId", self.external_id.as_deref());
        Ok(())
    }
}

/// When a key ends.
#[derive(Debug, Args)]
struct ExpiryArgs {
    /// Ends so long from now: 30d, 12h, 900s.
    #[arg(long, value_name = "TIME", conflicts_with = "expires_at")]
    expires_in: Option<Seconds>,
    /// Ends then: 2026-01-31, 2026-01-31T12:00:00Z, or milliseconds since 1970.
    #[arg(long, value_name = "INSTANT")]
    expires_at: Option<Instant>,
}

impl ExpiryArgs {
    fn put(&self, body: &mut Body, now: Timestamp) {
        let at = self.expires_at.map(|Instant(at)| at);
        let at = at.or(self.expires_in.map(|Seconds(secs)| now.plus_secs(secs)));
        body.put("expiresAt", at.map(Timestamp::millis));
    }
}

/// `hallpass token create`.
#[derive(Debug, Args)]
pub struct CreateArgs {
    #[command(flatten)]
    label: LabelArgs,
    /// What the key is for; the first part of its text.
    #[arg(long, value_enum)]
    kind: Option<Kind>,
    /// For real things or for the sandbox.
    #[arg(long, value_enum)]
    environment: Option<EnvironmentArg>,
    #[command(flatten)]
    expiry: ExpiryArgs,
    /// A set of restrictions by name; `hallpass token templates` lists them.
    #[arg(long)]
    template: Option<String>,
    /// What stands in for a gap of the template, such as `botId=b1`; may be repeated.
    #[arg(long = "placeholder", value_name = "NAME=VALUE", requires = "template")]
    placeholders: Vec<Pair>,
    /// A key that may do everything, said aloud.
    #[arg(long)]
    unrestricted: bool,
    /// A key for operator acts: roots, signing keys, imports (operator only).
    #[arg(long)]
    operator: bool,
    /// Make it, but do not let it work yet.
    #[arg(long)]
    disabled: bool,
    /// Repeating the command with the same text makes one key, not two.
    #[arg(long, value_name = "TEXT")]
    idempotency_key: Option<String>,
    #[command(flatten)]
    owner: OwnerArgs,
    #[command(flatten)]
    restrictions: RestrictionArgs,
}

impl CreateArgs {
    fn plan(&self, cx: &Context<'_>) -> Result<Plan, CliError> {
        let mut body = Body::new();
        self.label.put(&mut body, cx)?;
        body.put("kind", self.kind.map(Kind::as_str));
        let environment = self.environment.map(EnvironmentArg::as_str);
        body.put("environment", environment);
        self.expiry.put(&mut body, cx.now);
        body.put("enabled", self.disabled.then_some(false));
        body.put_flag("operator", self.operator);
        body.put_flag("unrestricted", self.unrestricted);
        body.put("template", self.template.as_deref());
        body.put_texts("placeholders", &self.placeholders);
        self.restrictions.put(&mut body, cx)?;
        let request = Request::post(self.owner.path("create"), body)
            .with_idempotency_key(self.idempotency_key.as_deref());
        Ok(Plan::new(request, View::Secret))
    }
}

/// `hallpass token list`.
#[derive(Debug, Args)]
pub struct ListArgs {
    /// Only of this environment.
    #[arg(long, value_enum)]
    environment: Option<EnvironmentArg>,
    /// Only with this id of your own system.
    #[arg(long, value_name = "ID")]
    external_id: Option<String>,
    /// Only with this in its data; may be repeated.
    #[arg(long, value_name = "NAME=VALUE")]
    meta: Vec<Pair>,
    #[command(flatten)]
    owner: OwnerArgs,
    #[command(flatten)]
    page: PageArgs,
}

impl ListArgs {
    fn plan(&self) -> Plan {
        let mut filter = Filter::default();
        filter.put("externalId", self.external_id.as_deref());
        let environment = self.environment.map(EnvironmentArg::as_str);
        filter.put("environment", environment);
        filter.put_meta(&self.meta);
        self.page.plan(self.owner.path("list"), filter, COLUMNS)
    }
}

/// `hallpass token update`.
#[derive(Debug, Args)]
pub struct UpdateArgs {
    /// The key.
    id: PathId,
    #[command(flatten)]
    label: LabelArgs,
    /// Whether it works.
    #[arg(long, value_name = "BOOL", action = ArgAction::Set)]
    enabled: Option<bool>,
    #[command(flatten)]
    expiry: ExpiryArgs,
    /// Remove these: domains, cidrs, rateLimit, expiresAt, …
    #[arg(long, value_name = "MEMBER", value_delimiter = ',')]
    clear: Vec<String>,
    #[command(flatten)]
    owner: OwnerArgs,
    #[command(flatten)]
    restrictions: RestrictionArgs,
}

impl UpdateArgs {
    fn plan(&self, cx: &Context<'_>) -> Result<Plan, CliError> {
        let mut body = Body::new();
        self.label.put(&mut body, cx)?;
        body.put("enabled", self.enabled);
        self.expiry.put(&mut body, cx.now);
        self.restrictions.put(&mut body, cx)?;
        body.put_list("clear", &self.clear);
        let path = self.owner.path(&format!("{}/update", self.id));
        Ok(Plan::new(Request::post(path, body), View::Item))
    }
}

/// `hallpass token rotate`.
#[derive(Debug, Args)]
pub struct RotateArgs {
    /// The key.
    id: PathId,
    /// How long the old secret works on: 24h if not given, 0 to cut it at once.
    #[arg(long, value_name = "TIME")]
    overlap: Option<Seconds>,
    /// Let the keys and sessions live that were made with a secret that is cut.
    #[arg(long)]
    keep_descendants: bool,
    /// Repeating the command with the same text makes one secret, not two.
    #[arg(long, value_name = "TEXT")]
    idempotency_key: Option<String>,
    #[command(flatten)]
    owner: OwnerArgs,
}

impl RotateArgs {
    fn plan(&self) -> Plan {
        let mut body = descendants(self.keep_descendants);
        body.put_secs("overlapInSeconds", self.overlap);
        let path = self.owner.path(&format!("{}/rotate", self.id));
        let request = Request::post(path, body);
        Plan::new(
            request.with_idempotency_key(self.idempotency_key.as_deref()),
            View::Secret,
        )
    }
}

fn descendants(keep: bool) -> Body {
    let mut body = Body::new();
    body.put("descendants", keep.then_some(false));
    body
}

/// `hallpass token import`.
#[derive(Debug, Args)]
pub struct ImportArgs {
    /// The SHA-256 of the whole key, as hex or base64.
    digest: String,
    /// The account that the key is for.
    #[arg(long, value_name = "ID")]
    user: PathId,
    #[command(flatten)]
    label: LabelArgs,
    /// What the key is for.
    #[arg(long, value_enum)]
    kind: Option<Kind>,
    /// For real things or for the sandbox.
    #[arg(long, value_enum)]
    environment: Option<EnvironmentArg>,
    #[command(flatten)]
    expiry: ExpiryArgs,
    #[command(flatten)]
    restrictions: RestrictionArgs,
}

impl ImportArgs {
    fn plan(&self, cx: &Context<'_>) -> Result<Plan, CliError> {
        let mut body = Body::new();
        body.put("digest", Some(self.digest.as_str()));
        body.put("userId", Some(self.user.as_str()));
        body.put("kind", self.kind.map(Kind::as_str));
        let environment = self.environment.map(EnvironmentArg::as_str);
        body.put("environment", environment);
        self.label.put(&mut body, cx)?;
        self.expiry.put(&mut body, cx.now);
        self.restrictions.put(&mut body, cx)?;
        Ok(Plan::new(Request::post("token/import", body), View::Item))
    }
}

impl TokenCommand {
    /// The request of this command.
    pub(super) fn plan(&self, cx: &Context<'_>) -> Result<Plan, CliError> {
        let item = |request| Ok(Plan::new(request, View::Item));
        match self {
            Self::Create(args) => args.plan(cx),
            Self::List(args) => Ok(args.plan()),
            Self::Fetch { id, owner } => item(Request::get(owner.path(&format!("{id}/fetch")))),
            Self::Update(args) => args.plan(cx),
            Self::Rotate(args) => Ok(args.plan()),
            Self::Delete {
                id,
                keep_descendants,
                owner,
            } => item(Request::post(
                owner.path(&format!("{id}/delete")),
                descendants(*keep_descendants),
            )),
            Self::Report { secret } => {
                let secret = cx.secret(secret)?;
                let mut body = Body::new();
                body.put("secret", Some(secret.expose("secret")?));
                let request = Request::post("token/report", body);
                Ok(Plan::new(request, View::Verdict("revoked")))
            }
            Self::Import(args) => args.plan(cx),
            Self::Templates { page } => {
                Ok(page.plan("token/template/list", Filter::default(), TEMPLATE_COLUMNS))
            }
            Self::Myself => item(Request::get("token/self/fetch")),
        }
    }
}
