//! `hallpass account`: accounts, which are called `user` on the wire.

use clap::{ArgAction, Args, Subcommand, ValueEnum};

use super::error::{CliError, UsageError};
use super::list::{Filter, PageArgs};
use super::request::{Body, Context, Plan, Request, View};
use super::values::{Pair, PathId};

const COLUMNS: &[&str] = &["id", "name", "email", "state", "externalId", "createdAt"];

/// Accounts below the one for which you act.
#[derive(Debug, Subcommand)]
pub enum AccountCommand {
    /// Make a child account, or a root.
    Create(CreateArgs),
    /// List the direct children.
    List(ListArgs),
    /// Show one account; your own without an id.
    Fetch {
        /// The account; `self` is your own.
        #[arg(default_value = "self")]
        id: PathId,
    },
    /// Change an account. `self` is your own.
    Update(UpdateArgs),
    /// End everything below an account until it is resumed. Sessions do not come back.
    Suspend {
        /// The account.
        id: PathId,
    },
    /// Bring a suspended account back.
    Resume {
        /// The account.
        id: PathId,
    },
    /// Delete an account and everything below it.
    Delete {
        /// The account.
        id: PathId,
    },
}

/// What an account says about itself.
#[derive(Debug, Args)]
struct ProfileArgs {
    /// A name for people.
    #[arg(long)]
    name: Option<String>,
    /// An address that no other child of the same parent has.
    #[arg(long)]
    email: Option<String>,
    /// A short name.
    #[arg(long)]
    alias: Option<String>,
    /// What the account is for.
    #[arg(long)]
    description: Option<String>,
    /// The address of a picture.
    #[arg(long, value_name = "URL")]
    image: Option<String>,
    /// Limits, which are kept and not interpreted.
    #[arg(long, value_name = "JSON|FILE")]
    limits: Option<String>,
    #[command(flatten)]
    meta: MetaArgs,
    /// The id that your own system has for it.
    #[arg(long, value_name = "ID")]
    external_id: Option<String>,
    /// Whether it may act for its children.
    #[arg(long, value_name = "BOOL", action = ArgAction::Set)]
    can_impersonate: Option<bool>,
}

/// Data of your own.
#[derive(Debug, Args)]
pub struct MetaArgs {
    /// Data of your own, as texts; may be repeated.
    #[arg(long, value_name = "NAME=VALUE", conflicts_with = "meta_json")]
    meta: Vec<Pair>,
    /// Data of your own, as an object.
    #[arg(long, value_name = "JSON|FILE")]
    meta_json: Option<String>,
}

impl MetaArgs {
    pub(super) fn put(&self, body: &mut Body, cx: &Context<'_>) -> Result<(), CliError> {
        body.put_texts("meta", &self.meta);
        if let Some(text) = &self.meta_json {
            body.put("meta", Some(cx.json_object("--meta-json", text)?));
        }
        Ok(())
    }
}

/// `hallpass account create`.
#[derive(Debug, Args)]
pub struct CreateArgs {
    #[command(flatten)]
    profile: ProfileArgs,
    /// Make a root account, which has no parent (operator only).
    #[arg(long)]
    root: bool,
    /// Below which account; the same as --account.
    #[arg(long, value_name = "ID", conflicts_with = "root")]
    parent: Option<PathId>,
    /// Repeating the command with the same text makes one account, not two.
    #[arg(long, value_name = "TEXT")]
    idempotency_key: Option<String>,
}

/// `hallpass account list`.
#[derive(Debug, Args)]
pub struct ListArgs {
    /// Only with this address.
    #[arg(long)]
    email: Option<String>,
    /// Only with this id of your own system.
    #[arg(long, value_name = "ID")]
    external_id: Option<String>,
    /// Only with this in its data; may be repeated.
    #[arg(long, value_name = "NAME=VALUE")]
    meta: Vec<Pair>,
    #[command(flatten)]
    page: PageArgs,
}

/// Whether a parent may act for an account.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum ImpersonationPolicy {
    /// It may.
    Allow,
    /// It may not.
    Deny,
}

impl ImpersonationPolicy {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Allow => "allow",
            Self::Deny => "deny",
        }
    }
}

/// `hallpass account update`.
#[derive(Debug, Args)]
pub struct UpdateArgs {
    /// The account; `self` is your own.
    id: PathId,
    #[command(flatten)]
    profile: ProfileArgs,
    /// Whether the parent may act for this account; only an account itself may say so.
    #[arg(long, value_enum)]
    impersonation_policy: Option<ImpersonationPolicy>,
    /// Empty these members: email, alias, …
    #[arg(long, value_name = "MEMBER", value_delimiter = ',')]
    clear: Vec<String>,
}

impl AccountCommand {
    /// The request of this command.
    pub(super) fn plan(&self, cx: &Context<'_>) -> Result<Plan, CliError> {
        let item = |request| Ok(Plan::new(request, View::Item));
        let act = |id: &PathId, verb: &str| Request::post(format!("user/{id}/{verb}"), Body::new());
        match self {
            Self::Create(args) => args.plan(cx),
            Self::List(args) => Ok(args.plan()),
            Self::Fetch { id } => item(Request::get(format!("user/{id}/fetch"))),
            Self::Update(args) => args.plan(cx),
            Self::Suspend { id } => item(act(id, "suspend")),
            Self::Resume { id } => item(act(id, "resume")),
            Self::Delete { id } => item(act(id, "delete")),
        }
    }
}

impl ProfileArgs {
    fn body(&self, cx: &Context<'_>) -> Result<Body, CliError> {
        let mut body = Body::new();
        body.put("name", self.name.as_deref());
        body.put("email", self.email.as_deref());
        body.put("alias", self.alias.as_deref());
        body.put("description", self.description.as_deref());
        body.put("image", self.image.as_deref());
        if let Some(text) = &self.limits {
            body.put("limits", Some(cx.json_object("--limits", text)?));
        }
        self.meta.put(&mut body, cx)?;
        body.put("externalId", self.external_id.as_deref());
        body.put("canImpersonate", self.can_impersonate);
        Ok(body)
    }
}

impl CreateArgs {
    fn plan(&self, cx: &Context<'_>) -> Result<Plan, CliError> {
        if self.parent.is_some() && cx.account.is_some() {
            return Err(UsageError::Both {
                first: "--parent",
                second: "--account",
            }
            .into());
        }
        let mut body = self.profile.body(cx)?;
        body.put_flag("root", self.root);
        let mut request = Request::post("user/create", body)
            .with_idempotency_key(self.idempotency_key.as_deref());
        request.as_account = self.parent.as_ref().map(PathId::to_string);
        Ok(Plan::new(request, View::Item))
    }
}

impl ListArgs {
    fn plan(&self) -> Plan {
        let mut filter = Filter::default();
        filter.put("email", self.email.as_deref());
        filter.put("externalId", self.external_id.as_deref());
        filter.put_meta(&self.meta);
        self.page.plan("user/list", filter, COLUMNS)
    }
}

impl UpdateArgs {
    fn plan(&self, cx: &Context<'_>) -> Result<Plan, CliError> {
        let mut body = self.profile.body(cx)?;
        let policy = self.impersonation_policy.map(ImpersonationPolicy::as_str);
        body.put("impersonationPolicy", policy);
        body.put_list("clear", &self.clear);
        let path = format!("user/{}/update", self.id);
        Ok(Plan::new(Request::post(path, body), View::Item))
    }
}
