//! API keys.

use std::sync::Arc;

use axum::response::Response;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::endpoint::{Call, id, ok, once};
use super::list::{self, ListQuery, Listed};
use super::problem::Problem;
use crate::app::error::Error;
use crate::app::who;
use crate::domain::environment::Environment;
use crate::domain::template::Template;
use crate::store::api_keys::Filter;

#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
struct Deletion {
    descendants: Option<bool>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Report {
    secret: String,
}

/// The key in the path, which comes last in it.
fn token_id(call: &Call) -> Result<&str, Problem> {
    call.param(call.params.len().saturating_sub(1))
}

pub(super) async fn create(call: Call) -> Result<Response, Problem> {
    let replay = call.replay()?;
    once(
        &call
            .app
            .create_token(&call.presented, call.json()?, replay.as_ref())
            .await?,
    )
}

pub(super) async fn list(call: Call) -> Result<Response, Problem> {
    let query = ListQuery::parse(&call, &["environment", "externalId"])?;
    let environment = query
        .filter("environment")
        .map(|name| {
            Environment::parse(name).ok_or_else(|| Error::invalid("environment", "live or test"))
        })
        .transpose()?;
    let filter = Filter {
        environment,
        external_id: query.filter("externalId").map(str::to_owned),
    };
    let shared = Arc::new((Arc::clone(&call.app), call.caller()?.clone(), filter));
    list::respond(&call, query, move |page| {
        let shared = Arc::clone(&shared);
        async move {
            shared
                .0
                .list_tokens(&shared.1, shared.2.clone(), &page)
                .await
        }
    })
    .await
}

pub(super) async fn fetch(call: Call) -> Result<Response, Problem> {
    ok(&call
        .app
        .fetch_token(call.caller()?, token_id(&call)?)
        .await?)
}

pub(super) async fn fetch_self(call: Call) -> Result<Response, Problem> {
    ok(&who::describe(&call.app, call.caller()?).await?)
}

pub(super) async fn update(call: Call) -> Result<Response, Problem> {
    let updated = call
        .app
        .update_token(&call.presented, token_id(&call)?, call.json()?)
        .await?;
    id(updated.as_str())
}

pub(super) async fn delete(call: Call) -> Result<Response, Problem> {
    let Deletion { descendants } = call.json()?;
    let descendants = descendants.unwrap_or(true);
    let deleted = call
        .app
        .delete_token(&call.presented, token_id(&call)?, descendants)
        .await?;
    id(deleted.as_str())
}

pub(super) async fn rotate(call: Call) -> Result<Response, Problem> {
    let replay = call.replay()?;
    let token = token_id(&call)?;
    once(
        &call
            .app
            .rotate_token(&call.presented, token, call.json()?, replay.as_ref())
            .await?,
    )
}

pub(super) async fn report(call: Call) -> Result<Response, Problem> {
    let Report { secret } = call.json()?;
    let revoked = call.app.report(&call.presented, &secret).await?;
    ok(&json!({ "revoked": revoked }))
}

pub(super) async fn import(call: Call) -> Result<Response, Problem> {
    ok(&call.app.import_token(&call.presented, call.json()?).await?)
}

#[derive(Serialize)]
struct TemplateItem {
    #[serde(skip)]
    name: String,
    #[serde(flatten)]
    item: Value,
}

impl Listed for TemplateItem {
    fn cursor(&self) -> &str {
        &self.name
    }
}

pub(super) async fn templates(call: Call) -> Result<Response, Problem> {
    let query = ListQuery::parse_named(&call)?;
    let app = Arc::clone(&call.app);
    list::respond(&call, query, move |page| {
        let items = app.policy.templates.iter().map(template_item).collect();
        let page = list::page_of(items, &page);
        async { Ok(page) }
    })
    .await
}

fn template_item(template: &Template) -> TemplateItem {
    let item = json!({
        "name": template.name,
        "title": template.title,
        "description": template.description,
        "kind": template.kind,
        "placeholders": template.placeholders,
        "unrestricted": template.unrestricted,
        "config": template.config,
    });
    TemplateItem {
        name: template.name.clone(),
        item,
    }
}

pub(super) async fn preview(call: Call) -> Result<Response, Problem> {
    let preview = call.app.preview_token(call.caller()?, call.json()?)?;
    let problem = preview.excess.map(|error| {
        let shown = Problem::from(error).shown();
        let mut problem = json!({ "code": shown.error_code, "message": shown.message });
        if let Value::Object(problem) = &mut problem {
            problem.extend(shown.extra);
        }
        problem
    });
    let effective = &preview.effective;
    let tried = preview.tried.map(|tried| {
        let outcome = |by: Option<Option<String>>| {
            json!({ "allowed": by.is_some(), "pattern": by.flatten() })
        };
        json!({
            "method": tried.method,
            "path": tried.path.as_str(),
            "call": outcome(tried.by(&effective.call)),
            "session": outcome(tried.by(&effective.mint_ceilings(None))),
        })
    });
    ok(&json!({
        "permitted": problem.is_none(),
        "problem": problem,
        "effective": who::effective(effective, true),
        "request": tried,
    }))
}
