//! `hallpass signing-key` and `hallpass audit`.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};

use super::list::{Filter, PageArgs};
use super::request::{Body, Plan, Request, View};
use super::token::EnvironmentArg;
use super::values::PathId;

const COLUMNS: &[&str] = &[
    "kid",
    "environment",
    "algorithm",
    "state",
    "activatedAt",
    "retiredAt",
];
const AUDIT_COLUMNS: &[&str] = &[
    "at", "action", "outcome", "userId", "actorId", "tokenId", "targetId", "address",
];

/// The keys that sign session tokens (operator only).
#[derive(Debug, Subcommand)]
pub enum SigningKeyCommand {
    /// List the signing keys.
    List {
        /// Which page.
        #[command(flatten)]
        page: PageArgs,
    },
    /// Let the next key sign, and publish another next one. With another algorithm, replace the next
    /// key by one of it; it signs when this is called again after it has been published for long
    /// enough. Keys made later, and at every start of the service, are of the configured algorithm.
    Rotate {
        /// Of this environment.
        #[arg(long, value_enum)]
        environment: Option<EnvironmentArg>,
        /// The algorithm of the new key.
        #[arg(long, value_enum)]
        algorithm: Option<AlgorithmArg>,
    },
    /// End a key at once, with all tokens that it signed.
    Revoke {
        /// The key.
        #[arg(allow_hyphen_values = true)]
        kid: PathId,
    },
    /// Seal the private keys under another master key. Works on the database only.
    Rewrap(RewrapArgs),
}

/// `hallpass signing-key rewrap`. The master key until now comes from the settings.
#[derive(Debug, Clone, PartialEq, Eq, Args)]
pub struct RewrapArgs {
    /// The file that has the new master key.
    #[arg(long, value_name = "FILE")]
    pub new_master_key_file: PathBuf,
}

/// A signature algorithm.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum AlgorithmArg {
    /// ECDSA with P-256.
    #[value(name = "ES256")]
    Es256,
    /// Ed25519.
    #[value(name = "EdDSA")]
    EdDsa,
    /// RSA, PKCS #1 v1.5.
    #[value(name = "RS256")]
    Rs256,
}

impl AlgorithmArg {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Es256 => "ES256",
            Self::EdDsa => "EdDSA",
            Self::Rs256 => "RS256",
        }
    }
}

/// What is to be done about signing keys.
#[derive(Debug)]
pub(super) enum SigningKeyPlan<'a> {
    /// By the API.
    Call(Box<Plan>),
    /// On the database.
    Rewrap(&'a RewrapArgs),
}

impl SigningKeyCommand {
    /// The request of this command, or the one thing that the API does not do.
    pub(super) fn plan(&self) -> SigningKeyPlan<'_> {
        match self {
            Self::List { page } => call(page.plan("signing-key/list", Filter::default(), COLUMNS)),
            Self::Rotate {
                environment,
                algorithm,
            } => {
                let mut body = Body::new();
                body.put("environment", environment.map(EnvironmentArg::as_str));
                body.put("algorithm", algorithm.map(AlgorithmArg::as_str));
                let request = Request::post("signing-key/rotate", body);
                call(Plan::new(request, View::Item))
            }
            Self::Revoke { kid } => {
                let request = Request::post(format!("signing-key/{kid}/revoke"), Body::new());
                call(Plan::new(request, View::Item))
            }
            Self::Rewrap(args) => SigningKeyPlan::Rewrap(args),
        }
    }
}

fn call(plan: Plan) -> SigningKeyPlan<'static> {
    SigningKeyPlan::Call(Box::new(plan))
}

/// The ledger.
#[derive(Debug, Subcommand)]
pub enum AuditCommand {
    /// List what was done and refused.
    List {
        /// Only what is about this account.
        #[arg(long, value_name = "ID")]
        user: Option<PathId>,
        /// Only this action.
        #[arg(long)]
        action: Option<String>,
        /// Which page.
        #[command(flatten)]
        page: PageArgs,
    },
}

impl AuditCommand {
    /// The request of this command.
    pub(super) fn plan(&self) -> Plan {
        match self {
            Self::List { user, action, page } => {
                let mut filter = Filter::default();
                filter.put("userId", user.as_ref().map(PathId::as_str));
                filter.put("action", action.as_deref());
                page.plan("audit/list", filter, AUDIT_COLUMNS)
            }
        }
    }
}
