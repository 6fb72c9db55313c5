//! Usage over time.

use axum::response::Response;

use super::endpoint::{Call, ok};
use super::problem::Problem;
use super::query::parse_query;
use crate::app::error::Error;

const HOUR: i64 = 3600;
const DAY: i64 = 24 * HOUR;

pub(super) async fn fetch(call: Call) -> Result<Response, Problem> {
    let mut secs = DAY;
    for (name, value) in parse_query(call.query.as_deref())? {
        secs = match (name.as_str(), value.as_str()) {
            ("period", "hour") => HOUR,
            ("period", "day") => DAY,
            ("period", "week") => 7 * DAY,
            ("period", "month") => 30 * DAY,
            ("period", _) => {
                return Err(Error::invalid("period", "hour, day, week or month").into());
            }
            _ => return Err(Error::invalid(name, "there is no such parameter").into()),
        };
    }
    ok(&call.app.usage(call.caller()?, secs).await?)
}
