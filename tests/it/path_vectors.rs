//! The targets of `tests/vectors/paths.json`, given to the parser and to the gate. The verdicts in
//! that file were computed by a program that shares nothing with this one.

use std::collections::BTreeMap;
use std::path::Path;

use axum::http::{HeaderValue, Uri};
use hallpass::domain::route::{Mount, RequestPath, RouteSet, TrailingSlash};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::support::town::Town;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    mount: String,
    routes: Vec<String>,
    vectors: Vec<Vector>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Vector {
    id: String,
    kind: String,
    /// One character for each byte.
    target: String,
    #[serde(rename = "source")]
    _source: Option<String>,
    breach: Option<String>,
    routes: Option<Vec<String>>,
    /// The segments behind the mount, or nothing where the target is refused.
    segments: Option<Vec<String>>,
    allowed: bool,
}

impl Vector {
    fn target(&self) -> Vec<u8> {
        self.target
            .chars()
            .map(|character| u8::try_from(u32::from(character)).unwrap())
            .collect()
    }
}

fn file() -> File {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/vectors/paths.json");
    serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
}

#[test]
fn the_vectors_are_many_and_hold_the_known_breaches() {
    let File { vectors, .. } = file();
    assert!(vectors.len() >= 1000, "{}", vectors.len());
    let refused = vectors.iter().filter(|one| one.segments.is_none()).count();
    let allowed = vectors.iter().filter(|one| one.allowed).count();
    assert!(refused >= 1000, "{refused}");
    assert!(allowed >= 100, "{allowed}");
    for breach in [
        "CVE-2019-9901",
        "CVE-2025-71399",
        "CVE-2026-0650",
        "CVE-2026-2880",
        "CVE-2026-23813",
        "CVE-2026-32031",
        "CVE-2026-33494",
        "CVE-2026-33808",
        "CVE-2026-39852",
        "CVE-2026-42274",
        "CVE-2026-48020",
        "CVE-2026-50559",
        "CVE-2026-73551",
        "GHSA-68wm-pfjf-wqp6",
        "GHSA-xg2q-62g2-cvcm",
        "globset",
    ] {
        let of_it = |one: &Vector| one.breach.as_ref().is_some_and(|it| it.contains(breach));
        assert!(vectors.iter().any(of_it), "{breach}");
    }
}

#[test]
fn each_target_is_refused_or_accepted_with_exactly_its_segments() {
    let File {
        mount,
        routes,
        vectors,
    } = file();
    let mount = Mount::parse(&mount).unwrap();
    let mut wrong = Vec::new();
    for vector in &vectors {
        let path = RequestPath::parse(vector.target(), &mount, TrailingSlash::Equal);
        let segments = path
            .as_ref()
            .ok()
            .map(|path| path.segments().map(str::to_owned).collect::<Vec<_>>());
        let routes = RouteSet::parse(vector.routes.as_ref().unwrap_or(&routes)).unwrap();
        let allowed = path.is_ok_and(|path| routes.matches("GET", &path).is_some());
        if segments != vector.segments || allowed != vector.allowed {
            wrong.push(format!(
                "{} {:?}: {segments:?} instead of {:?}, allowed {allowed} instead of {}",
                vector.id, vector.target, vector.segments, vector.allowed
            ));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// Through the endpoint for nginx, since its header carries almost any target, as JSON in batches,
/// and through the endpoint for Envoy, whose own path the target is.
#[tokio::test]
async fn the_gate_allows_exactly_what_the_key_may_call() {
    let File {
        routes, vectors, ..
    } = file();
    let town = Town::with_settings("[gate]\npeers = [\"192.0.2.0/24\"]").await;
    let shop = town.account("shop").await;
    let mut keys = BTreeMap::new();
    let mut questions = Vec::new();
    let (mut headers, mut lines) = (0, 0);
    for vector in &vectors {
        let routes = vector.routes.as_ref().unwrap_or(&routes);
        if !keys.contains_key(routes) {
            let key = shop.key(json!({"allowedRoutes": routes})).await;
            keys.insert(routes.clone(), key);
        }
        let key = &keys[routes];
        let target = vector.target();

        // A value that no header can have does not come to the gate.
        if HeaderValue::from_bytes(&target).is_ok() {
            let answer = key
                .header("x-original-method", "GET")
                .raw_header("x-original-uri", &target)
                .get("/v1/authorize/nginx")
                .await;
            let expected = if vector.allowed { 200 } else { 403 };
            assert_eq!(answer.status, expected, "{} {:?}", vector.id, vector.target);
            headers += 1;
        }
        if let Ok(path) = std::str::from_utf8(&target) {
            let asked = json!({"credential": key.token, "method": "GET", "path": path});
            questions.push((vector, asked));
        }
        let whole = format!("/v1/authorize/envoy{}", vector.target);
        let is_line = vector.target.starts_with('/')
            && !vector.target.contains('#')
            && vector.target.is_ascii()
            && whole.parse::<Uri>().is_ok();
        // Of the two longest lists the endpoint for nginx is enough.
        if is_line && !matches!(vector.kind.as_str(), "dots" | "byte") {
            let answer = key.get(&whole).await;
            assert_eq!(
                answer.status == 200,
                vector.allowed,
                "{} {whole:?}",
                vector.id
            );
            lines += 1;
        }
    }
    assert!(questions.len() > 2500, "{}", questions.len());
    for batch in questions.chunks(100) {
        let requests: Vec<&Value> = batch.iter().map(|(_, asked)| asked).collect();
        let answer = town
            .nobody()
            .post("/v1/authorize", json!({ "requests": requests }))
            .await
            .ok();
        for (index, (vector, asked)) in batch.iter().enumerate() {
            let decision = &answer["decisions"][index];
            assert_eq!(
                decision["allowed"], vector.allowed,
                "{} {asked}: {decision}",
                vector.id
            );
        }
    }
    assert!(headers > 2500, "{headers}");
    assert!(lines > 500, "{lines}");
}
