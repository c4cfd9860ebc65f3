//! When something was, as far as that is known.

use std::{fmt, time::Duration};

use jiff::Timestamp;

/// A point in time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum When {
    /// The day is known too.
    At(Timestamp),
    /// So long after midnight, on a day that a log does not name.
    OfDay(Duration),
    /// So long after a log's first line.
    Since(Duration),
    /// A log without times.
    Unknown,
}

impl When {
    /// As JSON has it: RFC 3339, or null.
    #[must_use]
    pub(super) fn rfc3339(&self) -> Option<String> {
        match self {
            Self::At(time) => Some(format!("{time:.6}")),
            _ => None,
        }
    }

    /// The time that a log has, where it has no day.
    #[must_use]
    pub(super) fn of_day(&self) -> Option<String> {
        let Self::OfDay(time) = self else { return None };
        let seconds = time.as_secs();
        Some(format!(
            "{:02}:{:02}:{:02}.{:06}",
            seconds / 3600 % 24,
            seconds / 60 % 60,
            seconds % 60,
            time.subsec_micros()
        ))
    }
}

impl fmt::Display for When {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self, self.of_day()) {
            (Self::At(time), _) => write!(f, "{time:.6}"),
            (Self::Since(time), _) => write!(
                f,
                "{}.{:06} s after the log's first line",
                time.as_secs(),
                time.subsec_micros()
            ),
            (_, Some(time)) => write!(f, "{time} by the log, which has no date"),
            (_, None) => f.write_str("not known: the log has no times"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_known_is_told_and_no_more() {
        let time = When::OfDay(Duration::new(86_400 + 46 * 60 + 7, 658_081_000));
        assert_eq!(time.rfc3339(), None);
        assert_eq!(
            time.to_string(),
            "00:46:07.658081 by the log, which has no date"
        );
        assert_eq!(
            When::Since(Duration::from_micros(1_000_002)).to_string(),
            "1.000002 s after the log's first line"
        );
        assert_eq!(When::Unknown.to_string(), "not known: the log has no times");
    }
}
