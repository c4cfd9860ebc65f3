//! The log's clock: what `-t`, `-tt`, `-ttt` and `-r` print, as one that only
//! goes forward.

use std::num::NonZeroU64;

const SECOND: u64 = 1_000_000_000;
const DAY: u64 = 86_400 * SECOND;

/// A time as a line has it, nanoseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Stamp {
    /// None.
    #[default]
    Absent,
    /// Since midnight, to the second (`-t`).
    Second(u64),
    /// Since midnight (`-tt`).
    OfDay(u64),
    /// Since 1970 (`-ttt`).
    Epoch(u64),
    /// Since the line before (`-r`).
    Since(u64),
}

/// What a time of a `Clock` means.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Meaning {
    /// The log has no times.
    #[default]
    Nothing,
    /// Nanoseconds since midnight of the day before the log begins, which the
    /// log does not name.
    OfDay,
    /// Nanoseconds since 1970, UTC.
    Epoch,
    /// Nanoseconds since the log's first line, and one.
    Since,
}

/// The time of the line that was read last.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Clock {
    now: u64,
    first: Option<NonZeroU64>,
    days: u64,
    meaning: Meaning,
    coarse: bool,
}

impl Clock {
    /// Goes on to the time of the next line.
    pub(super) fn take(&mut self, stamp: Stamp) {
        let (now, meaning) = match stamp {
            Stamp::Absent => return,
            Stamp::Second(time) | Stamp::OfDay(time) => {
                self.coarse = matches!(stamp, Stamp::Second(_));
                // Threads may be told of slightly out of order; a day is not.
                let day = |days: u64| (days + 1).saturating_mul(DAY).saturating_add(time);
                if day(self.days).saturating_add(DAY / 2) < self.now {
                    self.days += 1;
                }
                (day(self.days), Meaning::OfDay)
            }
            Stamp::Epoch(time) => (time, Meaning::Epoch),
            Stamp::Since(time) => (self.now.max(1).saturating_add(time), Meaning::Since),
        };
        self.meaning = meaning;
        self.now = self.now.max(now);
        if self.first.is_none() {
            self.first = NonZeroU64::new(self.now);
        }
    }

    /// The time now; 0 if the log has none.
    pub(super) fn now(&self) -> u64 {
        self.now
    }

    /// The time now, if it is good for intervals; else 0.
    pub(super) fn fine(&self) -> u64 {
        if self.coarse { 0 } else { self.now }
    }

    /// What its times mean.
    pub(super) fn meaning(&self) -> Meaning {
        self.meaning
    }

    /// Nanoseconds that the log covers.
    pub(super) fn covered(&self) -> u64 {
        self.first
            .map_or(0, |first| self.now.saturating_sub(first.get()))
    }
}

/// Reads a time as the first word of a line may be one.
pub(super) fn stamp(word: &[u8]) -> Option<Stamp> {
    if let [h1, h2, b':', m1, m2, b':', s1, s2, fraction @ ..] = word {
        let two = |high: &u8, low: &u8| Some(digit(*high)? * 10 + digit(*low)?);
        let seconds = two(h1, h2)? * 3600 + two(m1, m2)? * 60 + two(s1, s2)?;
        let nanoseconds = seconds.checked_mul(SECOND)?;
        return match fraction {
            [] => Some(Stamp::Second(nanoseconds)),
            [b'.', fraction @ ..] => Some(Stamp::OfDay(nanoseconds + nano(fraction)?)),
            _ => None,
        };
    }
    let (whole, fraction) = match memchr::memchr(b'.', word) {
        Some(dot) => (word.get(..dot)?, nano(word.get(dot + 1..)?)?),
        None => (word, 0),
    };
    if whole.is_empty() || whole.len() > 10 {
        return None;
    }
    let mut seconds = 0_u64;
    for byte in whole {
        seconds = seconds * 10 + digit(*byte)?;
    }
    let time = seconds.checked_mul(SECOND)?.checked_add(fraction)?;
    // A year's seconds between two lines, or the years since 1970.
    Some(if seconds > 31_536_000 {
        Stamp::Epoch(time)
    } else {
        Stamp::Since(time)
    })
}

/// A fraction of a second, in nanoseconds.
fn nano(digits: &[u8]) -> Option<u64> {
    if digits.is_empty() || digits.len() > 9 {
        return None;
    }
    let mut value = 0;
    for at in 0..9 {
        value = value * 10 + digits.get(at).map_or(Some(0), |byte| digit(*byte))?;
    }
    Some(value)
}

fn digit(byte: u8) -> Option<u64> {
    byte.is_ascii_digit().then(|| u64::from(byte - b'0'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_forms_that_strace_prints() {
        let cases = [
            ("00:00:10", Some(Stamp::Second(10 * SECOND))),
            ("01:00:00.5", Some(Stamp::OfDay(3600 * SECOND + SECOND / 2))),
            (
                "1795249180.488238",
                Some(Stamp::Epoch(1_795_249_180_488_238_000)),
            ),
            ("0.000118", Some(Stamp::Since(118_000))),
            ("7599x", None),
            ("", None),
            (".", None),
            ("1.", None),
            ("99999999999.5", None),
        ];
        for (text, expected) in cases {
            assert_eq!(stamp(text.as_bytes()), expected, "{text}");
        }
    }

    #[test]
    fn midnight_is_passed_and_nothing_goes_back() {
        let mut clock = Clock::default();
        clock.take(Stamp::OfDay(DAY - 5));
        clock.take(Stamp::OfDay(DAY - 7));
        assert_eq!(clock.covered(), 0);
        clock.take(Stamp::OfDay(3));
        assert_eq!(clock.covered(), 8);
        assert_eq!(clock.now() % DAY, 3);
    }

    #[test]
    fn relative_times_add_up() {
        let mut clock = Clock::default();
        for time in [0, 5, 7] {
            clock.take(Stamp::Since(time));
        }
        assert_eq!((clock.covered(), clock.now()), (12, 13));
    }
}
