//! `hallpass webhook`.

use clap::{ArgAction, Args, Subcommand, ValueEnum};

use super::account::MetaArgs;
use super::error::CliError;
use super::list::{Filter, PageArgs};
use super::request::{Body, Context, Plan, Request, View};
use super::values::{PathId, Seconds};

const COLUMNS: &[&str] = &[
    "id",
    "url",
    "state",
    "events",
    "deliveredAt",
    "failingSince",
];
const DELIVERY_COLUMNS: &[&str] = &[
    "id",
    "type",
    "state",
    "attempts",
    "status",
    "problem",
    "lastAttemptAt",
    "nextAttemptAt",
];

/// Where an account is told of what happened.
#[derive(Debug, Subcommand)]
pub enum WebhookCommand {
    /// Make a webhook, and print its secret once.
    Create(CreateArgs),
    /// List the webhooks.
    List {
        /// Which page.
        #[command(flatten)]
        page: PageArgs,
    },
    /// Show one webhook.
    Fetch {
        /// The webhook.
        id: PathId,
    },
    /// Change a webhook.
    Update(UpdateArgs),
    /// Delete a webhook. What waits for it is not sent.
    Delete {
        /// The webhook.
        id: PathId,
    },
    /// Make a new secret, and print it once.
    Rotate {
        /// The webhook.
        id: PathId,
        /// For how long the old secret signs as well [default: 24h]
        #[arg(long, value_name = "DURATION")]
        overlap: Option<Seconds>,
        /// Repeating the command with the same text makes one secret, not two.
        #[arg(long, value_name = "TEXT")]
        idempotency_key: Option<String>,
    },
    /// Send a test event to this webhook alone.
    Test {
        /// The webhook.
        id: PathId,
    },
    /// List what was sent, what waits, and how it went.
    Deliveries {
        /// The webhook.
        id: PathId,
        /// Only deliveries in this state.
        #[arg(long, value_enum)]
        state: Option<StateArg>,
        /// Which page.
        #[command(flatten)]
        page: PageArgs,
    },
    /// Send an event again.
    Replay {
        /// The webhook.
        id: PathId,
        /// The delivery.
        delivery: PathId,
    },
}

/// Where a delivery stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum StateArg {
    /// It is to be sent.
    Pending,
    /// It was taken.
    Delivered,
    /// It was given up.
    Failed,
}

impl StateArg {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Delivered => "delivered",
            Self::Failed => "failed",
        }
    }
}

/// `hallpass webhook create`.
#[derive(Debug, Args)]
pub struct CreateArgs {
    /// Where events are sent.
    url: String,
    /// Only these events, such as token.reported; may be repeated. Without it, all.
    #[arg(long = "event", value_name = "NAME", value_delimiter = ',')]
    events: Vec<String>,
    /// What it is for.
    #[arg(long)]
    description: Option<String>,
    #[command(flatten)]
    meta: MetaArgs,
    /// Whether anything is sent.
    #[arg(long, value_name = "BOOL", action = ArgAction::Set)]
    enabled: Option<bool>,
    /// Repeating the command with the same text makes one webhook, not two.
    #[arg(long, value_name = "TEXT")]
    idempotency_key: Option<String>,
}

/// `hallpass webhook update`.
#[derive(Debug, Args)]
pub struct UpdateArgs {
    /// The webhook.
    id: PathId,
    /// Where events are sent.
    #[arg(long = "to", value_name = "URL")]
    to: Option<String>,
    /// Only these events; may be repeated.
    #[arg(long = "event", value_name = "NAME", value_delimiter = ',')]
    events: Vec<String>,
    /// What it is for.
    #[arg(long)]
    description: Option<String>,
    #[command(flatten)]
    meta: MetaArgs,
    /// Whether anything is sent. `true` forgets that it failed.
    #[arg(long, value_name = "BOOL", action = ArgAction::Set)]
    enabled: Option<bool>,
    /// Empty these members: description, meta, events (then all are sent).
    #[arg(long, value_name = "MEMBER", value_delimiter = ',')]
    clear: Vec<String>,
}

impl WebhookCommand {
    /// The request of this command.
    pub(super) fn plan(&self, cx: &Context<'_>) -> Result<Plan, CliError> {
        let item = |request| Ok(Plan::new(request, View::Item));
        let act =
            |id: &PathId, verb: &str| Request::post(format!("webhook/{id}/{verb}"), Body::new());
        match self {
            Self::Create(args) => {
                let mut body = Body::new();
                body.put("url", Some(args.url.as_str()));
                body.put_list("events", &args.events);
                body.put("description", args.description.as_deref());
                args.meta.put(&mut body, cx)?;
                body.put("enabled", args.enabled);
                let request = Request::post("webhook/create", body)
                    .with_idempotency_key(args.idempotency_key.as_deref());
                Ok(Plan::new(request, View::Secret))
            }
            Self::List { page } => Ok(page.plan("webhook/list", Filter::default(), COLUMNS)),
            Self::Fetch { id } => item(Request::get(format!("webhook/{id}/fetch"))),
            Self::Update(args) => {
                let mut body = Body::new();
                body.put("url", args.to.as_deref());
                body.put_list("events", &args.events);
                body.put("description", args.description.as_deref());
                args.meta.put(&mut body, cx)?;
                body.put("enabled", args.enabled);
                body.put_list("clear", &args.clear);
                item(Request::post(format!("webhook/{}/update", args.id), body))
            }
            Self::Delete { id } => item(act(id, "delete")),
            Self::Rotate {
                id,
                overlap,
                idempotency_key,
            } => {
                let mut body = Body::new();
                body.put_secs("overlapInSeconds", *overlap);
                let request = Request::post(format!("webhook/{id}/rotate"), body)
                    .with_idempotency_key(idempotency_key.as_deref());
                Ok(Plan::new(request, View::Secret))
            }
            Self::Test { id } => item(act(id, "test")),
            Self::Deliveries { id, state, page } => {
                let mut filter = Filter::default();
                filter.put("state", state.map(StateArg::as_str));
                Ok(page.plan(
                    format!("webhook/{id}/delivery/list"),
                    filter,
                    DELIVERY_COLUMNS,
                ))
            }
            Self::Replay { id, delivery } => item(act(id, &format!("delivery/{delivery}/replay"))),
        }
    }
}
