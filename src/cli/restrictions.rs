//! The restrictions of a key, as flags or as the JSON of `config` (DESIGN.md §3).

use clap::Args;
use serde_json::Value;

use super::error::{CliError, UsageError};
use super::request::{Body, Context};
use super::values::{Pair, Rate, Seconds};

/// What narrows a key. What is not given is not narrowed; an empty list, which means "nothing", can
/// be written in --config only.
#[derive(Debug, Args)]
#[command(next_help_heading = "Restrictions")]
pub struct RestrictionArgs {
    /// A route that the key may call, such as `bot/**` or `POST bot/*/session/create`; may be
    /// repeated.
    #[arg(long = "allow", value_name = "ROUTE")]
    allowed_routes: Vec<String>,
    /// A permission, such as `bots:read`; may be repeated.
    #[arg(long = "permission", value_name = "SCOPE", value_delimiter = ',')]
    permissions: Vec<String>,
    /// Only requests about this value, such as `bot=b1`; may be repeated.
    #[arg(long = "bind", value_name = "DIMENSION=VALUE")]
    bindings: Vec<Pair>,
    /// Only from web pages of this host; may be repeated.
    #[arg(long = "domain", value_name = "HOST", value_delimiter = ',')]
    domains: Vec<String>,
    /// Only from this network; may be repeated.
    #[arg(long = "cidr", value_name = "NETWORK", value_delimiter = ',')]
    cidrs: Vec<String>,
    /// A route that sessions of the key may call; may be repeated.
    #[arg(long = "session-allow", value_name = "ROUTE")]
    session_allowed_routes: Vec<String>,
    /// A permission that sessions of the key may have; may be repeated.
    #[arg(
        long = "session-permission",
        value_name = "SCOPE",
        value_delimiter = ','
    )]
    session_permissions: Vec<String>,
    /// A value that sessions of the key are bound to; may be repeated.
    #[arg(long = "session-bind", value_name = "DIMENSION=VALUE")]
    session_bindings: Vec<Pair>,
    /// A host from whose pages sessions of the key work; may be repeated.
    #[arg(long = "session-domain", value_name = "HOST", value_delimiter = ',')]
    session_domains: Vec<String>,
    /// An audience that sessions of the key may name; may be repeated.
    #[arg(long = "audience", value_name = "AUDIENCE", value_delimiter = ',')]
    session_audiences: Vec<String>,
    /// The longest lifetime of a session: 900s, 12h.
    #[arg(long, value_name = "TIME")]
    session_max_duration: Option<Seconds>,
    /// How long a session may be renewed at most: 12h, 30d.
    #[arg(long, value_name = "TIME")]
    session_max_renewable: Option<Seconds>,
    /// The key may act for child accounts.
    #[arg(long, conflicts_with = "no_impersonate")]
    impersonate: bool,
    /// The key may not act for child accounts.
    #[arg(long)]
    no_impersonate: bool,
    /// A route that the key may call for a child; may be repeated.
    #[arg(
        long = "impersonate-route",
        value_name = "ROUTE",
        conflicts_with = "no_impersonate"
    )]
    impersonate_routes: Vec<String>,
    /// A child that the key may act for; may be repeated.
    #[arg(
        long = "impersonate-user",
        value_name = "ID",
        value_delimiter = ',',
        conflicts_with = "no_impersonate"
    )]
    impersonate_users: Vec<String>,
    /// What the key may manage: tokens, users, webhooks, audit, introspect; may be repeated.
    #[arg(long, value_name = "WHAT", value_delimiter = ',')]
    manage: Vec<String>,
    /// How often the key may be used: 100/60 is 100 requests in 60 seconds.
    #[arg(long = "rate", value_name = "REQUESTS/TIME")]
    rate_limit: Option<Rate>,
    /// The whole `config` as JSON, or a file with it (`-` for standard input). Flags add to it.
    #[arg(long, value_name = "JSON|FILE")]
    config: Option<String>,
}

impl RestrictionArgs {
    /// Sets `config`, if anything was given.
    pub(super) fn put(&self, body: &mut Body, cx: &Context<'_>) -> Result<(), CliError> {
        let Some(text) = &self.config else {
            body.put_object("config", self.flags());
            return Ok(());
        };
        let mut config = cx.json_object("--config", text)?;
        for (name, value) in self.flags().into_map() {
            match (config.get_mut(&name), value) {
                (None, value) => {
                    config.insert(name, value);
                }
                // The mint side is made of many flags, so it is put together member by member.
                (Some(Value::Object(given)), Value::Object(flags)) if name == "session" => {
                    for (member, value) in flags {
                        if given.insert(member, value).is_some() {
                            return Err(UsageError::ConfigAndFlag { member: "session" }.into());
                        }
                    }
                }
                (Some(_), _) => {
                    let member = MEMBERS.into_iter().find(|member| *member == name);
                    return Err(UsageError::ConfigAndFlag {
                        member: member.unwrap_or("config"),
                    }
                    .into());
                }
            }
        }
        // `{}` is sent as it is: the server says what is wrong with it.
        body.put("config", Some(config));
        Ok(())
    }

    fn flags(&self) -> Body {
        let mut session = Body::new();
        session.put_list("allowedRoutes", &self.session_allowed_routes);
        session.put_list("permissions", &self.session_permissions);
        session.put_bindings("bindings", &self.session_bindings);
        session.put_list("domains", &self.session_domains);
        session.put_list("audiences", &self.session_audiences);
        session.put_secs("maxDurationInSeconds", self.session_max_duration);
        session.put_secs("maxRenewableInSeconds", self.session_max_renewable);

        let mut config = Body::new();
        config.put_list("allowedRoutes", &self.allowed_routes);
        config.put_list("permissions", &self.permissions);
        config.put_bindings("bindings", &self.bindings);
        config.put_list("domains", &self.domains);
        config.put_list("cidrs", &self.cidrs);
        config.put_object("session", session);
        config.put("impersonation", self.impersonation());
        config.put_list("manage", &self.manage);
        config.put("rateLimit", self.rate_limit.map(rate_limit));
        config
    }

    fn impersonation(&self) -> Option<Value> {
        let mut narrowed = Body::new();
        narrowed.put_list("allowedRoutes", &self.impersonate_routes);
        narrowed.put_list("users", &self.impersonate_users);
        let narrowed = narrowed.into_map();
        if !narrowed.is_empty() {
            return Some(Value::Object(narrowed));
        }
        match (self.impersonate, self.no_impersonate) {
            (false, false) => None,
            (may, _) => Some(Value::Bool(may)),
        }
    }
}

/// The members of `config` that flags can set.
const MEMBERS: [&str; 9] = [
    "allowedRoutes",
    "permissions",
    "bindings",
    "domains",
    "cidrs",
    "session",
    "impersonation",
    "manage",
    "rateLimit",
];

fn rate_limit(rate: Rate) -> Value {
    serde_json::json!({ "requests": rate.requests, "perSeconds": rate.per_secs })
}
