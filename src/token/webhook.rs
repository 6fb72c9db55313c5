//! The secrets of webhooks, and the signatures that are made and checked with them.
//!
//! The form is that of Standard Webhooks: `whsec_` and the base64 of the key; the signature is
//! `v1,` and the base64 of HMAC-SHA256 over `<webhook-id>.<webhook-timestamp>.<body>`.

use std::fmt;

use aws_lc_rs::hmac;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use zeroize::Zeroizing;

use crate::domain::time::Timestamp;
use crate::entropy::{Entropy, NoEntropy};

/// What a secret begins with.
pub const PREFIX: &str = "whsec_";
/// Bytes of a new key.
const KEY_LEN: usize = 32;
/// Bytes that a key may have, by Standard Webhooks.
const KEY_LENS: std::ops::RangeInclusive<usize> = 24..=64;
/// How far the clocks of sender and receiver may be apart unless a receiver says otherwise, in
/// seconds. It is also for how long a recorded delivery can be presented again.
pub const WEBHOOK_TOLERANCE_SECS: i64 = 300;
/// Signatures that are looked at in one header.
const SIGNATURES_MAX: usize = 10;

/// The secret of a webhook.
#[derive(Clone)]
pub struct WebhookSecret(Zeroizing<Vec<u8>>);

/// The text is no secret of a webhook.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a webhook secret is `whsec_` and 24 to 64 bytes in base64")]
pub struct BadWebhookSecret;

/// Why a delivery is not to be believed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum WebhookError {
    /// The secret of the receiver is not one.
    #[error(transparent)]
    Secret(#[from] BadWebhookSecret),
    /// A header is missing or is not what it should be.
    #[error("the webhook headers are missing or malformed")]
    Headers,
    /// The timestamp is too far from now, in either direction.
    #[error("the webhook was signed too long ago, or the clocks disagree")]
    Timestamp,
    /// No signature fits.
    #[error("no signature of the webhook fits")]
    Signature,
}

/// The three headers of a delivery.
#[derive(Debug, Clone, Copy)]
pub struct WebhookHeaders<'a> {
    /// `webhook-id`: the event. The same for each attempt, so that a receiver can leave out what it
    /// has seen.
    pub id: &'a str,
    /// `webhook-timestamp`: when this attempt was signed, in seconds since 1970.
    pub timestamp: &'a str,
    /// `webhook-signature`: one or more signatures, separated by spaces.
    pub signature: &'a str,
}

impl fmt::Debug for WebhookSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("WebhookSecret(…)")
    }
}

impl WebhookSecret {
    /// A new secret.
    ///
    /// # Errors
    /// [`NoEntropy`].
    pub fn generate(entropy: &dyn Entropy) -> Result<Self, NoEntropy> {
        let mut key = Zeroizing::new(vec![0; KEY_LEN]);
        entropy.fill(&mut key)?;
        Ok(Self(key))
    }

    /// Reads `whsec_…`.
    ///
    /// # Errors
    /// [`BadWebhookSecret`].
    pub fn parse(text: &str) -> Result<Self, BadWebhookSecret> {
        let encoded = text.strip_prefix(PREFIX).ok_or(BadWebhookSecret)?;
        let key = STANDARD.decode(encoded).map_err(|_| BadWebhookSecret)?;
        Self::from_bytes(&key)
    }

    /// From the bytes of its key.
    ///
    /// # Errors
    /// [`BadWebhookSecret`] when there are too few or too many.
    pub fn from_bytes(key: &[u8]) -> Result<Self, BadWebhookSecret> {
        if KEY_LENS.contains(&key.len()) {
            Ok(Self(Zeroizing::new(key.to_vec())))
        } else {
            Err(BadWebhookSecret)
        }
    }

    /// The bytes of its key, to be sealed.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// The secret as it is shown once.
    pub fn expose(&self) -> Zeroizing<String> {
        Zeroizing::new(format!("{PREFIX}{}", STANDARD.encode(&*self.0)))
    }

    /// The signature of a delivery in one `webhook-signature`.
    pub fn sign(&self, id: &str, timestamp: &str, body: &[u8]) -> String {
        let key = hmac::Key::new(hmac::HMAC_SHA256, &self.0);
        let tag = hmac::sign(&key, &signed(id, timestamp, body));
        format!("v1,{}", STANDARD.encode(tag.as_ref()))
    }

    /// `sha256=<hex>`: HMAC-SHA256 of the body alone, with the whole text of the secret as the key,
    /// for receivers that know no more than that. It does not say when it was made.
    pub fn sign_simple(&self, body: &[u8]) -> String {
        let key = hmac::Key::new(hmac::HMAC_SHA256, self.expose().as_bytes());
        let tag = hmac::sign(&key, body);
        let mut text = String::from("sha256=");
        for byte in tag.as_ref() {
            for digit in [byte >> 4, byte & 15] {
                text.push(char::from_digit(u32::from(digit), 16).unwrap_or('0'));
            }
        }
        text
    }

    fn fits(&self, signed: &[u8], signature: &str) -> bool {
        let Some(encoded) = signature.strip_prefix("v1,") else {
            return false;
        };
        let Ok(tag) = STANDARD.decode(encoded) else {
            return false;
        };
        let key = hmac::Key::new(hmac::HMAC_SHA256, &self.0);
        // Compares in constant time.
        hmac::verify(&key, signed, &tag).is_ok()
    }
}

fn signed(id: &str, timestamp: &str, body: &[u8]) -> Vec<u8> {
    [id.as_bytes(), b".", timestamp.as_bytes(), b".", body].concat()
}

/// Whether a delivery was signed with this secret, and not longer ago than `tolerance_secs`
/// ([`WEBHOOK_TOLERANCE_SECS`] is a good one). `body` is the body as it came, byte by byte.
///
/// During a rotation a delivery has two signatures, and either secret checks it. Deliveries come at
/// least once: leave out a `webhook-id` that was seen before.
///
/// ```
/// use hallpass::clock::{Clock as _, SystemClock};
/// use hallpass::{WEBHOOK_TOLERANCE_SECS, WebhookHeaders, verify_webhook};
///
/// # fn header(_: &str) -> &'static str { "" }
/// # let (secret, body) = ("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", b"{}");
/// let headers = WebhookHeaders {
///     id: header("webhook-id"),
///     timestamp: header("webhook-timestamp"),
///     signature: header("webhook-signature"),
/// };
/// let now = SystemClock::new().now();
/// if verify_webhook(secret, headers, body, now, WEBHOOK_TOLERANCE_SECS).is_err() {
///     // Answer 401, and do nothing.
/// }
/// ```
///
/// # Errors
/// [`WebhookError`].
pub fn verify_webhook(
    secret: &str,
    headers: WebhookHeaders<'_>,
    body: &[u8],
    now: Timestamp,
    tolerance_secs: i64,
) -> Result<(), WebhookError> {
    let secret = WebhookSecret::parse(secret)?;
    let WebhookHeaders {
        id,
        timestamp,
        signature,
    } = headers;
    let is_plain = !timestamp.is_empty() && timestamp.bytes().all(|byte| byte.is_ascii_digit());
    if id.is_empty() || !is_plain {
        return Err(WebhookError::Headers);
    }
    let at: i64 = timestamp.parse().map_err(|_| WebhookError::Headers)?;
    if at.abs_diff(now.secs_floor()) > tolerance_secs.unsigned_abs() {
        return Err(WebhookError::Timestamp);
    }
    let signed = signed(id, timestamp, body);
    let fits = signature
        .split(' ')
        .take(SIGNATURES_MAX)
        .any(|one| secret.fits(&signed, one));
    if fits {
        Ok(())
    } else {
        Err(WebhookError::Signature)
    }
}

#[cfg(test)]
#[path = "tests/webhook.rs"]
mod tests;
