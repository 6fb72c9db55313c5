//! What the program does not start with: a clear message, an exit code that is not zero, and nothing
//! changed.

use std::net::TcpListener;
use std::os::unix::process::CommandExt as _;
use std::path::Path;

use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{ConnectOptions as _, Executor as _};

use super::process::{PROGRAM, Place, chmod, on_both, run, wait_for};
use crate::support::database::Kind;

on_both!(
    a_key_file_that_is_not_right_stops_the_start,
    a_newer_schema_stops_the_start,
);

/// 32 bytes that are not the master key of any place.
const OTHER_KEY: &str = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";

fn a_key_file_that_is_not_right_stops_the_start(place: &Place) {
    assert_eq!(place.run(&["init"]).code, Some(0));
    let before = place.contents();
    let master = place.master_key();
    let right = std::fs::read_to_string(&master).unwrap();

    for mode in [0o644, 0o640, 0o604, 0o602] {
        chmod(&master, mode);
        place.run(&[]).refused(3, &["chmod 600", "master.key"]);
    }
    chmod(&master, 0o600);

    std::fs::write(&master, OTHER_KEY).unwrap();
    place.run(&[]).refused(3, &["not the one that sealed"]);
    place
        .run(&["token", "list"])
        .refused(3, &["not the one that sealed"]);
    std::fs::write(&master, "not a key").unwrap();
    place.run(&[]).refused(3, &["master.key", "32 bytes"]);

    std::fs::remove_file(&master).unwrap();
    place
        .run(&[])
        .refused(3, &["master.key", "cannot be read", "No such file"]);
    assert!(!master.exists(), "a new one could open nothing");

    let given = run(place.hallpass(&[]).env("HALLPASS_MASTER_KEY", OTHER_KEY));
    given.refused(3, &["not the one that sealed"]);
    let file = place.write("other.key", OTHER_KEY);
    chmod(&file, 0o600);
    let in_file = run(place.hallpass(&[]).env("HALLPASS_MASTER_KEY_FILE", &file));
    in_file.refused(3, &["not the one that sealed"]);

    let given = run(place
        .hallpass(&["signing-key", "list", "--all"])
        .env("HALLPASS_MASTER_KEY", right.trim()));
    assert_eq!(given.json(), before.1, "the right one works from anywhere");
    std::fs::write(&master, right).unwrap();
    chmod(&master, 0o600);
    assert_eq!(place.contents(), before);
}

#[test]
fn a_key_file_that_others_can_read_is_refused_before_anything_is_made() {
    let place = Place::sqlite();
    std::fs::create_dir(place.path("keys")).unwrap();
    let master = place.write("keys/master.key", OTHER_KEY);
    chmod(&master, 0o644);

    place.run(&[]).refused(3, &["chmod 600"]);
    place.run(&["init"]).refused(3, &["chmod 600"]);

    chmod(&master, 0o600);
    let ran = place.run(&["init"]);
    assert_eq!(ran.code, Some(0), "{ran:?}");
    assert!(
        ran.out.starts_with("sk_live_"),
        "the first start is still the first"
    );
}

fn a_newer_schema_stops_the_start(place: &Place) {
    assert_eq!(place.run(&["init"]).code, Some(0));
    wait_for(async {
        let mut raw = place.database.raw().await;
        raw.execute(
            "INSERT INTO _sqlx_migrations \
             (version, description, success, checksum, execution_time) \
             SELECT 999999, 'from the future', success, checksum, 0 FROM _sqlx_migrations \
             WHERE version = (SELECT MIN(version) FROM _sqlx_migrations)",
        )
        .await;
    });

    place.run(&[]).refused(3, &["999999", "newer"]);
    place.run(&["token", "list"]).refused(3, &["newer"]);

    wait_for(async {
        let mut raw = place.database.raw().await;
        raw.execute("DELETE FROM _sqlx_migrations WHERE version = 999999")
            .await;
    });
    assert_eq!(place.run(&["token", "list"]).code, Some(0));
}

#[test]
fn a_database_file_that_is_not_one_stops_the_start() {
    let place = Place::sqlite();
    let garbage = "this is not a database, and long enough to be looked at\n".repeat(100);
    place.write("garbage.db", &garbage);
    std::fs::create_dir(place.path("folder.db")).unwrap();
    place.write("file", "");
    let with = |url: &str| place.run(&["--database-url", url]);

    with("sqlite://garbage.db").refused(3, &["garbage.db", "not a database"]);
    with("sqlite://folder.db").refused(3, &["folder.db", "cannot be opened"]);
    with("sqlite://file/hallpass.db").refused(3, &["the folder", "file"]);
    with("sqlite://file/below/hallpass.db").refused(3, &["the folder", "cannot be made"]);
    // In /proc nobody makes a file, not even root.
    with("sqlite:///proc/hallpass.db").refused(3, &["/proc/hallpass"]);
    with("sqlite::memory:").refused(3, &["in a file"]);
    with("sqlite://x.db?no=such").refused(3, &["cannot be read"]);

    let kept = std::fs::read_to_string(place.path("garbage.db")).unwrap();
    assert_eq!(kept, garbage);
    assert!(!place.master_key().exists());
}

#[test]
fn a_database_that_cannot_be_written_stops_the_start() {
    let (place, _) = Place::set_up(Kind::Sqlite).unwrap();
    let read_only = format!("{}?mode=ro", place.database.url());

    let ran = place.run(&["--database-url", &read_only]);
    ran.refused(3, &["cannot be opened", "readonly"]);

    // Nobody forbids root to write, so the program runs as somebody else.
    let shop = tempfile::tempdir().unwrap();
    chmod(shop.path(), 0o755);
    let data = shop.path().join("data");
    let program = shop.path().join("hallpass");
    std::fs::create_dir(&data).unwrap();
    std::fs::copy(PROGRAM, &program).unwrap();
    let file = place.database.url().strip_prefix("sqlite://").unwrap();
    let copy = data.join("hallpass.db");
    std::fs::copy(file, &copy).unwrap();
    chmod(&copy, 0o444);
    chmod(&data, 0o555);
    let before = std::fs::read(&copy).unwrap();
    let start = |name: &str| {
        let mut command = place.any(program.to_str().unwrap());
        command
            .current_dir(shop.path())
            .args(["--database-url", &format!("sqlite://data/{name}.db")])
            .env("HALLPASS_MASTER_KEY", OTHER_KEY);
        if is_root() {
            command.uid(65_534).gid(65_534);
        }
        run(&mut command)
    };

    start("hallpass").refused(3, &["data/hallpass", "ermission denied"]);
    start("new").refused(3, &["data/new", "ermission denied"]);
    chmod(&data, 0o777);
    start("hallpass").refused(3, &["cannot be opened", "readonly"]);

    assert_eq!(std::fs::read(&copy).unwrap(), before);
    assert!(!data.join("new.db").exists());
}

fn is_root() -> bool {
    use std::os::unix::fs::MetadataExt as _;
    std::fs::metadata("/proc/self").unwrap().uid() == 0
}

#[test]
fn a_locked_database_stops_the_start() {
    let (place, _) = Place::set_up(Kind::Sqlite).unwrap();
    let url = place.database.url();

    let ran = wait_for(async {
        let options: SqliteConnectOptions = url.parse().unwrap();
        let mut holder = options.connect().await.unwrap();
        holder
            .execute("PRAGMA locking_mode = EXCLUSIVE")
            .await
            .unwrap();
        holder.execute("BEGIN EXCLUSIVE").await.unwrap();
        let ran = place.run(&[]);
        holder.execute("ROLLBACK").await.unwrap();
        ran
    });

    ran.refused(3, &["hallpass.db", "locked by another program"]);
    assert_eq!(place.run(&["token", "list"]).code, Some(0));
}

#[test]
fn a_port_that_is_taken_stops_the_start_before_anything_is_made() {
    let place = Place::sqlite();
    let holder = TcpListener::bind("127.0.0.1:0").unwrap();
    let taken = holder.local_addr().unwrap().to_string();

    let ran = place.run(&["--listen", &taken]);

    ran.refused(3, &[&taken, "another program", "--listen"]);
    assert!(!place.master_key().exists());
    let file = place.database.url().strip_prefix("sqlite://").unwrap();
    assert!(!Path::new(file).exists());
}

#[test]
fn a_server_of_databases_that_is_not_there_stops_the_start() {
    let place = Place::sqlite();
    let holder = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = holder.local_addr().unwrap().port();
    drop(holder);
    let url = format!("postgres://shop:open-sesame@127.0.0.1:{port}/shop");

    let ran = place.run(&["--database-url", &url]);

    let place_of_it = format!("postgres://shop:…@127.0.0.1:{port}/shop");
    ran.refused(3, &[&place_of_it, "cannot be opened"]);
    assert!(!ran.err.contains("open-sesame"), "{ran:?}");
    assert!(!place.master_key().exists());
}

#[test]
fn a_setting_that_is_wrong_is_named_with_its_source() {
    let place = Place::sqlite();
    let flags: [(&[&str], &str); 4] = [
        (
            &["--listen", "here"],
            "setting `listen`, from the flag --listen",
        ),
        (
            &["--issuer", "ftp://x"],
            "setting `issuer`, from the flag --issuer",
        ),
        (
            &["--database-url", "mysql://x"],
            "sqlite://PATH or postgres://",
        ),
        (
            &["--config", "none.toml"],
            "setting `config`, from the flag --config",
        ),
    ];
    for (args, words) in flags {
        place.run(args).refused(2, &[words]);
    }
    let variables = [
        (
            "HALLPASS_LISTEN",
            "8080",
            "variable HALLPASS_LISTEN: write an IP",
        ),
        (
            "HALLPASS_ALGORITHM",
            "HS256",
            "variable HALLPASS_ALGORITHM: write ES256",
        ),
        ("HALLPASS_LOG", "a=b=c", "variable HALLPASS_LOG"),
        (
            "HALLPASS_LOG_FORMAT",
            "xml",
            "variable HALLPASS_LOG_FORMAT: write text or json",
        ),
        ("HALLPASS_AUDIENCE", "a b", "variable HALLPASS_AUDIENCE"),
        (
            "HALLPASS_DATABASE_URL",
            "oracle://x",
            "variable HALLPASS_DATABASE_URL",
        ),
        (
            "HALLPASS_KEYS_DIR",
            "",
            "variable HALLPASS_KEYS_DIR: is empty",
        ),
    ];
    for (name, value, words) in variables {
        let ran = run(place.hallpass(&[]).env(name, value));
        ran.refused(2, &[words]);
    }
    let files = [
        ("listen = 8080\n", "line 1"),
        ("colour = \"red\"\n", "colour"),
        ("[limits]\nconnections_max = 0\n", "limits.connections_max"),
        (
            "permissions = [\"Bots\"]\n",
            "setting `permissions[0]`, from the file hallpass.toml",
        ),
        ("trusted_proxies = [\"0.0.0.0/0\"]\n", "trusted_proxies"),
        ("[[profiles]]\npath = \"bot/{botId\"\n", "profiles"),
    ];
    for (text, words) in files {
        place.write("hallpass.toml", text);
        place.run(&[]).refused(2, &["hallpass.toml", words]);
    }
    std::fs::remove_file(place.path("hallpass.toml")).unwrap();
    place.write("bad.key", "short");
    chmod(&place.path("bad.key"), 0o600);
    let ran = run(place
        .hallpass(&[])
        .env("HALLPASS_MASTER_KEY", "not-a-master-key"));
    ran.refused(3, &["HALLPASS_MASTER_KEY", "32 bytes"]);
    assert!(!ran.err.contains("not-a-master-key"), "{ran:?}");
    let ran = run(place
        .hallpass(&[])
        .env("HALLPASS_MASTER_KEY_FILE", "bad.key"));
    ran.refused(3, &["bad.key", "32 bytes"]);
    assert!(!place.master_key().exists());
}

#[test]
fn a_direct_address_that_leads_nowhere_is_named_without_its_password() {
    let place = Place::sqlite();
    let port = {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        listener.local_addr().unwrap().port()
    };
    let mut command = place.hallpass(&[]);
    command
        .env(
            "HALLPASS_DATABASE_URL",
            "postgres://hallpass@pooler.invalid/x",
        )
        .env(
            "HALLPASS_DATABASE_DIRECT_URL",
            format!("postgres://hallpass:hunter2@127.0.0.1:{port}/x"),
        );

    let there = format!("hallpass:…@127.0.0.1:{port}/x");
    let output = command.output().unwrap();

    let said = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success(), "{said}");
    assert!(said.contains("database_direct_url"), "{said}");
    assert!(said.contains(&there), "{said}");
    assert!(!said.contains("hunter2"), "{said}");
    assert!(!said.contains("pooler.invalid"), "{said}");
}
