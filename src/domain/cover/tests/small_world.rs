//! Containment over small worlds, every pair of them: reflexive, transitive, and sound. Whatever a
//! covered key may do, mint or do as a child, the key that covers it may do, mint or do as a child.

use std::collections::BTreeSet;
use std::net::IpAddr;

use serde_json::{Map, Value, json};

use super::super::super::api_key::ApiKey;
use super::super::super::binding::{Bindings, NamedValues};
use super::super::super::decision::{Asked, BindingCheck, RoutePermission, decide};
use super::super::super::environment::Environment;
use super::super::super::grant::{Ceiling, Grant, Mode, ProfileTerms, Wanted, grant};
use super::super::super::rate::Turn;
use super::super::super::route::RequestPath;
use super::super::super::run_as::act_as;
use super::super::super::support::{NOW, account_id, audiences, chain, key, path, routes};
use super::*;

/// A dimension: where it stands in the config, and its values; `null` is absent.
type Choice = (&'static str, Vec<Value>);

/// Every key that can be made of the choices.
fn world(choices: &[Choice]) -> Vec<ApiKey> {
    let mut configs = vec![Map::new()];
    for (place, values) in choices {
        configs = configs
            .iter()
            .flat_map(|config| values.iter().map(|value| put(config, place, value)))
            .collect();
    }
    configs.into_iter().map(made).collect()
}

fn put(config: &Map<String, Value>, place: &str, value: &Value) -> Map<String, Value> {
    let mut config = config.clone();
    match place.split_once('.') {
        Some((outer, inner)) => {
            let outer = config.entry(outer).or_insert_with(|| json!({}));
            outer[inner] = value.clone();
        }
        None => {
            config.insert(place.to_owned(), value.clone());
        }
    }
    config
}

/// The dimensions that stand beside the config are taken out of it.
fn made(mut config: Map<String, Value>) -> ApiKey {
    let mut take = |name: &str| config.remove(name).unwrap_or_default();
    let declared = take("unrestricted") == json!(true);
    let end = take("expires").as_i64().map(|secs| NOW.plus_secs(secs));
    let test = take("test") == json!(true);
    let grantors = take("grantors");
    ApiKey {
        declared_unrestricted: declared,
        expires_at: end,
        environment: if test {
            Environment::Test
        } else {
            Environment::Live
        },
        grantors: grantors
            .as_array()
            .into_iter()
            .flatten()
            .map(|number| account_id(number.as_i64().unwrap()))
            .collect(),
        ..key(1, Value::Object(config))
    }
}

fn routes_world() -> Vec<Choice> {
    let child = account_id(5).to_string();
    vec![
        (
            "allowedRoutes",
            vec![
                Value::Null,
                json!([]),
                json!(["a"]),
                json!(["GET a", "b/*"]),
                json!(["**"]),
            ],
        ),
        (
            "session.allowedRoutes",
            vec![Value::Null, json!([]), json!(["a"]), json!(["**"])],
        ),
        (
            "impersonation",
            vec![
                Value::Null,
                json!(true),
                json!({"allowedRoutes": ["a"]}),
                json!({"users": [child.as_str()]}),
                json!({"allowedRoutes": ["**"], "users": []}),
            ],
        ),
        ("unrestricted", vec![json!(false), json!(true)]),
    ]
}

fn scopes_world() -> Vec<Choice> {
    vec![
        (
            "permissions",
            vec![
                Value::Null,
                json!([]),
                json!(["bots:read"]),
                json!(["admin"]),
            ],
        ),
        (
            "session.permissions",
            vec![Value::Null, json!([]), json!(["bots:read", "bots:write"])],
        ),
        (
            "bindings",
            vec![
                Value::Null,
                json!({"bot": []}),
                json!({"bot": ["b1"]}),
                json!({"bot": ["b1", "b2"]}),
                json!({"project": ["p1"]}),
            ],
        ),
        (
            "session.bindings",
            vec![Value::Null, json!({"bot": ["b2"]}), json!({"project": []})],
        ),
    ]
}

fn places_world() -> Vec<Choice> {
    vec![
        (
            "domains",
            vec![
                Value::Null,
                json!([]),
                json!(["example.com"]),
                json!(["*.example.com", "example.com"]),
                json!(["a.example.com"]),
            ],
        ),
        (
            "session.domains",
            vec![Value::Null, json!([]), json!(["a.example.com"])],
        ),
        (
            "cidrs",
            vec![
                Value::Null,
                json!([]),
                json!(["192.0.2.0/24"]),
                json!(["192.0.2.0/25", "192.0.2.128/25"]),
                json!(["192.0.2.1"]),
            ],
        ),
        ("expires", vec![Value::Null, json!(10), json!(100)]),
    ]
}

fn rights_world() -> Vec<Choice> {
    vec![
        (
            "session.audiences",
            vec![
                Value::Null,
                json!([]),
                json!(["shop"]),
                json!(["api", "shop"]),
            ],
        ),
        (
            "session.maxDurationInSeconds",
            vec![Value::Null, json!(60), json!(3600)],
        ),
        (
            "session.maxRenewableInSeconds",
            vec![Value::Null, json!(60), json!(2_592_000)],
        ),
        (
            "manage",
            vec![
                Value::Null,
                json!(["tokens"]),
                json!(["introspect", "tokens"]),
            ],
        ),
        ("unrestricted", vec![json!(false), json!(true)]),
        (
            "rateLimit",
            vec![
                Value::Null,
                json!({"requests": 1, "perSeconds": 1}),
                json!({"requests": 10, "perSeconds": 20}),
            ],
        ),
    ]
}

fn names_world() -> Vec<Choice> {
    vec![
        ("test", vec![json!(false), json!(true)]),
        ("grantors", vec![json!([]), json!([2]), json!([2, 3])]),
        ("unrestricted", vec![json!(false), json!(true)]),
        (
            "manage",
            vec![Value::Null, json!(["introspect"]), json!(["audit"])],
        ),
        ("impersonation", vec![Value::Null, json!(true)]),
    ]
}

/// One request out of all that can be made of these.
struct Sample {
    method: &'static str,
    path: RequestPath,
    address: Option<IpAddr>,
    origin: Option<&'static str>,
    named: NamedValues,
    permission: Option<Permission>,
    manage: Option<Manage>,
}

fn samples() -> Vec<Sample> {
    let plain = |method, text: &str| Sample {
        method,
        path: path(text),
        address: Some("192.0.2.1".parse().unwrap()),
        origin: Some("https://a.example.com"),
        named: NamedValues::from([
            (Dimension::Bot, "b1".to_owned()),
            (Dimension::Project, "p1".to_owned()),
        ]),
        permission: Permission::parse("bots:read"),
        manage: None,
    };
    let mut samples = Vec::new();
    for method in ["GET", "POST"] {
        for text in ["a", "b/c", "b", "c/d/e"] {
            samples.push(plain(method, text));
        }
    }
    let mut also = |change: &dyn Fn(&mut Sample)| {
        let mut sample = plain("GET", "a");
        change(&mut sample);
        samples.push(sample);
    };
    for address in ["192.0.2.1", "192.0.2.200", "198.51.100.1"] {
        also(&|sample| sample.address = Some(address.parse().unwrap()));
    }
    also(&|sample| sample.address = None);
    for origin in [
        None,
        Some("https://example.com"),
        Some("https://b.example.com"),
    ] {
        also(&|sample| sample.origin = origin);
    }
    for (bot, project) in [(None, Some("p1")), (Some("b2"), None), (None, None)] {
        also(&|sample| {
            let bot = bot.map(|value: &str| (Dimension::Bot, value.to_owned()));
            let project = project.map(|value: &str| (Dimension::Project, value.to_owned()));
            sample.named = bot.into_iter().chain(project).collect();
        });
    }
    for permission in ["bots:write", "admin"] {
        also(&|sample| sample.permission = Permission::parse(permission));
    }
    also(&|sample| sample.permission = None);
    for manage in Manage::ALL {
        also(&|sample| sample.manage = Some(manage));
    }
    samples
}

fn allowed(effective: &Effective, sample: &Sample, now: Timestamp) -> bool {
    let asked = Asked {
        method: sample.method,
        path: Some(&sample.path),
        method_override: false,
        address: sample.address,
        origin: sample.origin,
        named: &sample.named,
        permission: RoutePermission::Gate(sample.permission.as_ref()),
        manage: sample.manage,
        bindings: BindingCheck::Here,
    };
    let mut rate = || Turn::Go {
        remaining: 1,
        reset_ms: 0,
    };
    decide(effective, &asked, now, &mut rate).is_ok()
}

fn doors() -> [Option<ProfileTerms>; 3] {
    [
        None,
        Some(ProfileTerms {
            routes: routes(&["a", "c/**"]),
            ceiling: Ceiling::Profile,
            duration_secs_default: 3600,
            duration_secs_max: 86_400,
        }),
        Some(ProfileTerms::of_child()),
    ]
}

fn wishes() -> Vec<Wanted> {
    let bound = |value: &str| {
        let mut bindings = Bindings::default();
        bindings.narrow(Dimension::Bot, BTreeSet::from([value.to_owned()]));
        bindings
    };
    let plain = Wanted::default();
    let named = Wanted {
        routes: Some(routes(&["a"])),
        ..Wanted::default()
    };
    let mut wishes = vec![
        Wanted {
            routes: Some(routes(&["**"])),
            ..plain.clone()
        },
        Wanted {
            routes: Some(routes(&["GET a", "c/d/e", "b/c"])),
            mode: Mode::Intersect,
            permissions: Some(Permissions::from_scope("admin").unwrap()),
            domains: Some(
                super::super::super::config::domains(&["*.example.com".to_owned()]).unwrap(),
            ),
            ..plain.clone()
        },
        Wanted {
            permissions: Some(Permissions::from_scope("bots:write").unwrap()),
            duration_secs: Some(3000),
            ..named.clone()
        },
        Wanted {
            bindings: bound("b2"),
            renewable_secs: Some(100),
            ..named.clone()
        },
        Wanted {
            audience: Some("shop".to_owned()),
            duration_secs: Some(60),
            renewable_secs: Some(60),
            ..named.clone()
        },
    ];
    wishes.extend([plain, named]);
    wishes
}

/// Asks for exactly what another key was granted.
fn same(grant: &Grant) -> Wanted {
    Wanted {
        routes: Some(grant.scope.routes.clone()),
        permissions: grant.scope.permissions.clone(),
        bindings: grant.scope.bindings.clone(),
        domains: grant.scope.domains.clone(),
        audience: Some(grant.audience.clone()),
        duration_secs: Some(grant.duration_secs),
        renewable_secs: grant
            .renewable_until
            .map(|until| until.secs_floor() - grant.issued_at.secs_floor()),
        mode: Mode::Strict,
    }
}

/// Whether the caller could have minted exactly this, at that door or at the plain one.
fn could_mint(caller: &Effective, door: Option<&ProfileTerms>, granted: &Grant) -> bool {
    let wanted = same(granted);
    [door, None].into_iter().any(|door| {
        grant(caller, door, &wanted, &audiences(), NOW)
            .is_ok_and(|own| own.scope == granted.scope && own.expires_at >= granted.expires_at)
    })
}

struct Trial {
    samples: Vec<Sample>,
    doors: [Option<ProfileTerms>; 3],
    wishes: Vec<Wanted>,
    as_child: usize,
    minted: usize,
}

impl Trial {
    fn new() -> Self {
        Self {
            samples: samples(),
            doors: doors(),
            wishes: wishes(),
            as_child: 0,
            minted: 0,
        }
    }

    fn sound(&mut self, caller: &ApiKey, target: &ApiKey) {
        let (own, wanted) = (caller.effective(), target.effective());
        let told = || format!("\n{:?}\n{:?}", caller.restrictions, target.restrictions);
        self.no_more(&own, &wanted, &told);

        let parent = chain(&[1, 9]);
        let child = || Some(chain(&[5, 1, 9]));
        if let Ok(acting) = act_as(&wanted, &parent, child().map(Into::into)) {
            let own = act_as(&own, &parent, child().map(Into::into));
            assert!(own.is_ok(), "only the target impersonates {}", told());
            self.no_more(&own.unwrap().effective, &acting.effective, &told);
            self.as_child += 1;
        }
        assert!(!wanted.operator || own.operator);
        assert!(own.environment.covers(wanted.environment));
        assert_eq!(own.grantors, wanted.grantors);
    }

    fn no_more(&mut self, own: &Effective, wanted: &Effective, told: &dyn Fn() -> String) {
        for now in [NOW, NOW.plus_secs(10), NOW.plus_secs(100)] {
            for sample in &self.samples {
                assert!(
                    !allowed(wanted, sample, now) || allowed(own, sample, now),
                    "only the target may {} {} {}",
                    sample.method,
                    sample.path,
                    told()
                );
            }
        }
        for door in &self.doors {
            for wish in &self.wishes {
                if let Ok(granted) = grant(wanted, door.as_ref(), wish, &audiences(), NOW) {
                    assert!(
                        could_mint(own, door.as_ref(), &granted),
                        "only the target mints {granted:?} {}",
                        told()
                    );
                    self.minted += 1;
                }
            }
        }
    }
}

/// Which key of the world covers which.
fn relation(world: &[ApiKey]) -> Vec<Vec<bool>> {
    let effective: Vec<_> = world.iter().map(ApiKey::effective).collect();
    let mut relation = Vec::new();
    for caller in &effective {
        let row = effective.iter().map(|own| covers(caller, own).is_ok());
        relation.push(row.collect());
    }
    relation
}

fn examine(choices: &[Choice]) {
    let world = world(choices);
    let relation = relation(&world);
    let mut trial = Trial::new();
    let mut refused = 0;
    for (caller, row) in relation.iter().enumerate() {
        assert!(row[caller], "{:?} does not cover itself", world[caller]);
        for (target, covered) in row.iter().enumerate() {
            if !covered {
                refused += 1;
                continue;
            }
            // Whatever the target covers, the caller covers.
            for (below, covered) in relation[target].iter().enumerate() {
                assert!(
                    !covered || row[below],
                    "not transitive:\n{:?}\n{:?}\n{:?}",
                    world[caller].restrictions,
                    world[target].restrictions,
                    world[below].restrictions
                );
            }
            trial.sound(&world[caller], &world[target]);
        }
    }
    assert!(refused > world.len() && trial.minted > world.len());
}

#[test]
fn routes_mint_sides_and_impersonation_are_covered_soundly() {
    examine(&routes_world());
}

#[test]
fn permissions_and_bindings_are_covered_soundly() {
    examine(&scopes_world());
}

#[test]
fn domains_networks_and_ends_are_covered_soundly() {
    examine(&places_world());
}

#[test]
fn audiences_lifetimes_management_and_rates_are_covered_soundly() {
    examine(&rights_world());
}

#[test]
fn environments_and_grantors_are_covered_soundly() {
    examine(&names_world());
}

#[test]
fn all_dimensions_together_are_covered_soundly() {
    let mut choices = routes_world();
    for world in [
        scopes_world(),
        places_world(),
        rights_world(),
        names_world(),
    ] {
        for (place, values) in world {
            if !choices.iter().any(|(known, _)| *known == place) {
                choices.push((place, values));
            }
        }
    }
    // A generator with a fixed seed: the outcome of each run is the same.
    let mut state = 20_261_123_u64;
    let mut below = |bound: usize| {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(state >> 33).unwrap() % bound
    };
    let mut trial = Trial::new();
    let mut covered = 0;
    for _ in 0..6_000 {
        let (mut caller, mut target) = (Map::new(), Map::new());
        for (place, values) in &choices {
            // Mostly the same value, and often none, or hardly any pair would be covered.
            let first = if below(2) == 0 {
                0
            } else {
                below(values.len())
            };
            let second = if below(5) < 4 {
                first
            } else {
                below(values.len())
            };
            caller = put(&caller, place, &values[first]);
            target = put(&target, place, &values[second]);
        }
        let (caller, target) = (made(caller), made(target));
        if covers(&caller.effective(), &target.effective()).is_ok() {
            trial.sound(&caller, &target);
            covered += 1;
        }
    }
    assert!(covered > 200, "{covered}");
    assert!(trial.as_child > 0 && trial.minted > 0);
}
