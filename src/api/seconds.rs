//! Waiting times in seconds, as people and JSON give them: fractions are valid, negative and
//! infinite values are not.

use std::time::Duration;

/// The longest waiting time, in seconds: a day.
const MAX_SECONDS: f64 = 86_400.0;

/// Converts `seconds` to a duration.
///
/// # Errors
///
/// [`SecondsError`] if the value is not from 0 to a day.
pub(crate) fn duration(seconds: f64) -> Result<Duration, SecondsError> {
    let allowed = (0.0..=MAX_SECONDS).contains(&seconds);
    let duration = allowed.then(|| Duration::try_from_secs_f64(seconds).ok());
    duration.flatten().ok_or(SecondsError { found: seconds })
}

/// The error of an invalid waiting time.
#[derive(Clone, Copy, Debug, PartialEq, thiserror::Error)]
#[error("{found} is not a valid waiting time: use 0 to {MAX_SECONDS} seconds")]
pub(crate) struct SecondsError {
    found: f64,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_day_is_the_limit() {
        assert_eq!(duration(0.25), Ok(Duration::from_millis(250)));
        assert_eq!(duration(86_400.0), Ok(Duration::from_secs(86_400)));
        for wrong in [-0.1, 86_400.5, f64::NAN, f64::INFINITY] {
            assert!(
                duration(wrong)
                    .unwrap_err()
                    .to_string()
                    .contains("0 to 86400")
            );
        }
    }
}
