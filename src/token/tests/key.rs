use super::*;

#[test]
fn a_key_signs_and_survives_a_round_trip() {
    for alg in Algorithm::ALL {
        let key = PrivateKey::generate(alg).unwrap();
        let signature = key.sign(b"message").unwrap();
        let again = PrivateKey::from_pkcs8(alg, &key.to_pkcs8().unwrap()).unwrap();

        assert_eq!(again.public(), key.public());
        assert!(again.public().verify(b"message", &signature));
        assert!(!again.public().verify(b"messagf", &signature));
        assert!(key.public().verify(b"m", &again.sign(b"m").unwrap()));
        assert_eq!(key.alg(), alg);
        let other = PrivateKey::generate(alg).unwrap();
        assert!(!other.public().verify(b"message", &signature));
        assert_ne!(other.public().kid(), key.public().kid());
    }
}

#[test]
fn an_es256_signature_is_two_numbers_and_not_der() {
    let key = PrivateKey::generate(Algorithm::Es256).unwrap();

    assert_eq!(key.sign(b"message").unwrap().len(), 64);
}

#[test]
fn a_private_key_of_another_algorithm_is_refused() {
    for alg in Algorithm::ALL {
        let der = PrivateKey::generate(alg).unwrap().to_pkcs8().unwrap();
        for other in Algorithm::ALL {
            let read = PrivateKey::from_pkcs8(other, &der);
            assert_eq!(read.is_ok(), other == alg, "{alg} read as {other}");
        }
        assert!(PrivateKey::from_pkcs8(alg, &der[..der.len() - 1]).is_err());
        assert!(PrivateKey::from_pkcs8(alg, b"").is_err());
    }
}

#[test]
fn a_private_key_is_not_printed() {
    for alg in Algorithm::ALL {
        let key = PrivateKey::generate(alg).unwrap();

        let printed = format!("{key:?}");

        let kid = key.public().kid();
        assert_eq!(
            printed,
            format!("PrivateKey {{ alg: {alg:?}, kid: {kid:?}, .. }}")
        );
    }
}

fn point(hex_le: &str) -> [u8; 32] {
    let mut bytes = [0; 32];
    for (at, byte) in bytes.iter_mut().enumerate() {
        *byte = u8::from_str_radix(hex_le.get(2 * at..2 * at + 2).unwrap(), 16).unwrap();
    }
    bytes
}

/// All fourteen spellings of the eight points of small order.
#[test]
fn ed25519_keys_of_small_order_are_refused() {
    let spellings = [
        "0000000000000000000000000000000000000000000000000000000000000000",
        "0100000000000000000000000000000000000000000000000000000000000000",
        "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
        "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05",
        "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a",
        "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
        "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    ];
    for spelling in spellings {
        for sign in [0, 0x80] {
            let mut x = point(spelling);
            x[31] |= sign;
            assert_eq!(
                PublicKey::from_parts(&Parts::Ed25519 { x }),
                Err(KeyError::WeakPoint),
                "{spelling} {sign}"
            );
        }
    }
}

/// Why they are refused: the library alone would accept a signature that anybody can write down.
#[test]
fn the_identity_would_verify_everything() {
    let mut identity = [0; 32];
    identity[0] = 1;
    let parsed = ParsedPublicKey::new(&ED25519, identity).unwrap();
    let mut signature = [0; 64];
    signature[0] = 1;

    assert!(parsed.verify_sig(b"anything at all", &signature).is_ok());
}

#[test]
fn rsa_keys_have_a_usual_size_and_exponent() {
    let n = |bits: usize| {
        let mut n = vec![0xff; bits.div_ceil(8)];
        n[0] = if bits.is_multiple_of(8) {
            0xff
        } else {
            0xff >> (8 - bits % 8)
        };
        n
    };
    let read = |bits, e: &[u8]| {
        PublicKey::from_parts(&Parts::Rsa {
            n: n(bits),
            e: e.to_vec(),
        })
    };

    for bits in [0_usize, 512, 1024, 2047, 4097, 8192] {
        let n = if bits == 0 { Vec::new() } else { n(bits) };
        let e = RSA_EXPONENT.to_vec();
        assert_eq!(
            PublicKey::from_parts(&Parts::Rsa { n, e }),
            Err(KeyError::RsaBits { bits })
        );
    }
    for bits in [2048, 3072, 4096] {
        assert!(read(bits, &RSA_EXPONENT).is_ok(), "{bits}");
    }
    for e in [
        &[][..],
        &[1],
        &[3],
        &[1, 0, 0],
        &[1, 0, 1, 0, 1],
        &[0, 1, 0, 1],
    ] {
        assert_eq!(read(2048, e), Err(KeyError::RsaExponent));
    }
}

#[test]
fn a_point_off_the_curve_is_refused() {
    let x = [1; 32];
    assert_eq!(
        PublicKey::from_parts(&Parts::P256 { x, y: x }),
        Err(KeyError::BadPublicKey)
    );
    let zero = [0; 32];
    assert!(PublicKey::from_parts(&Parts::P256 { x: zero, y: zero }).is_err());
    assert!(Parts::from_sec1(&[4; 64]).is_err());
    assert!(Parts::from_sec1(&[2; 65]).is_err());
    assert!(Parts::from_sec1(&[]).is_err());
}
