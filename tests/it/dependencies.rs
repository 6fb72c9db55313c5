//! What a downstream service pulls in with the verifier, as Cargo sees it.

use std::collections::BTreeSet;
use std::process::Command;

/// The packages that a build with these features needs.
fn packages(features: &str) -> BTreeSet<String> {
    let output = Command::new(env!("CARGO"))
        .args(["tree", "--offline", "--locked", "--no-default-features"])
        .args(["--edges", "normal", "--prefix", "none", "--format", "{p}"])
        .args(["--features", features])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .unwrap();
    assert!(output.status.success(), "{output:?}");
    let text = String::from_utf8(output.stdout).unwrap();
    text.lines()
        .filter_map(|line| line.split(' ').next())
        .map(str::to_owned)
        .collect()
}

#[test]
fn the_verifier_has_no_database_and_no_server() {
    let servers = ["axum", "clap", "toml", "tracing-subscriber", "psl"];
    for (features, alone) in [
        ("verifier", true),
        ("verifier-tower", true),
        ("verifier-axum", false),
    ] {
        let packages = packages(features);
        assert!(packages.contains("reqwest"), "{features}: {packages:?}");
        for package in &packages {
            let is_database = ["sqlx", "sqlite", "postgres", "rusqlite"]
                .iter()
                .any(|name| package.contains(name));
            assert!(!is_database, "{features}: {package}");
            assert!(
                !servers.contains(&package.as_str()),
                "{features}: {package}"
            );
        }
        if alone {
            assert!(!packages.contains("axum-core"), "{features}");
        }
    }
    // The test itself would see them.
    let all = packages("server,sqlite");
    assert!(all.contains("sqlx") && all.contains("axum"));
}
