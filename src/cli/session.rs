//! `hallpass session`.

use clap::{Args, Subcommand, ValueEnum};

use super::error::CliError;
use super::list::{Filter, PageArgs};
use super::request::{Body, Context, Plan, Request, View};
use super::values::{Pair, PathId, Seconds, Secret};

const COLUMNS: &[&str] = &[
    "id",
    "userId",
    "actorId",
    "tokenId",
    "audience",
    "state",
    "createdAt",
    "expiresAt",
];

/// Short-lived, signed sessions.
#[derive(Debug, Subcommand)]
pub enum SessionCommand {
    /// Mint a session. Its token is shown this once.
    Create(Box<CreateArgs>),
    /// List sessions.
    List(ListArgs),
    /// Show one session, without its token.
    Fetch {
        /// The session.
        id: PathId,
    },
    /// End a session and its whole family of renewals and exchanges.
    Revoke {
        /// The session.
        id: PathId,
    },
    /// Ask the server whether a token is valid and alive. The exit code is 1 when it is not.
    Verify {
        /// The token, or `-` to read it from standard input.
        #[arg(default_value = "-")]
        token: Secret,
    },
    /// Renew a session with its own, still valid token. The new token is shown this once.
    Renew {
        /// The token, or `-` to read it from standard input.
        #[arg(default_value = "-")]
        token: Secret,
        /// How long the new token lives: 900s, 1h.
        #[arg(long, value_name = "TIME")]
        duration: Option<Seconds>,
    },
}

/// What happens to wanted routes that the key may not hand on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Mode {
    /// The session is refused.
    Strict,
    /// They are cut.
    Intersect,
}

impl Mode {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Strict => "strict",
            Self::Intersect => "intersect",
        }
    }
}

/// Where the session is minted; without any of these, `session/create`.
#[derive(Debug, Args)]
#[group(multiple = false)]
struct ProfileArgs {
    /// A session for one bot.
    #[arg(long, value_name = "ID")]
    bot: Option<PathId>,
    /// A session for one conversation.
    #[arg(long, value_name = "ID")]
    conversation: Option<PathId>,
    /// A session for one widget.
    #[arg(long, value_name = "ID")]
    widget: Option<PathId>,
    /// A session of this child account, by impersonation.
    #[arg(long, value_name = "ID")]
    user: Option<PathId>,
}

impl ProfileArgs {
    fn path(&self) -> String {
        let profiles = [
            ("bot", &self.bot),
            ("conversation", &self.conversation),
            ("integration/widget", &self.widget),
            ("user", &self.user),
        ];
        for (prefix, id) in profiles {
            if let Some(id) = id {
                return format!("{prefix}/{id}/session/create");
            }
        }
        "session/create".to_owned()
    }
}

/// `hallpass session create`.
#[derive(Debug, Args)]
pub struct CreateArgs {
    #[command(flatten)]
    profile: ProfileArgs,
    /// How long the token lives: 900s, 1h.
    #[arg(long, value_name = "TIME")]
    duration: Option<Seconds>,
    /// A route that the session may call; may be repeated.
    #[arg(long = "allow", value_name = "ROUTE")]
    allowed_routes: Vec<String>,
    /// A permission; may be repeated.
    #[arg(long = "permission", value_name = "SCOPE", value_delimiter = ',')]
    permissions: Vec<String>,
    /// Only requests about this value, such as `bot=b1`; may be repeated.
    #[arg(long = "bind", value_name = "DIMENSION=VALUE")]
    bindings: Vec<Pair>,
    /// Only from web pages of this host; may be repeated.
    #[arg(long = "domain", value_name = "HOST", value_delimiter = ',')]
    domains: Vec<String>,
    /// Whom the token is for.
    #[arg(long)]
    audience: Option<String>,
    /// What happens to wanted routes that the key may not hand on.
    #[arg(long, value_enum)]
    mode: Option<Mode>,
    /// How long the session may be renewed: 12h.
    #[arg(long, value_name = "TIME")]
    renewable_for: Option<Seconds>,
    /// Data for the claims, a JSON object of at most 2 KiB.
    #[arg(long, value_name = "JSON|FILE")]
    data: Option<String>,
    /// Goes into the data of a session for a bot, conversation, widget or child.
    #[arg(long, value_name = "ID", requires = "ProfileArgs")]
    contact_id: Option<String>,
    /// Goes into the data of a session for a bot, conversation, widget or child.
    #[arg(long, requires = "ProfileArgs")]
    namespace: Option<String>,
    /// Repeating the command with the same text mints one session, not two.
    #[arg(long, value_name = "TEXT")]
    idempotency_key: Option<String>,
}

impl CreateArgs {
    fn plan(&self, cx: &Context<'_>) -> Result<Plan, CliError> {
        let mut body = Body::new();
        body.put_secs("durationInSeconds", self.duration);
        body.put_list("allowedRoutes", &self.allowed_routes);
        body.put_list("permissions", &self.permissions);
        body.put_bindings("bindings", &self.bindings);
        body.put_list("domains", &self.domains);
        body.put("audience", self.audience.as_deref());
        body.put("mode", self.mode.map(Mode::as_str));
        body.put_secs("renewableForInSeconds", self.renewable_for);
        if let Some(text) = &self.data {
            body.put("data", Some(cx.json_object("--data", text)?));
        }
        let mut config = Body::new();
        config.put("contactId", self.contact_id.as_deref());
        config.put("namespace", self.namespace.as_deref());
        body.put_object("config", config);
        let request = Request::post(self.profile.path(), body)
            .with_idempotency_key(self.idempotency_key.as_deref());
        Ok(Plan::new(request, View::Secret))
    }
}

/// What became of a session.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum State {
    /// It works.
    Active,
    /// Its time is over.
    Expired,
    /// It was ended.
    Revoked,
}

impl State {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Expired => "expired",
            Self::Revoked => "revoked",
        }
    }
}

/// `hallpass session list`.
#[derive(Debug, Args)]
pub struct ListArgs {
    /// Only those that this key minted.
    #[arg(long, value_name = "ID")]
    token: Option<PathId>,
    /// Only those in this state.
    #[arg(long, value_enum)]
    state: Option<State>,
    #[command(flatten)]
    page: PageArgs,
}

impl ListArgs {
    fn plan(&self) -> Plan {
        let mut filter = Filter::default();
        filter.put("tokenId", self.token.as_ref().map(PathId::as_str));
        filter.put("state", self.state.map(State::as_str));
        self.page.plan("session/list", filter, COLUMNS)
    }
}

impl SessionCommand {
    /// The request of this command.
    pub(super) fn plan(&self, cx: &Context<'_>) -> Result<Plan, CliError> {
        let item = |request| Ok(Plan::new(request, View::Item));
        match self {
            Self::Create(args) => args.plan(cx),
            Self::List(args) => Ok(args.plan()),
            Self::Fetch { id } => item(Request::get(format!("session/{id}/fetch"))),
            Self::Revoke { id } => item(Request::post(format!("session/{id}/revoke"), Body::new())),
            Self::Verify { token } => {
                let token = cx.secret(token)?;
                let mut body = Body::new();
                body.put("token", Some(token.expose("token")?));
                let request = Request::post("session/verify", body);
                Ok(Plan::new(request, View::Verdict("active")))
            }
            Self::Renew { token, duration } => {
                let mut body = Body::new();
                body.put_secs("durationInSeconds", *duration);
                let mut request = Request::post("session/renew", body);
                request.credential = Some(cx.secret(token)?);
                Ok(Plan::new(request, View::Secret))
            }
        }
    }
}
