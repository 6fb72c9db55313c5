//! The settings of a node among others.

use super::Given;

#[test]
fn what_no_node_may_do_cannot_be_set() {
    for (text, expected) in [
        (
            "nodes.lease_ms = 499",
            "`nodes.lease_ms`, from the file hallpass.toml: write a whole number from 500 to 60000",
        ),
        ("nodes.lease_ms = 60001", "from 500 to 60000"),
        ("nodes.past_lease = 'trust'", "expected `ask` or `refuse`"),
        ("nodes.drain_delay_secs = 301", "from 0 to 300"),
        ("nodes.lease_secs = 1", "unknown field"),
    ] {
        let refusal = Given::file(text).refusal();

        assert!(refusal.contains(expected), "{text}: {refusal}");
    }
}

#[test]
fn a_direct_address_is_one_of_postgresql_beside_one_of_postgresql() {
    const WRONG: &str = "write postgres://USER:PASSWORD@HOST/DATABASE, the address of the same database without its pooler";
    for (pooled, direct) in [
        ("sqlite://x", "postgres://u:hunter2@db/x"),
        ("postgres://u:hunter2@pooler/x", "sqlite://x"),
        ("postgres://u:hunter2@pooler/x", "db.example.com"),
    ] {
        let text = format!("database_url = '{pooled}'\ndatabase_direct_url = '{direct}'");

        let refusal = Given::file(&text).refusal();

        assert!(refusal.contains(WRONG), "{text}: {refusal}");
        assert!(!refusal.contains("hunter2"), "{refusal}");
    }
    let both = Given::file(
        "database_url = 'postgres://pooler/x'\ndatabase_direct_url = 'postgres://db/x'",
    );
    let direct = both.load().unwrap().database_direct_url.unwrap();
    assert_eq!(direct.reveal(), "postgres://db/x");
}
