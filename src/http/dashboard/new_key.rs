//! Making a key, with a look at what it would be.

use axum::http::StatusCode;
use axum::response::Response;
use maud::{Markup, html};
use serde_json::{Map, Value, json};

use super::api::Ask;
use super::page::{Failure, counter_example, html_response, problem};
use super::show::{area, field, input, is, labels, once, secret, select, term, text, texts};
use super::visit::{User, Visit};
use crate::domain::restrictions::Manage;
use crate::domain::time::Timestamp;

const METHODS: [(&str, &str); 5] = [
    ("GET", "GET"),
    ("POST", "POST"),
    ("PUT", "PUT"),
    ("PATCH", "PATCH"),
    ("DELETE", "DELETE"),
];
const EXPIRIES: [(&str, &str); 6] = [
    ("", "Never"),
    ("86400", "In a day"),
    ("604800", "In a week"),
    ("2592000", "In 30 days"),
    ("7776000", "In 90 days"),
    ("31536000", "In a year"),
];
/// A template of none: the routes are written by hand.
const CUSTOM: &str = "custom";

pub(super) async fn form(visit: Visit<'_>) -> Result<Response, Failure> {
    let body = whole(&visit, &html! {}).await?;
    Ok(visit.page("New key", &body))
}

/// The values of the form: those that were sent, or those of the link that led here.
fn value<'v>(visit: &'v Visit<'_>, name: &str) -> &'v str {
    match visit.form.get(name) {
        "" => visit.query.get(name),
        value => value,
    }
}

async fn templates(visit: &Visit<'_>) -> Result<Vec<Value>, Failure> {
    let page = visit.ask(Ask::get("token/template/list")).await?;
    let items = page.get("items").and_then(Value::as_array);
    Ok(items.cloned().unwrap_or_default())
}

async fn whole(visit: &Visit<'_>, above: &Markup) -> Result<Markup, Failure> {
    let templates = templates(visit).await?;
    let chosen = match value(visit, "template") {
        "" => CUSTOM,
        name => name,
    };
    let template = templates
        .iter()
        .find(|template| text(template, "name") == chosen);
    let preview = preview_part(visit).await;
    Ok(html! {
        p.crumb { a href="/ui/keys" { "Keys" } }
        h1 { "New key" }
        (above)
        nav.templates aria-label="Templates" {
            (choice(CUSTOM, "Your own", chosen))
            @for template in &templates {
                (choice(text(template, "name"), text(template, "title"), chosen))
            }
        }
        p.help { (template.map_or("The routes are written by hand.", |template| text(template, "description"))) }
        form.split method="post" action="/ui/keys/new" data-preview="/ui/keys/preview" {
            (visit.hidden())
            (once(visit)?)
            input type="hidden" name="_made" value=(visit.now().millis());
            input type="hidden" name="template" value=(chosen);
            div.card.fields { (inputs(visit, template)) }
            div.card.preview {
                h2 { "What it would be" }
                div.row.try {
                    label.hide for="try-method" { "Method" }
                    (select("try-method", value(visit, "try-method"), &METHODS))
                    label.hide for="try-path" { "Path" }
                    input.mono id="try-path" name="try-path" type="text" value=(value(visit, "try-path"))
                        placeholder="bot/b1/session/create" autocomplete="off" spellcheck="false";
                    button type="submit" formaction="/ui/keys/preview" formnovalidate { "Try" }
                }
                div #preview aria-live="polite" { (preview) }
                div.actions {
                    button.primary type="submit" { "Create key" }
                    a.button href="/ui/keys" { "Cancel" }
                }
            }
        }
    })
}

fn choice(name: &str, title: &str, chosen: &str) -> Markup {
    let href = format!("/ui/keys/new?template={}", super::fields::escape(name));
    let here = name == chosen;
    html! { a.template href=(href) aria-current=[here.then_some("true")] { (title) } }
}

fn inputs(visit: &Visit<'_>, template: Option<&Value>) -> Markup {
    let v = |name: &str| value(visit, name).to_owned();
    let placeholders = template.and_then(|template| texts(template, "placeholders"));
    let is_operator = visit.user.as_ref().is_some_and(User::is_operator);
    let is_full = template.is_some_and(|template| is(template, "unrestricted"));
    html! {
        (field("name", "Name", "", &input("name", &v("name"))))
        @for placeholder in placeholders.iter().flatten() {
            (field(&format!("fill.{placeholder}"), placeholder, "Letters, digits, . _ ~ -; one value that the key is for.",
                &input(&format!("fill.{placeholder}"), &v(&format!("fill.{placeholder}")))))
        }
        @match template {
            None => (field("routes", "Routes that it may call", "One a line, such as “GET bot/**” or “POST bot/*/session/create”. * is one segment, ** any number.",
                &area("routes", visit.form.raw("routes"), 5, "session/create\nGET bot/**"))),
            Some(template) => (field("template-routes", "Routes that it may call", "From the template, with the placeholders filled in.",
                &html! { div #template-routes { (labels(template.get("config").and_then(|config| texts(config, "allowedRoutes")).as_deref(), if is_full { "everything" } else { "not narrowed" })) } })),
        }
        @if !is_full {
            (field("session-routes", "Routes that its sessions may carry", "One a line. Empty: what the key may call; on a resource such as bot/b1, what its profile says.",
                &area("session-routes", visit.form.raw("session-routes"), 3, "conversation/**")))
        }
        div.pair {
            (field("expires", "Expires", "", &select("expires", &v("expires"), &EXPIRIES)))
            (field("environment", "Environment", "", &select("environment", &v("environment"), &[("", "Live"), ("test", "Test")])))
        }
        details open[has_more(visit)] {
            summary { "Narrow it further" }
            (field("domains", "Domains", "Where it may be presented from, one a line: example.com, *.example.com.", &area("domains", visit.form.raw("domains"), 2, "")))
            (field("cidrs", "Networks", "From which addresses, one a line: 192.0.2.0/24.", &area("cidrs", visit.form.raw("cidrs"), 2, "")))
            (field("permissions", "Permissions", "One a line: bots:read.", &area("permissions", visit.form.raw("permissions"), 2, "")))
            (field("bindings", "Bindings", "One a line, dimension and value: project p1.", &area("bindings", visit.form.raw("bindings"), 2, "")))
            (field("session-seconds", "Longest session, in seconds", "At most 86400.", &input("session-seconds", &v("session-seconds"))))
            fieldset {
                legend { "It manages" }
                // Introspection is granted by operators alone.
                @for manage in Manage::ALL.into_iter().filter(|manage| is_operator || *manage != Manage::Introspect) {
                    @let name = manage.as_str();
                    label.tick {
                        input type="checkbox" name="manage" value=(name) checked[visit.form.has("manage", name)];
                        (name)
                    }
                }
                @if template.is_some() { p.help { "None ticked: as the template has it." } }
            }
        }
    }
}

fn has_more(visit: &Visit<'_>) -> bool {
    [
        "domains",
        "cidrs",
        "permissions",
        "bindings",
        "session-seconds",
        "manage",
    ]
    .iter()
    .any(|name| visit.form.some(name).is_some())
}

/// The body of `token/create`, as the form says it.
fn wanted(visit: &Visit<'_>) -> Result<Value, Failure> {
    let form = &visit.form;
    let mut token = Map::new();
    let mut config = Map::new();
    let mut session = Map::new();
    if let Some(name) = form.some("name") {
        token.insert("name".to_owned(), name.into());
    }
    match value(visit, "template") {
        "" | CUSTOM => {
            let routes = form.list("routes");
            if !routes.is_empty() {
                config.insert("allowedRoutes".to_owned(), routes.into());
            }
        }
        template => {
            token.insert("template".to_owned(), template.into());
            let filled: Map<String, Value> = form
                .iter()
                .filter_map(|(name, value)| {
                    Some((name.strip_prefix("fill.")?.to_owned(), value.trim().into()))
                })
                .collect();
            if !filled.is_empty() {
                token.insert("placeholders".to_owned(), filled.into());
            }
        }
    }
    for (name, key) in [
        ("domains", "domains"),
        ("cidrs", "cidrs"),
        ("permissions", "permissions"),
    ] {
        let list = form.list(name);
        if !list.is_empty() {
            config.insert(key.to_owned(), list.into());
        }
    }
    let bindings = bindings(&form.list("bindings"))?;
    if !bindings.is_empty() {
        config.insert("bindings".to_owned(), bindings.into());
    }
    let manage = form.all("manage");
    if !manage.is_empty() {
        config.insert("manage".to_owned(), manage.into());
    }
    let routes = form.list("session-routes");
    if !routes.is_empty() {
        session.insert("allowedRoutes".to_owned(), routes.into());
    }
    if let Some(secs) = form.some("session-seconds") {
        let secs: i64 = secs
            .parse()
            .map_err(|_| Failure::bad("The longest session is a whole number of seconds."))?;
        session.insert("maxDurationInSeconds".to_owned(), secs.into());
    }
    if !session.is_empty() {
        config.insert("session".to_owned(), session.into());
    }
    if !config.is_empty() {
        token.insert("config".to_owned(), config.into());
    }
    if let Some(secs) = form.some("expires") {
        let secs: i64 = secs
            .parse()
            .map_err(|_| Failure::bad("Choose when the key expires."))?;
        token.insert(
            "expiresAt".to_owned(),
            made_at(visit).plus_secs(secs).millis().into(),
        );
    }
    if let Some(environment) = form.some("environment") {
        token.insert("environment".to_owned(), environment.into());
    }
    Ok(Value::Object(token))
}

/// When the form was made: the same form sent twice asks for the same key.
fn made_at(visit: &Visit<'_>) -> Timestamp {
    let made = visit.form.get("_made").parse();
    made.map_or_else(|_| visit.now(), Timestamp::from_millis)
}

/// `project p1` and `project: p2`, together.
fn bindings(lines: &[&str]) -> Result<Map<String, Value>, Failure> {
    let mut bindings = Map::new();
    for line in lines {
        let parts = line.split_once([' ', ':', '=']);
        let (dimension, value) = parts.ok_or_else(|| {
            Failure::bad(format!(
                "“{line}” is no binding; write a dimension and a value, such as project p1."
            ))
        })?;
        let values = bindings
            .entry(dimension.trim())
            .or_insert_with(|| json!([]));
        if let Value::Array(values) = values {
            values.push(value.trim().into());
        }
    }
    Ok(bindings)
}

/// What the key of the form would be. Until something was typed there is nothing to say.
async fn preview_part(visit: &Visit<'_>) -> Markup {
    let token = match wanted(visit) {
        Ok(token) => token,
        Err(failure) => return problem(&failure),
    };
    let says_something = ["template", "config"]
        .iter()
        .any(|name| token.get(*name).is_some());
    if !says_something {
        return html! { p.faint { "Choose a template, or write a route." } };
    }
    // A placeholder that is still empty is no mistake yet.
    let filled = token.get("placeholders").and_then(Value::as_object);
    let open = filled.is_some_and(|filled| filled.values().any(|value| value == ""));
    if open || (token.get("template").is_some() && visit.form.iter().next().is_none()) {
        return html! { p.faint { "Fill in the form to see what the key would be." } };
    }
    match ask(visit, &token).await {
        Ok(preview) => {
            let named = token.pointer("/config/session/allowedRoutes").is_some();
            answer(&preview, !named)
        }
        Err(failure) => problem(&failure),
    }
}

async fn ask(visit: &Visit<'_>, token: &Value) -> Result<Value, Failure> {
    let either = |name: &str| match visit.form.get(name) {
        "" => visit.query.get(name).to_owned(),
        value => value.to_owned(),
    };
    let mut body = json!({ "token": token });
    let path = either("try-path");
    if let (Value::Object(body), false) = (&mut body, path.is_empty()) {
        let method = either("try-method");
        if !method.is_empty() {
            body.insert("method".to_owned(), method.into());
        }
        body.insert("path".to_owned(), path_of(&path).into());
    }
    visit.ask(Ask::post("token/preview", body)).await
}

/// The path of what was typed, which may be a whole URL from an address bar.
fn path_of(typed: &str) -> &str {
    let Some((scheme, rest)) = typed.split_once("://") else {
        return typed;
    };
    if !["http", "https"].contains(&scheme) {
        return typed;
    }
    rest.find('/')
        .and_then(|begin| rest.get(begin..))
        .unwrap_or("/")
}

fn answer(preview: &Value, is_by_profile: bool) -> Markup {
    html! {
        @if is(preview, "permitted") {
            p.verdict.good { "Your key may make this one: it allows nothing that yours does not." }
        } @else {
            @let why = preview.get("problem").unwrap_or(&Value::Null);
            div.verdict.bad {
                p { strong { "Your key may not make this one. " } (text(why, "message")) }
                @if let Some(example) = why.get("counterExample") {
                    p { "For example, it would allow " code { (counter_example(example)) } ", which your key does not." }
                }
            }
        }
        (tried(preview))
        @if let Some(effective) = preview.get("effective") { (restrictions(effective, false)) }
        @if is_by_profile {
            p.help { "On a resource such as bot/b1 a session carries what the profile of the resource says, in place of these routes." }
        }
    }
}

/// Whether the request that was tried would be allowed.
fn tried(preview: &Value) -> Markup {
    let Some(request) = preview.get("request").filter(|request| request.is_object()) else {
        return html! {};
    };
    let what = format!("{} {}", text(request, "method"), text(request, "path"));
    html! {
        @for (side, who) in [("call", "The key"), ("session", "A session minted with it")] {
            @let outcome = request.get(side).unwrap_or(&Value::Null);
            @let pattern = text(outcome, "pattern");
            @if is(outcome, "allowed") {
                p.verdict.good {
                    strong { "Allowed. " } (who) " may call " code { (what) }
                    @if pattern.is_empty() { ": routes are not narrowed." } @else { " by the pattern " code { (pattern) } "." }
                }
            } @else {
                p.verdict.bad { strong { "Refused. " } (who) " may not call " code { (what) } ": no pattern matches." }
            }
        }
    }
}

/// All that narrows a key.
pub(super) fn restrictions(config: &Value, unrestricted: bool) -> Markup {
    let open = if unrestricted {
        "everything"
    } else {
        "not narrowed"
    };
    let session = config.get("session").unwrap_or(&Value::Null);
    html! {
        dl {
            (term("May call", &labels(routes(config, "allowedRoutes").as_deref(), open)))
            (term("Sessions carry", &labels(routes(session, "allowedRoutes").as_deref(), "what the key may call; on a resource such as bot/b1, what its profile says")))
            @for (name, label) in [("permissions", "Permissions"), ("domains", "Domains"), ("cidrs", "Networks")] {
                @if let Some(list) = texts(config, name) { (term(label, &labels(Some(&list), ""))) }
            }
            @if let Some(bindings) = config.get("bindings").and_then(Value::as_object) {
                @for (dimension, values) in bindings {
                    @let values: Vec<String> = values.as_array().into_iter().flatten().filter_map(Value::as_str).map(str::to_owned).collect();
                    (term(dimension, &labels(Some(&values), "")))
                }
            }
            @if let Some(secs) = session.get("maxDurationInSeconds").and_then(Value::as_i64) {
                (term("Longest session", &html! { (secs) " s" }))
            }
            @match texts(config, "manage") {
                Some(list) if list.is_empty() => (term("Manages", &html! { span.faint { "nothing" } })),
                Some(list) => (term("Manages", &labels(Some(&list), ""))),
                None => (term("Manages", &html! { @if unrestricted { "all but introspect" } @else { span.faint { "nothing" } } })),
            }
            (term("Acts as children", &html! {
                @match config.get("impersonation") {
                    Some(Value::Bool(false)) => "no",
                    Some(Value::Bool(true)) => "yes",
                    Some(Value::Object(scope)) => {
                        @if scope.values().all(Value::is_null) { "yes" } @else { "within limits" }
                    },
                    _ => { @if unrestricted { "yes" } @else { "no" } },
                }
            }))
            @if let Some(limit) = config.get("rateLimit").filter(|limit| limit.is_object()) {
                @let number = |name: &str| limit.get(name).and_then(Value::as_i64).unwrap_or_default();
                (term("Rate limit", &html! { (number("requests")) " requests in " (number("perSeconds")) " s" }))
            }
        }
    }
}

/// Routes, be they one set or several that must all allow.
fn routes(config: &Value, name: &str) -> Option<Vec<String>> {
    let list = config.get(name)?.as_array()?;
    let mut routes = Vec::new();
    for one in list {
        match one {
            Value::Array(set) => {
                let set: Vec<&str> = set.iter().filter_map(Value::as_str).collect();
                if list.len() == 1 {
                    routes.extend(set.into_iter().map(str::to_owned));
                } else {
                    routes.push(format!("all of: {}", set.join(", ")));
                }
            }
            Value::String(route) => routes.push(route.clone()),
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::Object(_) => {}
        }
    }
    Some(routes)
}

/// The form with what was typed, or the part of it that the script puts in place.
pub(super) async fn preview(visit: Visit<'_>) -> Result<Response, Failure> {
    let by_script = visit.parts.headers.contains_key("x-preview");
    if by_script && visit.refill.is_none() {
        let part = preview_part(&visit).await;
        return Ok(html_response(StatusCode::OK, &part));
    }
    let note = refilled(&visit);
    let body = whole(&visit, &note).await?;
    Ok(visit.page("New key", &body))
}

/// Why a form is shown again without anything done.
pub(super) fn refilled(visit: &Visit<'_>) -> Markup {
    html! { @if let Some(why) = visit.refill { div.problem role="alert" { p { (why) } } } }
}

pub(super) async fn create(visit: Visit<'_>) -> Result<Response, Failure> {
    if visit.refill.is_some() {
        let body = whole(&visit, &refilled(&visit)).await?;
        return Ok(visit.page("New key", &body));
    }
    let made = match wanted(&visit) {
        Ok(token) => {
            let ask = Ask::post("token/create", token).once(visit.form.get("_once"));
            visit.ask(ask).await
        }
        Err(failure) => Err(failure),
    };
    match made {
        Ok(made) => {
            let body = created(&visit, &made).await;
            Ok(visit.page("Key created", &body))
        }
        Err(failure) => {
            let body = whole(&visit, &problem(&failure)).await?;
            Ok(visit
                .frame()
                .render_with(failure.status(), "New key", &body))
        }
    }
}

async fn created(visit: &Visit<'_>, made: &Value) -> Markup {
    let id = super::fields::escape(text(made, "id"));
    let key = visit.ask(Ask::get(format!("token/{id}/fetch"))).await;
    let on = key.as_ref().ok().and_then(mints_on).unwrap_or_default();
    html! {
        p.crumb { a href="/ui/keys" { "Keys" } }
        h1 { "The key is made" }
        div.card.made role="status" {
            p { strong { "It is shown this once." } " Only its digest is kept, so nobody can show it again." }
            (secret("secret", "API key", text(made, "token")))
            div.actions {
                a.button.primary href=(format!("/ui/keys/{id}")) { "Go to the key" }
                form method="post" action="/ui/sessions/mint/with" {
                    (visit.hidden())
                    input type="hidden" name="key" value=(text(made, "token"));
                    input type="hidden" name="on" value=(on);
                    button type="submit" { "Mint a session with it" }
                }
                a.button href="/ui/keys" { "All keys" }
            }
        }
    }
}

/// The resource on which a key mints, where its routes name one.
fn mints_on(key: &Value) -> Option<String> {
    let routes = texts(key.get("config")?, "allowedRoutes")?;
    routes.iter().find_map(|route| {
        let path = route.rsplit(' ').next()?;
        let on = path.strip_suffix("/session/create")?;
        (!on.contains('*')).then(|| on.to_owned())
    })
}

/// A request tried on a key that exists, by the parameters of its page.
pub(super) async fn try_existing(visit: &Visit<'_>, key: &Value) -> Result<Markup, Failure> {
    let id = super::fields::escape(text(key, "id"));
    let path = visit.query.get("try-path");
    let answer = if path.is_empty() {
        html! {}
    } else {
        let mut token = json!({
            "config": key.get("config"),
            "unrestricted": key.get("unrestricted"),
            "environment": key.get("environment"),
        });
        if !is(key, "unrestricted")
            && let Value::Object(token) = &mut token
        {
            token.remove("unrestricted");
        }
        match ask(visit, &token).await {
            Ok(preview) => tried(&preview),
            Err(failure) => problem(&failure),
        }
    };
    Ok(html! {
        form.row.try method="get" action=(format!("/ui/keys/{id}#try")) {
            label.hide for="try-method" { "Method" }
            (select("try-method", visit.query.get("try-method"), &METHODS))
            label.hide for="try-path" { "Path" }
            input.mono id="try-path" name="try-path" type="text" value=(path) placeholder="bot/b1/session/create" autocomplete="off" spellcheck="false";
            button type="submit" { "Try" }
        }
        (answer)
    })
}
