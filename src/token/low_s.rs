//! One spelling of an ES256 signature.
//!
//! When `r || s` is right, so is `r || n - s`, and anybody can compute it. We sign with the lower of
//! the two values and take no other, so a token cannot be spelled anew by whoever holds it.

use std::cmp::Ordering;

const LEN: usize = 32;

/// The order `n` of P-256 (FIPS 186-5, SP 800-186 §3.2.1.3), big-endian.
const ORDER: [u8; LEN] = [
    0xff, 0xff, 0xff, 0xff, 0x00, 0x00, 0x00, 0x00, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
    0xbc, 0xe6, 0xfa, 0xad, 0xa7, 0x17, 0x9e, 0x84, 0xf3, 0xb9, 0xca, 0xc2, 0xfc, 0x63, 0x25, 0x51,
];

/// `(n - 1) / 2`, the highest `s` that is low.
const HALF: [u8; LEN] = [
    0x7f, 0xff, 0xff, 0xff, 0x80, 0x00, 0x00, 0x00, 0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
    0xde, 0x73, 0x7d, 0x56, 0xd3, 0x8b, 0xcf, 0x42, 0x79, 0xdc, 0xe5, 0x61, 0x7e, 0x31, 0x92, 0xa8,
];

fn s_of(signature: &[u8]) -> Option<&[u8; LEN]> {
    let (_, s) = signature.split_at_checked(LEN)?;
    s.try_into().ok()
}

/// Whether `r || s` has the higher of the two values of `s`. What has another length is no such
/// signature and is left to the verification.
pub(super) fn is_high(signature: &[u8]) -> bool {
    s_of(signature).is_some_and(|s| s.cmp(&HALF) == Ordering::Greater)
}

/// The same signature with the lower `s`.
pub(super) fn lowered(signature: &[u8]) -> Vec<u8> {
    let mut lowered = signature.to_vec();
    if let Some(s) = s_of(signature).filter(|_| is_high(signature)) {
        lowered.truncate(LEN);
        lowered.extend(order_minus(s));
    }
    lowered
}

/// `n - s` for `s` below `n`, byte by byte from the lowest.
fn order_minus(s: &[u8; LEN]) -> [u8; LEN] {
    let mut difference = [0; LEN];
    let mut borrow = false;
    for ((digit, n), s) in difference.iter_mut().zip(ORDER).zip(s).rev() {
        let (once, first) = n.overflowing_sub(*s);
        let (twice, second) = once.overflowing_sub(u8::from(borrow));
        *digit = twice;
        borrow = first || second;
    }
    difference
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::token::{Algorithm, PrivateKey};

    fn with_s(s: [u8; LEN]) -> Vec<u8> {
        [[7; LEN], s].concat()
    }

    #[test]
    fn the_middle_is_low_and_the_next_value_is_high() {
        let mut above = HALF;
        above[LEN - 1] += 1;

        assert!(!is_high(&with_s(HALF)));
        assert!(is_high(&with_s(above)));
        assert_eq!(lowered(&with_s(above)), with_s(HALF), "n is odd");
        assert_eq!(lowered(&with_s(HALF)), with_s(HALF));
    }

    #[test]
    fn one_and_n_minus_one_are_a_pair() {
        let mut one = [0; LEN];
        one[LEN - 1] = 1;
        let mut last = ORDER;
        last[LEN - 1] -= 1;

        assert_eq!(lowered(&with_s(last)), with_s(one));
        assert_eq!(order_minus(&one), last);
    }

    #[test]
    fn what_is_no_signature_is_left_alone() {
        for length in [0, 1, 31, 32, 63, 65, 72, 96] {
            let bytes = vec![0xff; length];
            assert!(!is_high(&bytes));
            assert_eq!(lowered(&bytes), bytes);
        }
    }

    /// Half of all signatures are high by nature; none of ours is, and its twin is refused.
    #[test]
    fn we_sign_low_and_refuse_the_twin() {
        let key = PrivateKey::generate(Algorithm::Es256).unwrap();
        for message in 0..32_u8 {
            let signature = key.sign(&[message]).unwrap();
            let twin = [&signature[..LEN], &order_minus(s_of(&signature).unwrap())].concat();

            assert!(!is_high(&signature));
            assert!(key.public().verify(&[message], &signature));
            assert!(is_high(&twin));
            assert!(!key.public().verify(&[message], &twin));
        }
    }
}
