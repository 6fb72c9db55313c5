//! A token and nothing else: claims to JSON, base64url, one signature with a key that was parsed once.

use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::{Context as _, Result, anyhow, bail};
use aws_lc_rs::rand::{self, SystemRandom};
use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED, ECDSA_P256_SHA256_FIXED_SIGNING, ED25519, EcdsaKeyPair,
    Ed25519KeyPair, KeyPair as _, ParsedPublicKey, RSA_PKCS1_2048_8192_SHA256, RSA_PKCS1_SHA256,
    RsaKeyPair, VerificationAlgorithm,
};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

const LIFETIME_SECS: u64 = 900;

enum Pair {
    Es256(EcdsaKeyPair),
    EdDsa(Ed25519KeyPair),
    Rs256(RsaKeyPair),
}

/// A key that signs, and the encoded header of its tokens.
pub(crate) struct Signer {
    pair: Pair,
    random: SystemRandom,
    header: String,
}

/// What the client asks for: the body of the requests to hallpass, too.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct Wanted {
    allowed_routes: Vec<String>,
    #[serde(default)]
    data: Option<Map<String, Value>>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Claims<'a> {
    iss: &'a str,
    sub: &'a str,
    aud: &'a str,
    iat: u64,
    nbf: u64,
    exp: u64,
    jti: &'a str,
    #[serde(rename = "client_id")]
    client_id: &'a str,
    lin: [&'a str; 6],
    rev: &'a str,
    allowed_routes: &'a [String],
    data: Option<&'a Map<String, Value>>,
}

/// What is answered, as large as hallpass's answer.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Minted {
    pub(crate) id: String,
    token: String,
    expires_at: u64,
    #[serde(rename = "type")]
    kind: &'static str,
    expires_in: u64,
    environment: &'static str,
    user_id: &'static str,
    token_id: &'static str,
    audience: &'static str,
    pub(crate) allowed_routes: Vec<String>,
    pub(crate) data: Option<Map<String, Value>>,
    pub(crate) created_at: u64,
}

const ACCOUNT: &str = "usr_01kb0yh8p2v7m3c5d9e6f4g0h1";
const KEY: &str = "key_01kb0yh8p2v7m3c5d9e6f4g0h2";
const ISSUER: &str = "http://hallpass.test";
const AUDIENCE: &str = "http://hallpass.test/api";

impl Signer {
    pub(crate) fn generate(algorithm: &str) -> Result<Self> {
        let pair = match algorithm {
            "ES256" => EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).map(Pair::Es256),
            "EdDSA" => Ed25519KeyPair::generate().map(Pair::EdDsa),
            "RS256" => RsaKeyPair::generate(KeySize::Rsa2048).map(Pair::Rs256),
            other => bail!("`{other}` is none of ES256, EdDSA, RS256"),
        };
        let header = json!({
            "alg": algorithm,
            "typ": "at+jwt",
            "kid": "Zx3oTqHq7B0vZJm0r7b1kP0f5nJcQm7y2k0x3b9sC1A",
        });
        Ok(Self {
            pair: pair.map_err(|_| anyhow!("no key could be made"))?,
            random: SystemRandom::new(),
            header: URL_SAFE_NO_PAD.encode(header.to_string()),
        })
    }

    pub(crate) fn mint(&self, wanted: Wanted) -> Result<Minted> {
        let now = SystemTime::now().duration_since(UNIX_EPOCH)?;
        let (at, until) = (now.as_secs(), now.as_secs() + LIFETIME_SECS);
        let mut dice = [0; 10];
        rand::fill(&mut dice).map_err(|_| anyhow!("no random bytes"))?;
        let id = format!(
            "ses_{:010x}{}",
            now.as_millis(),
            URL_SAFE_NO_PAD.encode(dice)
        );
        let claims = Claims {
            iss: ISSUER,
            sub: ACCOUNT,
            aud: AUDIENCE,
            iat: at,
            nbf: at,
            exp: until,
            jti: &id,
            client_id: KEY,
            lin: [
                "5gJm3hQ1rXw",
                "a0ZtT2Jm1Yc",
                "kR7uE9pLq2s",
                "Vn4xB8cW0dA",
                "q1H6yF3oZiU",
                "t9S5kG7eMjI",
            ],
            rev: "kR7uE9pLq2s.1764192000000000",
            allowed_routes: &wanted.allowed_routes,
            data: wanted.data.as_ref(),
        };
        let mut token = String::with_capacity(1024);
        token.push_str(&self.header);
        token.push('.');
        URL_SAFE_NO_PAD.encode_string(serde_json::to_vec(&claims)?, &mut token);
        let signature = self.sign(token.as_bytes()).context("the signature")?;
        token.push('.');
        URL_SAFE_NO_PAD.encode_string(signature, &mut token);
        Ok(Minted {
            id,
            token,
            expires_at: until * 1000,
            kind: "Bearer",
            expires_in: LIFETIME_SECS,
            environment: "live",
            user_id: ACCOUNT,
            token_id: KEY,
            audience: AUDIENCE,
            allowed_routes: wanted.allowed_routes,
            data: wanted.data,
            created_at: at * 1000,
        })
    }

    /// Whether a signature is right, with the public key parsed once.
    pub(crate) fn verifier(&self) -> Result<impl Fn(&[u8], &[u8]) -> bool> {
        let (algorithm, public): (&'static dyn VerificationAlgorithm, Vec<u8>) = match &self.pair {
            Pair::Es256(pair) => (
                &ECDSA_P256_SHA256_FIXED,
                pair.public_key().as_ref().to_vec(),
            ),
            Pair::EdDsa(pair) => (&ED25519, pair.public_key().as_ref().to_vec()),
            Pair::Rs256(pair) => (
                &RSA_PKCS1_2048_8192_SHA256,
                pair.public_key().as_ref().to_vec(),
            ),
        };
        let parsed = ParsedPublicKey::new(algorithm, public).map_err(|_| anyhow!("no key"))?;
        Ok(move |message: &[u8], signature: &[u8]| parsed.verify_sig(message, signature).is_ok())
    }

    pub(crate) fn sign(&self, message: &[u8]) -> Result<Vec<u8>> {
        let signature = match &self.pair {
            Pair::Es256(pair) => pair
                .sign(&self.random, message)
                .map(|signature| signature.as_ref().to_vec()),
            Pair::EdDsa(pair) => Ok(pair.sign(message).as_ref().to_vec()),
            Pair::Rs256(pair) => {
                let mut signature = vec![0; pair.public_modulus_len()];
                pair.sign(&RSA_PKCS1_SHA256, &self.random, message, &mut signature)
                    .map(|()| signature)
            }
        };
        signature.map_err(|_| anyhow!("nothing was signed"))
    }
}
