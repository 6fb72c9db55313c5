use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};

use super::*;

mod gate;
mod nodes;

/// What a start is given.
#[derive(Default)]
struct Given {
    args: SettingsArgs,
    environment: BTreeMap<&'static str, &'static str>,
    files: BTreeMap<&'static str, String>,
}

impl Given {
    fn variable(name: &'static str, value: &'static str) -> Self {
        Self {
            environment: BTreeMap::from([(name, value)]),
            ..Self::default()
        }
    }

    fn file(text: &str) -> Self {
        Self {
            files: BTreeMap::from([("hallpass.toml", text.to_owned())]),
            ..Self::default()
        }
    }

    fn load(&self) -> Result<Settings, SettingsError> {
        Settings::load(
            &self.args,
            &|name| self.environment.get(name).map(|&value| value.to_owned()),
            &|path: &Path| {
                self.files
                    .get(path.to_str().unwrap())
                    .cloned()
                    .ok_or_else(|| io::ErrorKind::NotFound.into())
            },
        )
    }

    fn refusal(&self) -> String {
        self.load().map(|_| ()).unwrap_err().to_string()
    }
}

#[test]
fn without_any_setting_the_defaults_hold() {
    let settings = Given::default().load().unwrap();

    assert_eq!(settings.listen.to_string(), "127.0.0.1:8080");
    assert_eq!(settings.issuer.as_str(), "http://127.0.0.1:8080");
    assert_eq!(settings.database_url.reveal(), "sqlite://data/hallpass.db");
    assert!(settings.database_url.is_sqlite());
    assert_eq!(settings.keys_dir, PathBuf::from("keys"));
    assert!(matches!(
        &settings.master_key,
        MasterKeySource::MadeAtFirstStart(path) if path == Path::new("keys/master.key")
    ));
    assert_eq!(settings.audience, "http://127.0.0.1:8080/api");
    assert_eq!(settings.audiences, ["http://127.0.0.1:8080/api"]);
    assert_eq!(settings.algorithm, Algorithm::Es256);
    assert_eq!(settings.log_filter, "info");
    assert_eq!(settings.log_format, LogFormat::Text);
    assert!(settings.trusted_proxies.is_empty());
    assert_eq!(settings.permissions, Vocabulary::default());
    assert!(settings.profiles.is_empty() && settings.templates.is_empty());
    assert_eq!(settings.jwks_max_age_secs, 600);
    assert_eq!(settings.signing_key_rotation_days, 30);
    assert_eq!(settings.limits, Limits::default());
    assert!(settings.database_direct_url.is_none());
    let nodes = NodeSettings {
        lease_ms: 1_000,
        past_lease: PastLease::Ask,
        drain_delay_secs: 0,
    };
    assert_eq!(settings.nodes, nodes);
}

#[test]
fn a_flag_wins_over_the_environment_and_that_over_the_file() {
    let file = "listen = '127.0.0.1:3'";
    let in_file = Given::file(file);
    let in_both = Given {
        environment: BTreeMap::from([("HALLPASS_LISTEN", "127.0.0.1:2")]),
        ..Given::file(file)
    };
    let in_all = Given {
        args: SettingsArgs {
            listen: Some("127.0.0.1:1".to_owned()),
            ..SettingsArgs::default()
        },
        environment: BTreeMap::from([("HALLPASS_LISTEN", "127.0.0.1:2")]),
        ..Given::file(file)
    };

    for (given, port) in [(in_file, 3), (in_both, 2), (in_all, 1)] {
        assert_eq!(given.load().unwrap().listen.port(), port);
    }
}

#[test]
fn every_setting_can_stand_in_the_file() {
    let settings = Given::file(
        r#"
        listen = "[::1]:9000"
        issuer = "https://id.example.com/hallpass"
        database_url = "postgres://hallpass@db.internal/hallpass"
        database_direct_url = "postgres://hallpass@direct.internal/hallpass"
        keys_dir = "/var/lib/hallpass/keys"
        master_key_file = "/run/secrets/master"
        audience = "https://api.example.com"
        audiences = ["https://api.example.com", "widget"]
        algorithm = "EdDSA"
        log = "info,sqlx=warn"
        log_format = "json"
        trusted_proxies = ["10.0.0.0/8", "2001:db8::1"]
        permissions = ["orders:read"]
        jwks_max_age_secs = 300
        signing_key_rotation_days = 7

        [limits]
        connections_max = 10
        request_timeout_secs = 5
        header_read_timeout_secs = 2
        database_connections_max = 4
        failed_authentications = { requests = 5, per_seconds = 10 }

        [nodes]
        lease_ms = 2000
        past_lease = "refuse"
        drain_delay_secs = 5

        [[profiles]]
        path = "shop/{shopId}"
        default_duration_secs = 600
        routes = ["order/{orderId}/**"]
        makes = ["orderId"]

        [[templates]]
        name = "orders"
        placeholders = ["shopId"]
        config = { allowedRoutes = ["order/**"], session = { maxDurationInSeconds = 60 } }

        [[permission_routes]]
        route = "GET order/**"
        permission = "orders:read"
        "#,
    )
    .load()
    .unwrap();

    assert_eq!(settings.listen.to_string(), "[::1]:9000");
    assert_eq!(settings.issuer.as_str(), "https://id.example.com/hallpass");
    assert!(!settings.database_url.is_sqlite());
    let direct = settings.database_direct_url.unwrap();
    assert_eq!(
        direct.reveal(),
        "postgres://hallpass@direct.internal/hallpass"
    );
    let nodes = NodeSettings {
        lease_ms: 2_000,
        past_lease: PastLease::Refuse,
        drain_delay_secs: 5,
    };
    assert_eq!(settings.nodes, nodes);
    assert!(matches!(
        &settings.master_key,
        MasterKeySource::File(path) if path == Path::new("/run/secrets/master")
    ));
    assert_eq!(settings.audiences, ["https://api.example.com", "widget"]);
    assert_eq!(settings.algorithm, Algorithm::EdDsa);
    assert_eq!(settings.log_format, LogFormat::Json);
    let proxies: Vec<String> = settings
        .trusted_proxies
        .iter()
        .map(ToString::to_string)
        .collect();
    assert_eq!(proxies, ["10.0.0.0/8", "2001:db8::1/128"]);
    assert_eq!(settings.permissions.names(), ["admin", "orders:read"]);
    assert_eq!(settings.jwks_max_age_secs, 300);
    assert_eq!(settings.signing_key_rotation_days, 7);
    assert_eq!(
        settings.limits,
        Limits {
            connections_max: 10,
            request_timeout_secs: 5,
            header_read_timeout_secs: 2,
            database_connections_max: 4,
            failed_authentications: RateLimit {
                requests: 5,
                per_secs: 10
            },
        }
    );
    assert_eq!(
        settings.profiles,
        [ProfileSetting {
            path: "shop/{shopId}".to_owned(),
            default_duration_secs: 600,
            max_duration_secs: 86_400,
            routes: vec!["order/{orderId}/**".to_owned()],
            makes: vec!["orderId".to_owned()],
        }]
    );
    let [template] = settings.templates.as_slice() else {
        panic!("one template");
    };
    assert_eq!(template.kind, "sk");
    assert_eq!(
        template.config,
        serde_json::json!({"allowedRoutes": ["order/**"], "session": {"maxDurationInSeconds": 60}})
    );
    assert_eq!(
        settings.permission_routes,
        [PermissionRouteSetting {
            route: "GET order/**".to_owned(),
            permission: "orders:read".to_owned()
        }]
    );
}

#[test]
fn a_bad_variable_is_refused_by_name_and_with_a_remedy() {
    for (variable, value, expected) in [
        (
            "HALLPASS_LISTEN",
            ":8080",
            "setting `listen`, from the environment variable HALLPASS_LISTEN: write an IP address \
             and a port, such as 127.0.0.1:8080 or [::1]:8080",
        ),
        ("HALLPASS_LISTEN", "localhost:8080", "write an IP address"),
        ("HALLPASS_LISTEN", " ", "is empty; give a value"),
        (
            "HALLPASS_ISSUER",
            "hallpass.example.com",
            "write an http or https URL",
        ),
        (
            "HALLPASS_DATABASE_URL",
            "mysql://x",
            "write sqlite://PATH or postgres://",
        ),
        (
            "HALLPASS_DATABASE_URL",
            "postgres://",
            "write sqlite://PATH or postgres://",
        ),
        ("HALLPASS_KEYS_DIR", "", "is empty"),
        ("HALLPASS_MASTER_KEY", "", "is empty"),
        ("HALLPASS_AUDIENCE", "two words", "visible ASCII"),
        (
            "HALLPASS_AUDIENCE",
            "http://127.0.0.1:8080/manage",
            "is the audience of hallpass itself",
        ),
        (
            "HALLPASS_AUDIENCE",
            "http://127.0.0.1:8080/test/manage",
            "is the audience of hallpass itself",
        ),
        ("HALLPASS_ALGORITHM", "HS256", "write ES256, EdDSA or RS256"),
        ("HALLPASS_ALGORITHM", "es256", "write ES256, EdDSA or RS256"),
        ("HALLPASS_LOG", "info,=", "write a level"),
        ("HALLPASS_LOG_FORMAT", "JSON", "write text or json"),
        (
            "HALLPASS_CONFIG",
            "nowhere.toml",
            "cannot be read (entity not found)",
        ),
    ] {
        let refusal = Given::variable(variable, value).refusal();

        assert!(
            refusal.contains(expected) && refusal.contains(variable),
            "{variable}={value}: {refusal}"
        );
    }
}

#[test]
fn a_bad_file_is_refused_by_setting_and_line() {
    for (text, expected) in [
        ("lisen = 'x'", "line 1: `lisen`: unknown field"),
        (
            "\n[limits]\nconections_max = 1",
            "`limits.conections_max`: unknown field",
        ),
        (
            "[limits]\nconnections_max = '1'",
            "`limits.connections_max`",
        ),
        ("[limits]\nconnections_max = -1", "`limits.connections_max`"),
        (
            "[limits]\nconnections_max = 0",
            "`limits.connections_max`, from the file hallpass.toml: write a whole number from 1 to 1000000",
        ),
        (
            "[limits]\nfailed_authentications = { requests = 0, per_seconds = 1 }",
            "failed_authentications.requests",
        ),
        (
            "[limits]\nfailed_authentications = { requests = 1 }",
            "missing field `per_seconds`",
        ),
        ("listen = ", "line 1: "),
        (
            "listen = '127.0.0.1:1'\nlisten = '127.0.0.1:2'",
            "line 2: duplicate key",
        ),
        ("jwks_max_age_secs = 86401", "from 1 to 86400"),
        ("signing_key_rotation_days = 0", "from 1 to 366"),
        ("audiences = ['a', '']", "`audiences[1]`"),
        (
            "permissions = ['bots']\npermission_routes = [{ route = 'x', permission = 'bots:read' }]",
            "write one of admin, bots",
        ),
        (
            "permission_routes = [{ route = '', permission = 'bots:read' }]",
            "`permission_routes[0].route`",
        ),
        ("permissions = ['Bots:Read']", "`permissions[0]`"),
        (
            "trusted_proxies = ['10.0.0.0/33']",
            "`trusted_proxies[0]`, from the file hallpass.toml: write an IP address or a network",
        ),
        ("trusted_proxies = ['0.0.0.0/0']", "covers every address"),
        (
            "trusted_proxies = ['10.0.0.1', '::/0']",
            "`trusted_proxies[1]`, from the file hallpass.toml: covers every address",
        ),
        (
            "trusted_proxies = ['0.0.0.0/1', '128.0.0.0/1']",
            "covers every address",
        ),
        (
            "trusted_proxies = ['::ffff:10.0.0.0/104']",
            "write the IPv4 network itself",
        ),
        (
            "profiles = [{ path = '', routes = ['a'] }]",
            "`profiles[0].path`",
        ),
        (
            "profiles = [{ path = 'a', routes = [] }]",
            "`profiles[0].routes`",
        ),
        ("profiles = [{ path = 'a' }]", "missing field `routes`"),
        (
            "profiles = [{ path = 'a', routes = ['a'], max_duration_secs = 86401 }]",
            "`profiles[0].max_duration_secs`",
        ),
        (
            "profiles = [{ path = 'a', routes = ['a'], max_duration_secs = 60 }]",
            "`profiles[0].default_duration_secs`",
        ),
        (
            "profiles = [{ path = 'a', routes = ['a'], default_duration_secs = 0 }]",
            "`profiles[0].default_duration_secs`",
        ),
        (
            "profiles = [{ path = 'a', routes = ['a'] }, { path = 'a', routes = ['b'] }]",
            "`profiles[1].path`, from the file hallpass.toml: an earlier element",
        ),
        ("templates = [{ name = '' }]", "`templates[0].name`"),
        (
            "templates = [{ name = 'a', config = 1 }]",
            "`templates[0].config`",
        ),
        (
            "templates = [{ name = 'a' }, { name = 'a' }]",
            "`templates[1].name`",
        ),
        (
            "templates = [{ name = 'a', title = 'A', rate = 1 }]",
            "`templates[0].rate`: unknown field `rate`",
        ),
    ] {
        let refusal = Given::file(text).refusal();

        assert!(refusal.contains(expected), "{text}: {refusal}");
    }
}

#[test]
fn an_issuer_is_a_plain_url() {
    for text in [
        "https://hallpass.example.com",
        "http://127.0.0.1:8080",
        "http://[::1]:8080",
        "https://example.com/auth/hallpass",
    ] {
        assert!(Issuer::parse(text).is_ok(), "{text}");
    }
    for text in [
        "",
        "example.com",
        "ftp://example.com",
        "HTTPS://example.com",
        "https://",
        "https:///path",
        "https://Example.com",
        "https://example.com/",
        "https://example.com//a",
        "https://example.com/a/../b",
        "https://example.com/a%2Fb",
        "https://example.com?x=1",
        "https://example.com/#a",
        "https://user@example.com",
        "https://user:pw@example.com",
        "https://example.com:",
        "https://example.com:99999",
        "https://exa mple.com",
        "https://exämple.com",
        "https://[::1",
    ] {
        assert_eq!(Issuer::parse(text), Err(Problem::Issuer), "{text}");
    }
    assert!(Issuer::parse(&format!("https://{}", "a".repeat(300))).is_err());
}

#[test]
fn the_master_key_has_one_source() {
    let twice = Given {
        environment: BTreeMap::from([
            ("HALLPASS_MASTER_KEY", "hush"),
            ("HALLPASS_MASTER_KEY_FILE", "/run/key"),
        ]),
        ..Given::default()
    };
    let given_over_file = Given {
        environment: BTreeMap::from([("HALLPASS_MASTER_KEY", "hush")]),
        ..Given::file("master_key_file = '/run/key'")
    };

    assert!(twice.refusal().contains("keep one of the two"));
    assert!(matches!(
        given_over_file.load().unwrap().master_key,
        MasterKeySource::Given(key) if key.reveal() == "hush"
    ));
}

#[test]
fn a_default_file_may_be_absent_but_a_broken_one_is_not_skipped() {
    assert!(Given::default().load().is_ok());

    let unreadable = Settings::load(&SettingsArgs::default(), &|_| None, &|_: &Path| {
        Err(io::ErrorKind::PermissionDenied.into())
    });

    assert!(
        unreadable
            .map(|_| ())
            .unwrap_err()
            .to_string()
            .contains("permission denied")
    );
}

#[test]
fn no_secret_is_printed() {
    for url in [
        "postgres://hallpass:hunter2@db/hallpass",
        "postgres://hallpass:hun/ter2@db/hallpass",
        "postgres://hallpass:hun@ter2@db/hallpass",
        "postgres://hallpass:hun?ter2@db/hallpass",
        "postgres://db/hallpass?user=hallpass&password=hunter2",
        "postgres://hallpass@db/hallpass?password=hun@ter2",
    ] {
        let settings = Given {
            args: SettingsArgs {
                database_url: Some(SecretText::from(url.to_owned())),
                ..SettingsArgs::default()
            },
            environment: BTreeMap::from([("HALLPASS_MASTER_KEY", "hunter2")]),
            ..Given::default()
        };
        let loaded = settings.load().unwrap();

        let printed = format!("{loaded:?} {} {:?}", loaded.database_url, settings.args);

        assert!(!printed.contains("ter2"), "{url}: {printed}");
        assert_eq!(loaded.database_url.reveal(), url);
    }

    let printed =
        DatabaseUrl::parse("postgres://hallpass:hunter2@db:5432/hallpass?sslmode=require")
            .unwrap()
            .to_string();
    assert_eq!(printed, "postgres://hallpass:…@db:5432/hallpass?…");
    let printed = DatabaseUrl::parse("sqlite://data/hallpass.db").unwrap();
    assert_eq!(printed.to_string(), "sqlite://data/hallpass.db");
}

#[test]
fn the_line_of_a_broken_file_is_not_quoted() {
    let refusal = Given::file("database_url = 'postgres://u:hunter2@db/x' x").refusal();

    assert!(refusal.contains("line 1"), "{refusal}");
    assert!(!refusal.contains("hunter2"), "{refusal}");
}

#[test]
fn the_flags_parse() {
    use clap::Parser as _;

    #[derive(clap::Parser)]
    struct Program {
        #[command(flatten)]
        settings: SettingsArgs,
    }

    let program = Program::try_parse_from([
        "hallpass",
        "--listen",
        "127.0.0.1:0",
        "--database-url=sqlite://x.db",
        "--issuer=https://a.example",
        "--keys-dir=k",
        "--config=c.toml",
    ])
    .unwrap();
    let mut given = Given {
        args: program.settings,
        ..Given::default()
    };
    given
        .files
        .insert("c.toml", "algorithm = 'RS256'".to_owned());
    let settings = given.load().unwrap();

    assert_eq!(settings.listen.port(), 0);
    assert_eq!(settings.issuer.as_str(), "https://a.example");
    assert_eq!(settings.database_url.reveal(), "sqlite://x.db");
    assert_eq!(settings.algorithm, Algorithm::Rs256);
}

#[test]
fn webhooks_go_to_public_addresses_by_https_unless_the_file_says_more() {
    let default = Given::default().load().unwrap().webhooks;
    assert!(!default.allow_http);
    assert!(default.allow_networks.is_empty());
    assert_eq!(default.timeout_secs, 15);
    let wider = "[webhooks]\nallow_http = true\nallow_networks = [\"10.1.0.0/16\", \"::1\"]\n";
    let wider = Given::file(wider).load().unwrap().webhooks;
    assert!(wider.allow_http);
    assert_eq!(wider.allow_networks.len(), 2);
    for (wrong, setting) in [
        ("[webhooks]\ntimeout_secs = 31\n", "webhooks.timeout_secs"),
        (
            "[webhooks]\nallow_networks = [\"all\"]\n",
            "webhooks.allow_networks[0]",
        ),
    ] {
        let error = Given::file(wrong).refusal();
        assert!(error.contains(setting), "{error}");
    }
}
