use super::*;
use crate::domain::environment::Environment;
use crate::domain::permission::Permission;
use crate::domain::route::TrailingSlash;

#[test]
fn without_any_setting_the_own_machine_alone_may_ask() {
    let gate = Given::default().load().unwrap().gate;

    let peers: Vec<String> = gate.peers.iter().map(ToString::to_string).collect();
    assert_eq!(peers, ["127.0.0.0/8", "::1/128"]);
    assert_eq!(gate.mount.to_string(), "/v1");
    assert_eq!(gate.trailing_slash, TrailingSlash::Equal);
    assert_eq!(gate.environments, [Environment::Live]);
    assert_eq!(gate.audiences, ["http://127.0.0.1:8080/api"]);
    assert!(gate.secret.is_none() && gate.token.is_none() && gate.session_rate.is_none());
    assert!(gate.table.rules().is_empty());
}

#[test]
fn every_setting_of_the_gate_can_be_written() {
    let settings = Given::file(
        "audiences = ['https://a.example']
        [gate]
        mount = '/'
        trailing_slash = 'refuse'
        environments = ['live', 'test']
        audiences = ['https://a.example']
        peers = ['10.0.0.0/8']
        secret = '0123456789abcdef'
        default_permission = 'bots:read'
        session_rate = { requests = 10, per_seconds = 1 }
        token = { audience = 'https://inside.example' }
        [[gate.routes]]
        route = 'GET bot/{bot}/**'
        permission = 'bots:read'
        [[gate.routes]]
        route = 'project/{project}/**'",
    );
    let gate = settings.load().unwrap().gate;

    assert_eq!(gate.mount.to_string(), "/");
    assert_eq!(gate.trailing_slash, TrailingSlash::Refuse);
    assert_eq!(gate.environments, [Environment::Live, Environment::Test]);
    assert_eq!(gate.audiences, ["https://a.example"]);
    assert_eq!(gate.peers, ["10.0.0.0/8".parse().unwrap()]);
    assert_eq!(gate.secret.unwrap().reveal(), "0123456789abcdef");
    assert_eq!(gate.session_rate.unwrap().requests, 10);
    assert_eq!(gate.token.unwrap().duration_secs, 30);
    let default = gate.table.default_permission().map(Permission::as_str);
    assert_eq!(default, Some("bots:read"));
    assert_eq!(gate.table.rules().len(), 2);
}

#[test]
fn a_secret_in_the_environment_wins_and_none_is_printed() {
    let given = Given {
        environment: BTreeMap::from([("HALLPASS_GATE_SECRET", "of-the-environment")]),
        ..Given::file("[gate]\nsecret = 'of-the-settings-file'")
    };
    let settings = given.load().unwrap();

    assert_eq!(
        settings.gate.secret.as_ref().unwrap().reveal(),
        "of-the-environment"
    );
    assert!(!format!("{settings:?}").contains("of-the"));
    let short = Given::variable("HALLPASS_GATE_SECRET", "hunter2").refusal();
    assert!(
        short.contains("HALLPASS_GATE_SECRET") && !short.contains("hunter2"),
        "{short}"
    );
}

#[test]
fn what_cannot_be_meant_is_refused_with_its_place() {
    for (text, refusal) in [
        ("peers = ['0.0.0.0/0']", "`gate.peers[0]`"),
        ("peers = ['::/0']", "`gate.peers[0]`"),
        ("peers = ['0.0.0.0/1', '128.0.0.0/1']", "`gate.peers`"),
        ("peers = ['nowhere']", "`gate.peers[0]`"),
        ("mount = '/v1/'", "`gate.mount`"),
        ("mount = 'v1'", "`gate.mount`"),
        ("environments = []", "`gate.environments`"),
        ("audiences = []", "`gate.audiences`"),
        ("audiences = ['https://other.example']", "could have it"),
        (
            "audiences = ['http://127.0.0.1:8080/manage']",
            "hallpass itself",
        ),
        ("secret = 'short'", "`gate.secret`"),
        ("secret = 'with spaces in between'", "`gate.secret`"),
        ("default_permission = 'fly'", "`gate.default_permission`"),
        (
            "session_rate = { requests = 0, per_seconds = 1 }",
            "`gate.session_rate.requests`",
        ),
        (
            "token = { audience = 'http://127.0.0.1:8080/api' }",
            "`gate.token.audience`",
        ),
        (
            "token = { audience = 'http://127.0.0.1:8080/manage' }",
            "`gate.token.audience`",
        ),
        (
            "token = { audience = 'x', duration_secs = 61 }",
            "from 1 to 60",
        ),
        ("routes = [{ route = 'bot/*' }]", "`gate.routes[0].route`"),
        ("routes = [{ route = 'bot/{id}' }]", "`{id}`"),
        ("routes = [{ route = '**/{bot}' }]", "before the first"),
        (
            "routes = [{ route = 'bot//x', permission = 'admin' }]",
            "`gate.routes[0].route`",
        ),
        (
            "routes = [{ route = 'bot', permission = 'x' }]",
            "`gate.routes[0].permission`",
        ),
        ("route = []", "unknown field"),
        ("environments = ['prod']", "unknown variant"),
    ] {
        let told = Given::file(&format!("[gate]\n{text}")).refusal();
        assert!(told.contains(refusal), "{text}: {told}");
    }
}
