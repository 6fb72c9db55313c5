use super::*;
use crate::entropy::SeededEntropy;

fn entropy() -> SeededEntropy {
    SeededEntropy::new(7)
}

#[test]
fn what_is_sealed_opens_again() {
    let key = MasterKey::generate(&entropy()).unwrap();
    for plaintext in [&b""[..], b"x", &[0; 5000]] {
        let sealed = key.seal(plaintext, b"signing_key:k1", &entropy()).unwrap();

        let opened = key.open(&sealed, b"signing_key:k1").unwrap();

        assert_eq!(opened.as_slice(), plaintext);
        assert_eq!(sealed.len(), 1 + 8 + 12 + plaintext.len() + 16);
    }
}

#[test]
fn a_wrong_master_key_is_told_apart_from_damage() {
    let random = entropy();
    let key = MasterKey::generate(&random).unwrap();
    let other = MasterKey::generate(&random).unwrap();
    let sealed = key.seal(b"secret", b"", &random).unwrap();

    assert_eq!(other.open(&sealed, b""), Err(SealError::WrongMasterKey));
    assert_eq!(key.open(&sealed, b"moved"), Err(SealError::Corrupt));
    assert_ne!(key.id(), other.id());
}

#[test]
fn every_changed_byte_and_every_cut_is_noticed() {
    let key = MasterKey::generate(&entropy()).unwrap();
    let sealed = key.seal(b"secret", b"row 1", &entropy()).unwrap();
    for at in 0..sealed.len() {
        let mut changed = sealed.clone();
        changed[at] ^= 1;
        assert!(key.open(&changed, b"row 1").is_err(), "byte {at}");
        assert_eq!(
            key.open(&sealed[..at], b"row 1"),
            Err(SealError::Corrupt),
            "cut at {at}"
        );
    }
    let longer = [&sealed[..], b"\0"].concat();
    assert_eq!(key.open(&longer, b"row 1"), Err(SealError::Corrupt));
}

#[test]
fn the_same_text_is_never_sealed_to_the_same_bytes() {
    let random = entropy();
    let key = MasterKey::generate(&random).unwrap();

    let first = key.seal(b"secret", b"", &random).unwrap();
    let second = key.seal(b"secret", b"", &random).unwrap();

    assert_ne!(first, second);
    assert!(!first.windows(6).any(|window| window == b"secret"));
}

#[test]
fn a_master_key_is_read_in_every_usual_spelling() {
    let key = MasterKey::from_bytes([0xfb; 32]);
    let hex = "fb".repeat(32);
    let padded = key.to_base64();
    for text in [
        hex.as_str(),
        &hex.to_uppercase(),
        padded.as_str(),
        padded.trim_end_matches('='),
        &padded.replace('+', "-").replace('/', "_"),
        &format!("  {}\r\n", padded.as_str()),
    ] {
        assert_eq!(MasterKey::parse(text).unwrap().0, key.0, "{text}");
    }
    for text in [
        "",
        "change-me",
        hex.strip_prefix("fb").unwrap(),
        &"zz".repeat(32),
        &"+f".repeat(32),
        &format!("{hex}00"),
        &STANDARD.encode([1; 31]),
        &STANDARD.encode([1; 33]),
    ] {
        assert!(MasterKey::parse(text).is_err(), "{text}");
    }
}

#[test]
fn a_master_key_is_not_printed() {
    let key = MasterKey::from_bytes([0x41; 32]);

    let printed = format!("{key:?} {key:#?}");

    assert!(!printed.contains("41") && !printed.contains("65") && !printed.contains("AAAA"));
}

/// What one version sealed, every later one opens. Made by another program (Node's `crypto`, from
/// the description at the head of the module).
#[test]
fn the_form_does_not_change() {
    let sealed = "01497de7c98ecf187f000102030405060708090a0b\
                  8c95ade788d5ca835a17de62667028837998924aba515679";
    let sealed: Vec<u8> = sealed
        .as_bytes()
        .chunks(2)
        .map(|digits| hex_byte(digits).unwrap())
        .collect();

    let opened = MasterKey::from_bytes([7; 32]).open(&sealed, b"aad");

    assert_eq!(opened.unwrap().as_slice(), b"hallpass");
}

#[test]
fn without_randomness_nothing_is_sealed() {
    #[derive(Debug)]
    struct Dry;
    impl Entropy for Dry {
        fn fill(&self, _: &mut [u8]) -> Result<(), NoEntropy> {
            Err(NoEntropy)
        }
    }
    let key = MasterKey::from_bytes([7; 32]);

    assert_eq!(
        key.seal(b"x", b"", &Dry),
        Err(SealError::NoEntropy(NoEntropy))
    );
    assert!(MasterKey::generate(&Dry).is_err());
}
