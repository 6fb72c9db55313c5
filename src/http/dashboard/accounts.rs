//! Accounts: the tree below one's own, and acting as a child.

use axum::response::Response;
use maud::{Markup, html};
use serde_json::{Map, Value, json};

use super::api::Ask;
use super::fields::escape;
use super::new_key::refilled;
use super::page::{Failure, problem};
use super::redirect;
use super::show::{
    account_name, collect, field, has_text, id_text, input, instant, is, is_filtered, once, pager,
    state, term, text, time,
};
use super::visit::Visit;
use crate::app::error::{Error, Forbidden};
use crate::domain::id::AccountId;
use crate::domain::time::Timestamp;

pub(super) async fn list(visit: Visit<'_>) -> Result<Response, Failure> {
    let searched = visit.query.get("q");
    let listed = collect(&visit, Ask::get("user/list"), |account| {
        has_text(
            account,
            &["name", "alias", "email", "externalId", "id"],
            searched,
        )
    })
    .await?;
    let now = visit.now();
    let own = visit.user.as_ref().and_then(|user| user.account.as_ref());
    let body = html! {
        div.head {
            h1 { "Accounts" }
            @if visit.may_change("user/create", "users") { a.button.primary href="/ui/accounts/new" { "New account" } }
        }
        (visit.notice())
        form.filters method="get" action="/ui/accounts" role="search" {
            label.hide for="q" { "Search" }
            input id="q" name="q" type="search" value=(searched) placeholder="Name, email, external id";
            button type="submit" { "Filter" }
        }
        @if let Some(own) = own {
            p.tree-root { span dir="auto" { (account_name(own)) } " " (state(text(own, "state"))) " " span.faint { "this account" } }
        }
        @if listed.items.is_empty() {
            p.empty { @if is_filtered(&visit) { "No account below it is like that." } @else { "There are no accounts below it yet." } }
        } @else {
            (children(&listed.items, now))
            (pager(&visit, &listed, "/ui/accounts"))
        }
    };
    Ok(visit.page("Accounts", &body))
}

fn children(accounts: &[Value], now: Timestamp) -> Markup {
    html! {
        table.tree {
            caption.hide { "Accounts" }
            thead { tr {
                th scope="col" { "Name" } th scope="col" { "Email" } th scope="col" { "State" }
                th scope="col" { "Id" } th scope="col" { "Made" }
            } }
            tbody {
                @for account in accounts {
                    tr {
                        td data-label="Name" {
                            a.name dir="auto" href=(format!("/ui/accounts/{}", escape(text(account, "id")))) { (account_name(account)) }
                        }
                        td data-label="Email" { (text(account, "email")) }
                        td data-label="State" { (state(text(account, "state"))) }
                        td data-label="Id" { (id_text(text(account, "id"))) }
                        td data-label="Made" { (time(instant(account, "createdAt"), now)) }
                    }
                }
            }
        }
    }
}

async fn fetch(visit: &Visit<'_>) -> Result<Value, Failure> {
    visit
        .ask(Ask::get(format!("user/{}/fetch", escape(visit.param(0)))))
        .await
}

pub(super) async fn show(visit: Visit<'_>) -> Result<Response, Failure> {
    let account = fetch(&visit).await?;
    let now = visit.now();
    let id = text(&account, "id").to_owned();
    let base = format!("/ui/accounts/{}", escape(&id));
    let acting = visit
        .user
        .as_ref()
        .is_some_and(|user| user.acting().is_some());
    let active = text(&account, "state") == "active";
    // What is below it is shown as it sees it itself, if one may act as it.
    let below = if acting || !active {
        None
    } else {
        let ask = Ask::get("user/list").with("take", "100").for_child(&id);
        visit.ask(ask).await.ok()
    };
    let below = below
        .as_ref()
        .and_then(|page| page.get("items"))
        .and_then(Value::as_array);
    let body = html! {
        p.crumb { a href="/ui/accounts" { "Accounts" } }
        div.head {
            h1 dir="auto" { (account_name(&account)) }
            (state(text(&account, "state")))
        }
        (visit.notice())
        div.actions {
            @if active && !acting { (visit.button(&format!("{base}/act"), "primary", "Act as this account")) }
            @if visit.may_change(&format!("user/{id}/update"), "users") {
                @if active {
                    a.button href=(format!("{base}/end-sessions")) { "End all its sessions" }
                    a.button href=(format!("{base}/suspend")) { "Suspend" }
                } @else {
                    (visit.button(&format!("{base}/resume"), "", "Resume"))
                }
                a.button.danger href=(format!("{base}/delete")) { "Delete" }
            }
        }
        section.card {
            h2.hide { "Account" }
            dl {
                (term("Id", &html! { span.mono { (id) } }))
                (term("Name", &html! { span dir="auto" { (text(&account, "name")) } }))
                (term("Email", &html! { (text(&account, "email")) }))
                @if !text(&account, "externalId").is_empty() {
                    (term("External id", &html! { span.mono dir="auto" { (text(&account, "externalId")) } }))
                }
                @if !text(&account, "description").is_empty() {
                    (term("Description", &html! { span dir="auto" { (text(&account, "description")) } }))
                }
                (term("May act as its children", &html! { @if is(&account, "canImpersonate") { "yes" } @else { "no" } }))
                (term("Lets its parent act as it", &html! { @if text(&account, "impersonationPolicy") == "deny" { "no" } @else { "yes" } }))
                (term("Made", &time(instant(&account, "createdAt"), now)))
                (term("Changed", &time(instant(&account, "updatedAt"), now)))
            }
            p { a href=(format!("/ui/ledger?userId={}", escape(&id))) { "Its ledger" } }
        }
        @if let Some(below) = below.filter(|below| !below.is_empty()) {
            section { h2 { "Below it" } (below_it(below, now)) }
        }
    };
    Ok(visit.page(&account_name(&account), &body))
}

/// Grandchildren, which only their own parent may open.
fn below_it(accounts: &[Value], now: Timestamp) -> Markup {
    html! {
        ul.below {
            @for account in accounts {
                li {
                    span dir="auto" { (account_name(account)) } " " (state(text(account, "state"))) " "
                    (id_text(text(account, "id"))) " " span.faint { "made " (time(instant(account, "createdAt"), now)) }
                }
            }
        }
        p.help { "To manage them, act as this account: they belong to it." }
    }
}

pub(super) async fn form(visit: Visit<'_>) -> Result<Response, Failure> {
    let body = whole(&visit, &html! {})?;
    Ok(visit.page("New account", &body))
}

fn whole(visit: &Visit<'_>, above: &Markup) -> Result<Markup, Failure> {
    let form = &visit.form;
    Ok(html! {
        p.crumb { a href="/ui/accounts" { "Accounts" } }
        h1 { "New account" }
        (above)
        form.card.narrow method="post" action="/ui/accounts/new" {
            (visit.hidden())
            (once(visit)?)
            (field("name", "Name", "", &input("name", form.raw("name"))))
            (field("email", "Email", "Unique among the accounts below yours.", &input("email", form.get("email"))))
            (field("externalId", "External id", "What the account is called in your own system.", &input("externalId", form.get("externalId"))))
            (field("description", "Description", "", &input("description", form.raw("description"))))
            div.actions {
                button.primary type="submit" { "Create account" }
                a.button href="/ui/accounts" { "Cancel" }
            }
        }
    })
}

pub(super) async fn create(visit: Visit<'_>) -> Result<Response, Failure> {
    if visit.refill.is_some() {
        let body = whole(&visit, &refilled(&visit))?;
        return Ok(visit.page("New account", &body));
    }
    let fields: Map<String, Value> = ["name", "email", "externalId", "description"]
        .into_iter()
        .filter_map(|name| Some((name.to_owned(), visit.form.some(name)?.into())))
        .collect();
    let ask = Ask::post("user/create", Value::Object(fields)).once(visit.form.get("_once"));
    match visit.ask(ask).await {
        Ok(made) => {
            let id = escape(text(&made, "id"));
            Ok(redirect(&format!("/ui/accounts/{id}?done=account-created")))
        }
        Err(failure) => {
            let body = whole(&visit, &problem(&failure))?;
            Ok(visit
                .frame()
                .render_with(failure.status(), "New account", &body))
        }
    }
}

pub(super) async fn confirm(visit: Visit<'_>) -> Result<Response, Failure> {
    let account = fetch(&visit).await?;
    let act = visit.param(1).to_owned();
    let (heading, button, words) = match act.as_str() {
        "suspend" => (
            "Suspend",
            "Suspend",
            "Its keys stop working and its sessions end now, and so for every account below it. When it is resumed, keys work again; sessions stay ended.",
        ),
        "delete" => (
            "Delete",
            "Delete for ever",
            "Its keys and sessions end now, and so for every account below it. This cannot be taken back.",
        ),
        "end-sessions" => (
            "End all sessions of",
            "End all its sessions",
            "Every session that speaks for it, or for an account below it, ends now. The account is suspended and resumed; its keys work on.",
        ),
        _ => return Err(Error::NotFound.into()),
    };
    let base = format!("/ui/accounts/{}", escape(text(&account, "id")));
    let body = html! {
        p.crumb { a href="/ui/accounts" { "Accounts" } " / " a dir="auto" href=(base) { (account_name(&account)) } }
        h1 { (heading) " " span dir="auto" { (account_name(&account)) } }
        div.card.narrow {
            p { (words) }
            form method="post" action=(format!("{base}/{act}")) {
                (visit.hidden())
                div.actions {
                    button.danger type="submit" { (button) }
                    a.button href=(base) { "Cancel" }
                }
            }
        }
    };
    Ok(visit.page(heading, &body))
}

async fn turn(visit: &Visit<'_>, act: &str) -> Result<(), Failure> {
    let path = format!("user/{}/{act}", escape(visit.param(0)));
    visit.ask(Ask::post(path, json!({}))).await?;
    Ok(())
}

fn back(visit: &Visit<'_>, done: &str) -> Response {
    redirect(&format!(
        "/ui/accounts/{}?done={done}",
        escape(visit.param(0))
    ))
}

pub(super) async fn suspend(visit: Visit<'_>) -> Result<Response, Failure> {
    turn(&visit, "suspend").await?;
    Ok(back(&visit, "suspended"))
}

pub(super) async fn resume(visit: Visit<'_>) -> Result<Response, Failure> {
    turn(&visit, "resume").await?;
    Ok(back(&visit, "resumed"))
}

/// Suspending an account ends its sessions, and resuming brings none back.
pub(super) async fn end_sessions(visit: Visit<'_>) -> Result<Response, Failure> {
    turn(&visit, "suspend").await?;
    turn(&visit, "resume").await?;
    Ok(back(&visit, "ended"))
}

pub(super) async fn delete(visit: Visit<'_>) -> Result<Response, Failure> {
    turn(&visit, "delete").await?;
    Ok(redirect("/ui/accounts?done=deleted"))
}

/// Acts as a child from now on, if the key may: the API is asked first.
pub(super) async fn act(visit: Visit<'_>) -> Result<Response, Failure> {
    let Some(user) = &visit.user else {
        return Err(Error::internal("a button without a user").into());
    };
    let denied = || Failure::from(Error::from(Forbidden::Impersonation));
    if user.acting().is_some() {
        return Err(denied());
    }
    let child = AccountId::parse(visit.param(0)).map_err(|_| denied())?;
    visit
        .ask(Ask::get("token/self/fetch").for_child(child.as_str()))
        .await?;
    visit
        .edge
        .app
        .act_in_dashboard(&user.sign_in, Some(&child))
        .await?;
    Ok(redirect("/"))
}

pub(super) async fn act_no_more(visit: Visit<'_>) -> Result<Response, Failure> {
    if let Some(user) = &visit.user {
        visit.edge.app.act_in_dashboard(&user.sign_in, None).await?;
    }
    Ok(redirect("/ui/accounts?done=acted"))
}
