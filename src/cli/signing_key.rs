//! `hallpass signing-key` and `hallpass audit`.

use std::fs::File;
use std::io::{self, BufReader};
use std::path::{Path, PathBuf};

use clap::{Args, Subcommand, ValueEnum};
use serde_json::{Value, json};

use super::error::{CliError, UsageError};
use super::list::{Filter, PageArgs};
use super::output::Console;
use super::request::{Body, Context, Plan, Request, View};
use super::token::EnvironmentArg;
use super::values::PathId;
use crate::token::KeySet;
use crate::token::ledger::{Fault, Known, check_export};

const COLUMNS: &[&str] = &[
    "kid",
    "environment",
    "algorithm",
    "state",
    "activatedAt",
    "retiredAt",
    "unsignedUntil",
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
    /// End a key at once, with all tokens that it signed. If the next key is too young to take its
    /// place, nothing is signed in its environment, and `/readyz` says 503, until `unsignedUntil` of
    /// the answer; `signing-key list` says so before.
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
    /// Show the last checkpoint. Keep its `seq` and `hash` elsewhere, for `audit verify --known`.
    Checkpoint,
    /// Write the whole ledger to a file, to be checked elsewhere. Works on the database only; from a
    /// server, fetch `/v1/audit/export` with an operator key.
    Export(ExportArgs),
    /// Check an export, without a server or a database. The exit code is 1 when something in it was
    /// changed, removed or moved; the first such entry is named.
    Verify(AuditVerifyArgs),
    /// Let another key sign checkpoints from now on. The old ones can be checked as before.
    RotateKey,
}

/// `hallpass audit export`.
#[derive(Debug, Clone, PartialEq, Eq, Args)]
pub struct ExportArgs {
    /// The file to write; it must not be there yet.
    pub file: PathBuf,
    /// Only what was sealed since this instant, in milliseconds since 1970.
    #[arg(long, value_name = "MILLISECONDS")]
    pub since: Option<i64>,
}

/// `hallpass audit verify`.
#[derive(Debug, Args)]
pub struct AuditVerifyArgs {
    /// The export, or `-` for standard input.
    file: PathBuf,
    /// The public keys of the ledger, which you kept. Without it those in the export are believed.
    #[arg(long, value_name = "FILE")]
    keys: Option<PathBuf>,
    /// A state that you kept, `SEQ:HASH`: the export must have it.
    #[arg(long, value_name = "SEQ:HASH")]
    known: Option<String>,
}

impl AuditVerifyArgs {
    /// Checks the export and says whether it is whole.
    pub(super) fn run(
        &self,
        cx: &Context<'_>,
        console: &mut Console<'_>,
    ) -> Result<bool, CliError> {
        let keys = match &self.keys {
            None => None,
            Some(path) => {
                let text = cx.read(path)?;
                Some(KeySet::parse(text.as_bytes()).map_err(CliError::KeySet)?)
            }
        };
        let known = match &self.known {
            None => None,
            Some(text) => Some(known(text).ok_or(UsageError::Missing {
                wanted: "--known as SEQ:HASH",
            })?),
        };
        let unreadable = |source| CliError::Read {
            path: self.file.clone(),
            source,
        };
        let checked = if self.file == Path::new("-") {
            check_export(io::stdin().lock(), keys, known.as_ref())
        } else {
            let file = File::open(&self.file).map_err(unreadable)?;
            check_export(BufReader::new(file), keys, known.as_ref())
        };
        match checked {
            Ok(summary) => {
                let mut shown = json!({ "valid": true });
                if let (Value::Object(shown), Ok(Value::Object(summary))) =
                    (&mut shown, serde_json::to_value(&summary))
                {
                    shown.extend(summary);
                }
                console.answer(View::Item, &shown)?;
                if !summary.keys_are_trusted {
                    console.hint(
                        "the keys were taken from the export itself; give those that you kept as --keys",
                    )?;
                }
                Ok(true)
            }
            Err(Fault::Read(source)) => Err(unreadable(source)),
            Err(fault) => {
                let shown = json!({ "valid": false, "problem": fault.to_string() });
                console.answer(View::Item, &shown)?;
                Ok(false)
            }
        }
    }
}

fn known(text: &str) -> Option<Known> {
    let (seq, hash) = text.split_once(':')?;
    Some(Known {
        seq: seq.parse().ok()?,
        hash: hash.to_owned(),
    })
}

/// What is to be done about the ledger.
#[derive(Debug)]
pub(super) enum AuditPlan<'a> {
    /// By the API.
    Call(Box<Plan>),
    /// On the database.
    Export(&'a ExportArgs),
    /// Without either.
    Verify(&'a AuditVerifyArgs),
}

impl AuditCommand {
    /// The request of this command, or what the API does not do.
    pub(super) fn plan(&self) -> AuditPlan<'_> {
        let plan = match self {
            Self::Export(args) => return AuditPlan::Export(args),
            Self::Verify(args) => return AuditPlan::Verify(args),
            Self::Checkpoint => Plan::new(Request::get("audit/checkpoint/fetch"), View::Item),
            Self::RotateKey => {
                Plan::new(Request::post("audit/key/rotate", Body::new()), View::Item)
            }
            Self::List { user, action, page } => {
                let mut filter = Filter::default();
                filter.put("userId", user.as_ref().map(PathId::as_str));
                filter.put("action", action.as_deref());
                page.plan("audit/list", filter, AUDIT_COLUMNS)
            }
        };
        AuditPlan::Call(Box::new(plan))
    }
}
