//! How many findings are told in full: of one cause and one process so many in
//! a period, and so many of all. The others are counted, and told as one number
//! when their period is over. Pure: the time is given.

use std::{
    collections::{BTreeMap, HashMap},
    time::{Duration, Instant},
};

use crate::judge::Finding;

/// Most pairs of cause and process that are remembered; those beyond have the
/// limit of all together only, and what is held back of them is told as one number.
const MOST: usize = 1024;

/// Limits how much is told.
#[derive(Debug)]
pub(super) struct Limiter {
    in_full: u32,
    in_full_all: u32,
    period: Duration,
    /// When the period of all began, and how many were told in it.
    all: Option<(Instant, u32)>,
    kinds: HashMap<Kind, Period>,
    /// Of those that are not remembered, by cause.
    others: BTreeMap<&'static str, u64>,
}

/// Findings of one cause by one process.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Kind {
    pub(super) cause: &'static str,
    pub(super) pid: u32,
}

#[derive(Debug)]
struct Period {
    began: Instant,
    told: u32,
    held: u64,
    comm: String,
}

/// Findings that were not told one by one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct HeldBack {
    pub(super) cause: &'static str,
    /// The process and its name; `None` for several.
    pub(super) process: Option<(u32, String)>,
    pub(super) count: u64,
    /// In how long.
    pub(super) period: Duration,
}

impl Limiter {
    pub(super) fn new(in_full: u32, in_full_all: u32, period: Duration) -> Self {
        Self {
            in_full,
            in_full_all,
            period,
            all: None,
            kinds: HashMap::new(),
            others: BTreeMap::new(),
        }
    }

    /// Changes the limits; what was told and held back stays.
    pub(super) fn set(&mut self, in_full: u32, in_full_all: u32, period: Duration) {
        (self.in_full, self.in_full_all, self.period) = (in_full, in_full_all, period);
    }

    /// Whether this finding is told in full.
    pub(super) fn takes(&mut self, finding: &Finding, now: Instant) -> bool {
        let kind = Kind {
            cause: finding.cause.name(),
            pid: finding.pid,
        };
        let (_, told_of_all) = match &mut self.all {
            Some(all) if now.saturating_duration_since(all.0) < self.period => all,
            all => all.insert((now, 0)),
        };
        if !self.kinds.contains_key(&kind) && self.kinds.len() >= MOST {
            let takes = *told_of_all < self.in_full_all;
            if takes {
                *told_of_all += 1;
            } else {
                *self.others.entry(kind.cause).or_default() += 1;
            }
            return takes;
        }
        let entry = self.kinds.entry(kind).or_insert_with(|| Period {
            began: now,
            told: 0,
            held: 0,
            comm: finding.comm.clone(),
        });
        if entry.told < self.in_full && *told_of_all < self.in_full_all {
            entry.told += 1;
            *told_of_all += 1;
            true
        } else {
            entry.held += 1;
            false
        }
    }

    /// What is to be told of periods that are over; with `all`, of all.
    pub(super) fn over(&mut self, now: Instant, all: bool) -> Vec<HeldBack> {
        let period = self.period;
        let mut told = Vec::new();
        self.kinds.retain(|kind, entry| {
            let length = now.saturating_duration_since(entry.began);
            let over = all || length >= period;
            if over && entry.held > 0 {
                told.push(HeldBack {
                    cause: kind.cause,
                    process: Some((kind.pid, entry.comm.clone())),
                    count: entry.held,
                    period: length,
                });
            }
            !over
        });
        let room = self.kinds.len() < MOST;
        if room {
            for (cause, count) in std::mem::take(&mut self.others) {
                told.push(HeldBack {
                    cause,
                    process: None,
                    count,
                    period,
                });
            }
        }
        // In the same order each time.
        told.sort_by(|one, other| (one.cause, &one.process).cmp(&(other.cause, &other.process)));
        told
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::snapshots::finding;

    const MINUTE: Duration = Duration::from_secs(60);

    fn of(pid: u32) -> Finding {
        let mut finding = finding();
        finding.pid = pid;
        finding
    }

    #[test]
    fn the_first_are_told_and_then_the_number_of_the_others() {
        let mut limiter = Limiter::new(2, 100, MINUTE);
        let start = Instant::now();
        let told: Vec<_> = (0..5).map(|_| limiter.takes(&of(7), start)).collect();
        assert_eq!(told, [true, true, false, false, false]);
        // Another process has its own.
        assert!(limiter.takes(&of(8), start));
        assert_eq!(limiter.over(start + MINUTE / 2, false), []);
        let over = limiter.over(start + MINUTE, false);
        assert_eq!(
            over,
            [HeldBack {
                cause: "premature-shutdown",
                process: Some((7, "images".to_owned())),
                count: 3,
                period: MINUTE,
            }]
        );
        // Told once; and a new period begins.
        assert_eq!(limiter.over(start + MINUTE, true), []);
        assert!(limiter.takes(&of(7), start + MINUTE));
    }

    #[test]
    fn all_together_have_a_limit_too() {
        let mut limiter = Limiter::new(2, 3, MINUTE);
        let start = Instant::now();
        let told = (0..10)
            .filter(|pid| limiter.takes(&of(*pid), start))
            .count();
        assert_eq!(told, 3);
        let held: u64 = limiter.over(start, true).iter().map(|it| it.count).sum();
        assert_eq!(held, 7);
        assert!(limiter.takes(&of(99), start + MINUTE));
    }

    #[test]
    fn its_memory_has_a_limit_and_nothing_is_lost_by_that() {
        let most = u32::try_from(MOST).unwrap();
        let mut limiter = Limiter::new(1, most + 10, MINUTE);
        let start = Instant::now();
        // The first of each process is told, also of one that is not remembered.
        let told = (0..most + 15)
            .filter(|pid| limiter.takes(&of(*pid), start))
            .count();
        assert_eq!((told, limiter.kinds.len()), (MOST + 10, MOST));
        let over = limiter.over(start + MINUTE, false);
        assert_eq!(over.len(), 1);
        assert_eq!((over[0].count, &over[0].process), (5, &None));
    }
}
