//! What an attempt means: delivered, to be tried again, or given up.

use super::send::{Answer, SendError};
use crate::webhooks::connect::DialError;
use std::time::Duration;

/// Before the first retry; it doubles with each (urllib3's `backoff_factor`, as MLflow sets it).
const FIRST_PAUSE: Duration = Duration::from_secs(1);
const PAUSE_MAX: Duration = Duration::from_mins(1);
/// Spreads the retries of deliveries that failed together.
const JITTER_MAX_MS: u64 = 1_000;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    Delivered,
    /// To be tried again after so long.
    Again(Duration),
    Failed,
}

/// Judges an attempt; `earlier` came before it. `random` is any number.
pub fn judge(outcome: &Result<Answer, SendError>, earlier: u32, max_retries: u32, random: u64) -> Verdict {
    let (transient, wanted) = match outcome {
        Ok(answer) if (200..300).contains(&answer.status) => return Verdict::Delivered,
        Ok(answer) => (is_transient(answer.status), answer.retry_after),
        // What the operator's rules forbid stays forbidden.
        Err(SendError::Dial(DialError::Refused(_))) => (false, None),
        Err(_) => (true, None),
    };
    if !transient || earlier >= max_retries {
        return Verdict::Failed;
    }
    let doubled = FIRST_PAUSE.saturating_mul(1_u32.checked_shl(earlier).unwrap_or(u32::MAX)).min(PAUSE_MAX);
    let jitter = Duration::from_millis(random % JITTER_MAX_MS);
    Verdict::Again(wanted.unwrap_or(doubled) + jitter)
}

/// Answers that another time may be different.
fn is_transient(status: u16) -> bool {
    matches!(status, 408 | 425 | 429 | 500..=599)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[expect(clippy::unnecessary_wraps, reason = "what is judged is a result")]
    fn answer(status: u16, retry_after: Option<u64>) -> Result<Answer, SendError> {
        Ok(Answer { status, body: String::new(), retry_after: retry_after.map(Duration::from_secs) })
    }

    #[test]
    fn what_comes_of_an_attempt() {
        for status in [200, 204, 299] {
            assert_eq!(judge(&answer(status, None), 0, 3, 0), Verdict::Delivered);
        }
        for status in [301, 302, 307, 400, 401, 404, 410] {
            assert_eq!(judge(&answer(status, None), 0, 3, 0), Verdict::Failed, "{status}");
        }
        let pauses: Vec<_> = (0..4).map(|earlier| judge(&answer(503, None), earlier, 3, 0)).collect();
        let again = |seconds| Verdict::Again(Duration::from_secs(seconds));
        assert_eq!(pauses, [again(1), again(2), again(4), Verdict::Failed]);
        assert_eq!(judge(&answer(429, Some(7)), 0, 3, 0), again(7));
        assert_eq!(judge(&answer(500, None), 30, 99, 0), again(60));
        assert_eq!(judge(&answer(500, None), 40, 99, 0), again(60));
        let refused = Err(SendError::Dial(DialError::Refused(String::new())));
        assert_eq!(judge(&refused, 0, 3, 0), Verdict::Failed);
        let away = DialError::Connect { host: String::new(), detail: String::new() };
        assert_eq!(judge(&Err(away.into()), 0, 3, 0), again(1));
    }

    proptest! {
        #[test]
        fn pauses_are_bounded(status in 100_u16..600, earlier: u32, max_retries: u32, random: u64) {
            if let Verdict::Again(pause) = judge(&answer(status, None), earlier, max_retries, random) {
                prop_assert!(earlier < max_retries);
                prop_assert!(pause >= FIRST_PAUSE && pause < PAUSE_MAX + Duration::from_millis(JITTER_MAX_MS));
            }
        }
    }
}
