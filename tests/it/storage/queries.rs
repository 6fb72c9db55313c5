//! Every statement that the store sends, looked at by each database's own planner.

use std::collections::{BTreeMap, BTreeSet};

use hallpass::domain::account::Account;
use hallpass::domain::api_key::ApiKey;
use hallpass::domain::environment::Environment;
use hallpass::domain::liveness::Position;
use hallpass::domain::secret::KeyDigest;
use hallpass::domain::webhook::{DeliveryState, EventKind};
use hallpass::store::secrets::LastUsed;
use hallpass::store::sessions::NewRow;
use hallpass::store::signing_keys::SigningKeyRow;
use hallpass::store::webhook_outbox::Attempt;
use hallpass::store::{
    Conn, Order, Tx, accounts, api_keys, audit, change_log, change_touch, dashboard, health,
    idempotency, instance, key_notices, ledger, restore, secrets, sessions, signing_keys, usage,
    webhook_outbox, webhooks,
};
use sqlx::{AssertSqlSafe, Row as _};

use super::fixtures::{Maker, email, page};
use crate::support::database::{Kind, TestDatabase};
use crate::support::statements;

/// Calls every function of the store, with every filter, over one connection.
async fn call_everything(tx: &mut Tx) {
    let (maker, root, key) = call_one_half(tx).await;
    call_the_other_half(tx, &maker, &root, &key).await;
}

async fn call_one_half(tx: &mut Tx) -> (Maker, Account, ApiKey) {
    let maker = Maker::new();
    let now = maker.now();
    let root = maker.account(None);
    let child = maker.full_account(Some(&root));
    accounts::insert(tx.conn(), &root).await.unwrap();
    accounts::insert(tx.conn(), &child).await.unwrap();
    accounts::update(tx.conn(), &child).await.unwrap();
    accounts::chain(tx.conn(), &child.id).await.unwrap();
    let ann = email("ann@example.com");
    accounts::find_child_by_email(tx.conn(), &root.id, &ann)
        .await
        .unwrap();

    let key = maker.key(&root, None);
    let made = maker.full_key(&child, Some(&key));
    api_keys::insert(tx.conn(), &key).await.unwrap();
    api_keys::insert(tx.conn(), &made).await.unwrap();
    api_keys::update(tx.conn(), &made).await.unwrap();
    api_keys::lineage(tx.conn(), &made.id).await.unwrap();
    api_keys::descendants(tx.conn(), &key.id).await.unwrap();
    api_keys::find_in(tx.conn(), &child.id, &made.id)
        .await
        .unwrap();
    api_keys::of_account(tx.conn(), &child.id).await.unwrap();
    api_keys::had_own(tx.conn(), &child.id).await.unwrap();
    api_keys::end_granted(tx.conn(), &child.id, now)
        .await
        .unwrap();

    call_what_belongs_to(tx, &maker, [&root, &child], [&key, &made]).await;
    call_what_belongs_to_nobody(tx, &maker, &root).await;
    (maker, root, key)
}

async fn call_the_other_half(tx: &mut Tx, maker: &Maker, root: &Account, key: &ApiKey) {
    call_webhooks(tx, maker, root).await;
    call_the_seal(tx, maker).await;
    call_restore(tx, maker, root).await;
    call_the_dashboard(tx, maker, root, key).await;
}

async fn call_the_dashboard(tx: &mut Tx, maker: &Maker, root: &Account, key: &ApiKey) {
    let now = maker.now();
    let digest = [1; 32];
    let sign_in = dashboard::SignIn {
        digest,
        key: key.id.clone(),
        key_digest: KeyDigest::of(b"key"),
        acting_as: None,
        created_at: now,
        seen_at: now,
        expires_at: now,
    };
    dashboard::insert(tx.conn(), &sign_in).await.unwrap();
    dashboard::find(tx.conn(), &digest, now).await.unwrap();
    dashboard::seen(tx.conn(), &digest, now, now).await.unwrap();
    dashboard::act_as(tx.conn(), &digest, None).await.unwrap();
    dashboard::delete(tx.conn(), &digest).await.unwrap();
    dashboard::delete_of_key(tx.conn(), &key.id, 1)
        .await
        .unwrap();
    dashboard::prune(tx.conn(), now).await.unwrap();
    let window = usage::Window {
        from: now,
        step_ms: 1,
    };
    usage::sessions(tx.conn(), &root.id, "", None, window)
        .await
        .unwrap();
    usage::entries(tx.conn(), &root.id, "", "done", window)
        .await
        .unwrap();
}

async fn call_webhooks(tx: &mut Tx, maker: &Maker, root: &Account) {
    let now = maker.now();
    let webhook = maker.webhook(root);
    let id = &webhook.id;
    webhooks::insert(tx.conn(), &webhook).await.unwrap();
    webhooks::update(tx.conn(), &webhook).await.unwrap();
    webhooks::find(tx.conn(), id).await.unwrap();
    webhooks::find_in(tx.conn(), &root.id, id).await.unwrap();
    webhooks::count(tx.conn(), &root.id).await.unwrap();
    webhooks::told(tx.conn(), &root.id, None).await.unwrap();
    webhooks::accounts_wanting(tx.conn(), EventKind::UserImpersonated, 10)
        .await
        .unwrap();
    webhooks::all_secrets(tx.conn()).await.unwrap();
    webhooks::set_secrets(tx.conn(), id.as_str(), b"a", None)
        .await
        .unwrap();
    webhooks::due(tx.conn(), "", now, 10).await.unwrap();
    webhooks::succeeded(tx.conn(), id, now).await.unwrap();
    webhooks::failed(tx.conn(), id, now, now).await.unwrap();
    webhooks::disable(tx.conn(), id, now).await.unwrap();
    webhooks::reset(tx.conn(), id).await.unwrap();
    webhooks::overflowed(tx.conn(), id, now).await.unwrap();

    let (event, delivery) = maker.delivery(&webhook);
    webhook_outbox::insert_event(tx.conn(), &event)
        .await
        .unwrap();
    webhook_outbox::insert(tx.conn(), &delivery).await.unwrap();
    webhook_outbox::pending(tx.conn(), id, 10).await.unwrap();
    webhook_outbox::due(tx.conn(), id, now, 10).await.unwrap();
    webhook_outbox::claim(tx.conn(), &delivery, now)
        .await
        .unwrap();
    let attempt = Attempt {
        state: DeliveryState::Pending,
        due_at: now,
        tried_at: now,
        status: None,
        problem: None,
        duration_ms: 1,
    };
    webhook_outbox::settle(tx.conn(), &delivery.id, now, &attempt)
        .await
        .unwrap();
    webhook_outbox::find(tx.conn(), id, &delivery.id)
        .await
        .unwrap();
    for order in [Order::Asc, Order::Desc] {
        let page = page(order, Some(id.as_str()), 10);
        webhooks::list(tx.conn(), &root.id, &page).await.unwrap();
        webhook_outbox::list(tx.conn(), id, None, &page)
            .await
            .unwrap();
    }
    webhook_outbox::give_up(tx.conn(), id).await.unwrap();
    webhook_outbox::expire(tx.conn(), now).await.unwrap();
    webhook_outbox::prune(tx.conn(), now, 10).await.unwrap();
    webhook_outbox::prune_events(tx.conn(), now, 10)
        .await
        .unwrap();
    webhook_outbox::note(tx.conn(), "a", now).await.unwrap();
    webhook_outbox::is_noted(tx.conn(), "a").await.unwrap();
    webhook_outbox::prune_notices(tx.conn(), now).await.unwrap();
    webhooks::delete(tx.conn(), id, now).await.unwrap();
    webhooks::prune(tx.conn(), now).await.unwrap();
    let told = key_notices::Told::Not;
    key_notices::expiring(tx.conn(), now, now, told, 10)
        .await
        .unwrap();
    key_notices::unused(tx.conn(), now, now, told, 10)
        .await
        .unwrap();
}

async fn call_the_seal(tx: &mut Tx, maker: &Maker) {
    let now = maker.now();
    let mut head = ledger::head(tx.conn()).await.unwrap();
    head.checkpoint += 1;
    ledger::advance(tx.conn(), &head).await.unwrap();
    let row = ledger::CheckpointRow {
        number: 1,
        first_seq: 1,
        last_seq: 1,
        members: String::new(),
        hash: vec![0; 32],
        signed: String::new(),
        created_at: 0,
    };
    ledger::insert(tx.conn(), &row).await.unwrap();
    ledger::find(tx.conn(), 1).await.unwrap();
    ledger::since(tx.conn(), now).await.unwrap();
    ledger::first_since(tx.conn(), now).await.unwrap();
    let key = ledger::LedgerKeyRow {
        kid: "kid".to_owned(),
        public_jwk: "{}".to_owned(),
        sealed_private: None,
        created_at: 0,
        retired_at: None,
    };
    ledger::insert_key(tx.conn(), &key).await.unwrap();
    ledger::update_key(tx.conn(), &key).await.unwrap();
    ledger::keys(tx.conn()).await.unwrap();
    for kind in ledger::Kind::ALL {
        ledger::ids(tx.conn(), kind, "", 10).await.unwrap();
        ledger::count(tx.conn(), kind, "a", "b").await.unwrap();
    }
    ledger::audits(tx.conn(), "a", "b").await.unwrap();
    ledger::mints(tx.conn(), "a", "b").await.unwrap();
}

async fn call_restore(tx: &mut Tx, maker: &Maker, root: &Account) {
    let now = maker.now();
    let position = Position::new(1);
    restore::begin_log(tx.conn(), maker.log(), position)
        .await
        .unwrap();
    restore::keys(tx.conn()).await.unwrap();
    restore::accounts(tx.conn()).await.unwrap();
    restore::webhooks(tx.conn()).await.unwrap();
    for what in [restore::Switch::Key, restore::Switch::Webhook] {
        restore::switch(tx.conn(), what, "a", false, now)
            .await
            .unwrap();
    }
    for loss in [
        restore::Loss::Life,
        restore::Loss::ParentActs,
        restore::Loss::ActsForChildren,
    ] {
        restore::take(tx.conn(), root.id.as_str(), loss, position)
            .await
            .unwrap();
    }
    restore::revoke_signing_keys(tx.conn(), now).await.unwrap();
    restore::hold(tx.conn(), "a", now).await.unwrap();
    restore::held(tx.conn()).await.unwrap();
    restore::release(tx.conn(), "a").await.unwrap();
    health::newest_entry(tx.conn()).await.unwrap();
    health::webhooks(tx.conn()).await.unwrap();
}

async fn call_what_belongs_to(
    tx: &mut Tx,
    maker: &Maker,
    [root, child]: [&Account; 2],
    [key, made]: [&ApiKey; 2],
) {
    let now = maker.now();
    let secret = maker.secret(key);
    let used = LastUsed {
        at: now,
        address: None,
        agent: None,
    };
    secrets::insert(tx.conn(), &secret).await.unwrap();
    secrets::find(tx.conn(), &secret.digest).await.unwrap();
    secrets::of_key(tx.conn(), &key.id).await.unwrap();
    secrets::of_keys(tx.conn(), &[&key.id, &made.id])
        .await
        .unwrap();
    secrets::expire(tx.conn(), &key.id, now).await.unwrap();
    let nobodys = KeyDigest::of(b"nobody");
    secrets::cut(tx.conn(), &nobodys, &secret.digest, now)
        .await
        .unwrap();
    secrets::touch(tx.conn(), &[(secret.digest, used)])
        .await
        .unwrap();
    secrets::prune(tx.conn(), now).await.unwrap();

    let session = maker.full_session(child, key);
    sessions::insert(tx.conn(), &[NewRow::new(&session, Some(&root.id)).unwrap()])
        .await
        .unwrap();
    sessions::find(tx.conn(), &session.id).await.unwrap();
    sessions::find_in(tx.conn(), &child.id, &session.id)
        .await
        .unwrap();
    let entry = maker.full_entry(child);
    audit::append(tx.conn(), &entry, Some(&root.id))
        .await
        .unwrap();
    for order in [Order::Asc, Order::Desc] {
        let page = page(order, Some(session.id.as_str()), 10);
        for (address, external_id) in [(false, None), (true, None), (false, Some("a"))] {
            let external_id = external_id.map(str::to_owned);
            let filter = accounts::Filter {
                email: address.then(|| email("ann@example.com")),
                external_id: external_id.clone(),
            };
            accounts::list(tx.conn(), Some(&root.id), &filter, &page)
                .await
                .unwrap();
            let filter = api_keys::Filter {
                environment: Some(Environment::Live),
                external_id,
            };
            api_keys::list(tx.conn(), &root.id, &filter, &page)
                .await
                .unwrap();
        }
        for key in [None, Some(key.id.clone())] {
            let filter = sessions::Filter {
                key,
                environment: None,
            };
            sessions::list(tx.conn(), &child.id, &filter, &page)
                .await
                .unwrap();
        }
        sessions::ledger(tx.conn(), &root.id, &page).await.unwrap();
        audit::list(tx.conn(), &root.id, &page).await.unwrap();
    }
    assert!(sessions::may_prune(tx.conn()).await.unwrap());
    sessions::prune(tx.conn(), now, 10).await.unwrap();
}

async fn call_what_belongs_to_nobody(tx: &mut Tx, maker: &Maker, root: &Account) {
    let now = maker.now();
    change_log::create(tx.conn(), maker.log(), now)
        .await
        .unwrap();
    let rev = change_log::advance(tx.conn(), now).await.unwrap();
    change_log::append(tx.conn(), rev.position, maker.tag(), now)
        .await
        .unwrap();
    change_log::head(tx.conn()).await.unwrap();
    change_log::news(tx.conn(), Position::new(0)).await.unwrap();
    change_log::raise_floor(tx.conn(), now).await.unwrap();
    change_log::prune(tx.conn(), now).await.unwrap();
    change_touch::append(tx.conn(), rev.position, maker.tag(), now)
        .await
        .unwrap();
    change_touch::raise_floor(tx.conn(), now).await.unwrap();
    change_touch::prune(tx.conn(), now).await.unwrap();

    idempotency::begin(tx.conn(), b"id", b"body", now)
        .await
        .unwrap();
    idempotency::finish(tx.conn(), b"id", b"answer")
        .await
        .unwrap();
    idempotency::find(tx.conn(), b"id", now).await.unwrap();
    idempotency::prune(tx.conn(), b"id", now).await.unwrap();
    idempotency::prune_expired(tx.conn(), now, 10)
        .await
        .unwrap();
    instance::insert(tx.conn(), &root.id, now).await.unwrap();
    instance::operator(tx.conn()).await.unwrap();

    let signing_key = SigningKeyRow {
        kid: "kid".to_owned(),
        environment: "live".to_owned(),
        algorithm: "ES256".to_owned(),
        state: "active".to_owned(),
        public_jwk: "{}".to_owned(),
        sealed_private: None,
        created_at: 0,
        activated_at: None,
        retired_at: None,
        revoked_at: None,
    };
    signing_keys::insert(tx.conn(), &signing_key).await.unwrap();
    signing_keys::list(tx.conn()).await.unwrap();
    signing_keys::change_state(tx.conn(), &signing_key, "next")
        .await
        .unwrap();
    signing_keys::delete(tx.conn(), "kid").await.unwrap();
}

fn is_ours(statement: &str) -> bool {
    let first = statement.split_whitespace().next().unwrap_or_default();
    ["SELECT", "INSERT", "UPDATE", "DELETE", "WITH"].contains(&first)
        && !statement.contains("_sqlx_migrations")
        // Migrations of another test on the other database ask for its name.
        && !statement.contains("current_database")
        && !statement.contains("current_setting")
        && !statement.contains("information_schema")
        && !statement.contains("pg_")
        && statement != "SELECT 1"
}

/// The few that read a whole table: those that never have more than a few rows, and what only a
/// command does that is about everything (`restore`, `doctor`, a new master key).
fn reads_all(statement: &str) -> bool {
    [
        "FROM signing_key ORDER BY",
        "FROM ledger_key",
        "FROM restore_hold",
        "FROM account ORDER BY id",
        "FROM api_key WHERE ended_at IS NULL AND enabled = 1",
        "FROM webhook WHERE enabled = 1 AND deleted_at IS NULL",
        "SELECT id, sealed_secret",
        "UPDATE signing_key SET state = 'revoked'",
        "AS newest",
        "COUNT(CASE",
    ]
    .iter()
    .any(|part| statement.contains(part))
}

/// What the clock takes a few of: it goes by the primary key or puts a few rows in order.
fn is_sweep(statement: &str) -> bool {
    [
        "webhook_delivery",
        "webhook_notice",
        "FROM audit WHERE id >",
        "FROM session WHERE id >",
    ]
    .iter()
    .any(|part| statement.contains(part))
}

/// A list, or one of the two ranges of a ledger. Who wants what of webhooks has no order.
fn is_list(statement: &str) -> bool {
    let is_unordered = statement.starts_with("SELECT account_id, events");
    statement.starts_with("SELECT")
        && statement.contains("LIMIT $")
        && !is_sweep(statement)
        && !is_unordered
}

/// Lists are read in the order of an index; only the two ranges of a ledger are put together.
fn must_not_sort(statement: &str) -> bool {
    is_list(statement) && !statement.contains("UNION ALL")
}

#[tokio::test]
async fn sqlite_reads_no_table_from_end_to_end() {
    statements::listen();
    let db = TestDatabase::fresh(Kind::Sqlite).await.unwrap();
    let store = db.store().await;
    let mut tx = store.write().await.unwrap();
    call_everything(&mut tx).await;
    tx.commit().await.unwrap();
    let sent: BTreeSet<_> = statements::sent()
        .into_iter()
        .filter(|text| is_ours(text))
        .collect();
    assert!(sent.len() > 45, "{} statements were heard", sent.len());

    let mut read = store.read().await.unwrap();
    for statement in &sent {
        let Conn::Sqlite(conn) = read.conn() else {
            panic!("not SQLite");
        };
        let rows = sqlx::query(AssertSqlSafe(format!("EXPLAIN QUERY PLAN {statement}")))
            .fetch_all(conn)
            .await
            .unwrap();
        let plan: Vec<String> = rows.iter().map(|row| row.get("detail")).collect();
        // The rows that a recursion or a bounded part of the query found are scanned, of course.
        // So are the rows of a list that was bound.
        let found = [
            "up",
            "down",
            "own",
            "below",
            "waiting",
            "minted",
            "entries",
            "news",
            "page",
            "CONSTANT ROW",
            "json_each",
            "used",
        ];
        let scans = plan.iter().filter(|step| {
            let scanned = step.strip_prefix("SCAN ").unwrap_or_default();
            !scanned.is_empty() && !found.iter().any(|part| scanned.starts_with(part))
        });
        if !reads_all(statement) {
            assert_eq!(scans.count(), 0, "{statement}\n{plan:#?}");
        }
        let sorts = plan.iter().any(|step| step.starts_with("USE TEMP B-TREE"));
        assert!(
            !(sorts && must_not_sort(statement)),
            "{statement}\n{plan:#?}"
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn postgres_has_an_index_for_every_statement() {
    let Some(db) = TestDatabase::fresh(Kind::Postgres).await else {
        return;
    };
    let store = db.store().await;
    let mut tx = store.write().await.unwrap();
    // A connection keeps a hundred statements, and there are more.
    let mut sums = BTreeMap::new();
    let (maker, root, key) = call_one_half(&mut tx).await;
    look_at_what_is_prepared(&mut tx, &mut sums).await;
    call_the_other_half(&mut tx, &maker, &root, &key).await;
    look_at_what_is_prepared(&mut tx, &mut sums).await;
    assert!(sums.len() > 90, "{} statements were looked at", sums.len());
    let lists = sums.values().filter(|is_list| **is_list).count();
    assert_eq!(lists, 20, "each list, either way");
}

/// Looks at the plan of each statement of this connection, and notes whether it is a list.
async fn look_at_what_is_prepared(tx: &mut Tx, seen: &mut BTreeMap<String, bool>) {
    let Conn::Postgres(conn) = tx.conn() else {
        panic!("not PostgreSQL");
    };
    // With empty tables it would read them whole; what counts is whether it has another way. The
    // plan is the one for any arguments, not for those that make a filter fall away.
    for setting in [
        "SET LOCAL enable_seqscan = off",
        "SET LOCAL enable_bitmapscan = off",
        "SET LOCAL enable_sort = off",
        "SET LOCAL enable_incremental_sort = off",
        "SET LOCAL enable_hashjoin = off",
        "SET LOCAL enable_mergejoin = off",
        "SET LOCAL plan_cache_mode = force_generic_plan",
    ] {
        sqlx::query(setting).execute(&mut *conn).await.unwrap();
    }
    let prepared: Vec<(String, String, i32)> = sqlx::query_as(
        "SELECT name, statement, COALESCE(cardinality(parameter_types), 0)
         FROM pg_prepared_statements",
    )
    .persistent(false)
    .fetch_all(&mut *conn)
    .await
    .unwrap();

    for (name, statement, parameters) in prepared {
        if !is_ours(&statement) || statement.starts_with("INSERT") {
            continue;
        }
        let nulls: Vec<_> = (0..parameters).map(|_| "NULL").collect();
        let arguments = match nulls.len() {
            0 => String::new(),
            _ => format!("({})", nulls.join(", ")),
        };
        let explain = format!("EXPLAIN EXECUTE {name}{arguments}");
        let rows = sqlx::raw_sql(AssertSqlSafe(explain))
            .fetch_all(&mut *conn)
            .await
            .unwrap();
        let plan: Vec<String> = rows.iter().map(|row| row.get(0)).collect();
        let plan = plan.join("\n");
        if !reads_all(&statement) {
            assert!(!plan.contains("Seq Scan"), "{statement}\n{plan}");
        }
        if must_not_sort(&statement) {
            assert!(!plan.contains("Sort"), "{statement}\n{plan}");
        }
        if is_list(&statement) {
            // Not the order of ids past the rows of all other accounts.
            let filter = plan.lines().find(|line| {
                line.contains("Filter: ")
                    && ["account_id =", "parent_id =", "parent_key ="]
                        .iter()
                        .any(|other| line.contains(other))
            });
            assert_eq!(filter, None, "{statement}\n{plan}");
            let by_id = plan.lines().any(|line| line.contains("_pkey on"));
            assert!(!by_id || !must_not_sort(&statement), "{statement}\n{plan}");
        }
        let list = is_list(&statement);
        seen.insert(statement, list);
    }
}

/// The file and the text of every function that sends a statement.
fn functions() -> Vec<(String, String)> {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("src/store");
    let mut functions = Vec::new();
    let mut folders = vec![folder];
    let mut files = Vec::new();
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            let list = if path.is_dir() {
                &mut folders
            } else {
                &mut files
            };
            list.push(path);
        }
    }
    for path in files {
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        if ["mod.rs", "open.rs", "error.rs"].contains(&name.as_str()) {
            continue;
        }
        let source = std::fs::read_to_string(&path).unwrap();
        for function in source.split("\npub async fn ").skip(1) {
            let text = function.split("\n}\n").next().unwrap();
            functions.push((name.clone(), text.to_owned()));
        }
    }
    assert!(functions.len() > 40, "{} functions", functions.len());
    functions
}

/// A forgotten bind is NULL on SQLite, silently. So each function of the store has as many binds as
/// its text has placeholders, and each function sends one statement.
#[test]
fn every_placeholder_is_bound() {
    for (name, function) in functions() {
        let title = format!("{name}: {}", function.split('(').next().unwrap());
        assert_eq!(
            function.matches("sqlx::").count(),
            1,
            "{title} sends one statement"
        );
        let number = |text: &str| -> Option<usize> {
            let digits: String = text.chars().take_while(char::is_ascii_digit).collect();
            digits.parse().ok()
        };
        let last = function.split('$').skip(1).filter_map(number).max();
        assert_eq!(
            function.matches(".bind(").count(),
            last.unwrap_or(0),
            "{title}"
        );
    }
}

/// So that the plans of all are looked at.
#[test]
fn every_function_of_the_store_is_called_above() {
    let called = include_str!("queries.rs");
    for (module, function) in functions() {
        let name = function.split(['(', '<']).next().unwrap();
        let call = format!("{}::{name}(", module.trim_end_matches(".rs"));
        assert!(
            called.contains(&call),
            "{call} is missing in call_everything"
        );
    }
}
