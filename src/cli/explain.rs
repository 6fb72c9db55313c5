//! `hallpass explain`: whether the gate would let a request of the own key pass.

use clap::Args;

use super::error::CliError;
use super::request::{Body, Context, Plan, Request, View};
use super::values::{Pair, Secret};

/// Ask the gate about a request of your own key or session: by which pattern it passes, or which
/// check refuses it and what would have to be changed. The exit code is 1 when it is refused.
#[derive(Debug, Args)]
pub struct ExplainArgs {
    /// The method, in upper case.
    method: String,
    /// The target as it would be sent: `/v1/bot/b1/fetch`.
    path: String,
    /// A header of the request, such as `Origin=https://example.com` or `X-Bot-ID=b1`; may be
    /// repeated.
    #[arg(long = "header", value_name = "NAME=VALUE")]
    headers: Vec<Pair>,
    /// The address of the client.
    #[arg(long, value_name = "IP")]
    address: Option<String>,
    /// A session token to ask about, or `-` for standard input; without it, the key.
    #[arg(long, value_name = "TOKEN")]
    token: Option<Secret>,
}

impl ExplainArgs {
    pub(super) fn plan(&self, cx: &Context<'_>) -> Result<Plan, CliError> {
        let mut body = Body::new();
        body.put("method", Some(self.method.as_str()));
        body.put("path", Some(self.path.as_str()));
        body.put_texts("headers", &self.headers);
        body.put("address", self.address.as_deref());
        let mut request = Request::post("authorize/explain", body);
        if let Some(token) = &self.token {
            request.credential = Some(cx.secret(token)?);
        }
        Ok(Plan::new(request, View::Verdict("allowed")))
    }
}
