//! When a delivery is tried again.

/// Seconds between one attempt and the next: a little over a day together.
const PAUSES_SECS: [i64; 10] = [5, 30, 120, 600, 1_800, 3_600, 7_200, 14_400, 28_800, 28_800];
/// Attempts of one delivery.
pub const ATTEMPTS_MAX: i64 = 11;
/// After so many seconds a delivery that still waits is given up, tried or not.
pub const GIVE_UP_SECS: i64 = 26 * 3_600;
/// A webhook that failed for so many seconds without one success is disabled (5 days).
pub const DISABLE_AFTER_SECS: i64 = 5 * 86_400;
/// The longest pause of a webhook that fails, in seconds. Within it there is one attempt, of
/// whatever is due.
const ENDPOINT_PAUSE_SECS_MAX: i64 = 300;

/// Milliseconds until the next attempt after `attempts` that failed; `None` when there is none.
/// `jitter` spreads attempts that failed together by a tenth to either side.
pub fn retry_after_ms(attempts: i64, jitter: u16) -> Option<i64> {
    let index = usize::try_from(attempts.max(1) - 1).ok()?;
    let pause = PAUSES_SECS.get(index)?;
    Some(spread(pause * 1000, jitter))
}

/// Milliseconds for which nothing is sent to a webhook after so many failures in a row.
pub fn endpoint_pause_ms(failures: i64, jitter: u16) -> i64 {
    let doublings = u32::try_from(failures.clamp(1, 10) - 1).unwrap_or(0);
    let pause = (5_i64 << doublings).min(ENDPOINT_PAUSE_SECS_MAX);
    spread(pause * 1000, jitter)
}

/// 90 to 110 per cent of it.
fn spread(ms: i64, jitter: u16) -> i64 {
    let share = i64::from(jitter) * ms / 5 / i64::from(u16::MAX);
    ms - ms / 10 + share
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_delivery_is_tried_for_about_a_day_and_then_given_up() {
        let mut all = 0;
        let mut attempts = 1;
        let mut last = 0;
        while let Some(pause) = retry_after_ms(attempts, u16::MAX / 2) {
            assert!(pause >= last, "a pause is not shorter than the one before");
            last = pause;
            all += pause;
            attempts += 1;
        }
        assert_eq!(attempts, ATTEMPTS_MAX);
        assert!((23 * 3_600_000..25 * 3_600_000).contains(&all), "{all}");
        assert!(GIVE_UP_SECS * 1000 > all * 105 / 100);
    }

    #[test]
    fn jitter_is_a_tenth_to_either_side() {
        assert_eq!(retry_after_ms(1, 0), Some(4_500));
        assert_eq!(retry_after_ms(1, u16::MAX), Some(5_500));
        assert_eq!(retry_after_ms(0, 0), Some(4_500));
    }

    #[test]
    fn a_webhook_that_fails_is_asked_ever_less_often_up_to_a_bound() {
        let pauses: Vec<i64> = (1..9)
            .map(|n| endpoint_pause_ms(n, u16::MAX / 2) / 1000)
            .collect();
        assert_eq!(pauses, [4, 9, 19, 39, 79, 159, 299, 299]);
        assert!(endpoint_pause_ms(i64::MAX, u16::MAX) <= 330_000);
    }
}
