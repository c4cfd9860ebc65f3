//! How many findings are told in full: of one cause and one program so many in
//! a period, and so many of all. The others are counted, and told as one number
//! when their period is over. Pure: the time is given.
//!
//! It goes by the program and its unit, not by the process: a worker that is killed again
//! and again is a new process each time, and would hold back everybody else.

use std::{
    collections::{BTreeMap, HashMap},
    time::{Duration, Instant},
};

use crate::{judge::Finding, origin::Origin};

/// Most pairs of cause and program that are remembered; those beyond have the
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
    /// Those that were held back of those that are not remembered, by cause.
    others: BTreeMap<&'static str, u64>,
}

/// Findings of one cause by one program.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Kind {
    cause: &'static str,
    /// Its file, or where that is not known the thread's name.
    program: String,
    /// As metrics have it: a container that is started anew has another number.
    unit: String,
}

#[derive(Debug)]
struct Period {
    began: Instant,
    told: u32,
    held: u64,
    held_of: Culprit,
}

/// Who made findings that were held back.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Culprit {
    /// The process; `None` where there were several.
    pub(super) pid: Option<u32>,
    /// The name of the thread that ended the first.
    pub(super) comm: String,
    /// The program, where it is known.
    pub(super) exe: Option<String>,
    /// Its unit, where it is in one, of the first.
    pub(super) unit: Option<String>,
}

/// Findings that were not told one by one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct HeldBack {
    pub(super) cause: &'static str,
    /// Whose they are; `None` for several programs.
    pub(super) process: Option<Culprit>,
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

    /// Whether this finding is told in full, of a process with this program and origin.
    pub(super) fn takes(
        &mut self,
        finding: &Finding,
        exe: Option<&str>,
        origin: &Origin,
        now: Instant,
    ) -> bool {
        let kind = Kind {
            cause: finding.cause.name(),
            program: exe.unwrap_or(&finding.comm).to_owned(),
            unit: origin.label().to_owned(),
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
            held_of: Culprit {
                pid: Some(finding.pid),
                comm: finding.comm.clone(),
                exe: exe.map(str::to_owned),
                unit: origin.unit.clone(),
            },
        });
        if entry.told < self.in_full && *told_of_all < self.in_full_all {
            entry.told += 1;
            *told_of_all += 1;
            true
        } else {
            entry.held += 1;
            if entry.held == 1 {
                entry.held_of.pid = Some(finding.pid);
                entry.held_of.comm.clone_from(&finding.comm);
            } else if entry.held_of.pid != Some(finding.pid) {
                entry.held_of.pid = None;
            }
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
                    process: Some(entry.held_of.clone()),
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
    use crate::examples::finding;

    const MINUTE: Duration = Duration::from_secs(60);

    fn of(pid: u32) -> Finding {
        let mut finding = finding();
        finding.pid = pid;
        finding
    }

    /// Whether a finding is told, of a process with this program.
    fn takes(limiter: &mut Limiter, pid: u32, exe: &str, now: Instant) -> bool {
        limiter.takes(&of(pid), Some(exe), &Origin::default(), now)
    }

    #[test]
    fn the_first_are_told_and_then_the_number_of_the_others() {
        let mut limiter = Limiter::new(2, 100, MINUTE);
        let start = Instant::now();
        let told: Vec<_> = (0..5)
            .map(|_| takes(&mut limiter, 7, "/a", start))
            .collect();
        assert_eq!(told, [true, true, false, false, false]);
        // Another program has its own.
        assert!(takes(&mut limiter, 8, "/b", start));
        assert_eq!(limiter.over(start + MINUTE / 2, false), []);
        let over = limiter.over(start + MINUTE, false);
        let culprit = Culprit {
            pid: Some(7),
            comm: "images".to_owned(),
            exe: Some("/a".to_owned()),
            unit: None,
        };
        assert_eq!(
            over,
            [HeldBack {
                cause: "premature-shutdown",
                process: Some(culprit),
                count: 3,
                period: MINUTE,
            }]
        );
        // Told once; and a new period begins.
        assert_eq!(limiter.over(start + MINUTE, true), []);
        assert!(takes(&mut limiter, 7, "/a", start + MINUTE));
    }

    /// Each worker that is killed is a new process, and each container a new number.
    #[test]
    fn a_crash_loop_holds_back_nobody_else() {
        let start = Instant::now();
        let numbered = |number: u32| {
            let id = format!("{number:064x}");
            Origin::parse(&format!("0::/system.slice/docker-{id}.scope"))
        };
        let none = |_| Origin::default();
        let service = |_| Origin::parse("0::/system.slice/images.service");
        let run = |number: u32| Origin::parse(&format!("0::/system.slice/run-u{number}.service"));
        let origins: [&dyn Fn(u32) -> Origin; 4] = [&numbered, &none, &service, &run];
        for origin in origins {
            for exe in [Some("/usr/bin/images"), None] {
                let mut limiter = Limiter::new(5, 20, MINUTE);
                let told = (100..1100)
                    .filter(|pid| limiter.takes(&of(*pid), exe, &origin(*pid), start))
                    .count();
                assert_eq!(told, 5);
                assert!(takes(&mut limiter, 7, "/other", start));
                let over = limiter.over(start, true);
                assert_eq!((over.len(), over[0].count), (1, 995), "{over:?}");
                let culprit = over[0].process.as_ref().expect("one program");
                assert_eq!((culprit.pid, culprit.exe.as_deref()), (None, exe));
            }
        }
    }

    /// The same program of different services is different ones.
    #[test]
    fn units_have_limits_of_their_own() {
        let mut limiter = Limiter::new(1, 20, MINUTE);
        let start = Instant::now();
        for unit in ["one", "two"] {
            let origin = Origin::parse(&format!("0::/system.slice/{unit}.service"));
            let python = Some("/usr/bin/python3");
            assert!(limiter.takes(&of(7), python, &origin, start));
            assert!(!limiter.takes(&of(8), python, &origin, start));
        }
        let over = limiter.over(start, true);
        let units: Vec<_> = over
            .iter()
            .filter_map(|held| held.process.as_ref()?.unit.as_deref())
            .collect();
        assert_eq!(units, ["one.service", "two.service"]);
        assert_eq!(over[0].process.as_ref().and_then(|it| it.pid), Some(8));
    }

    #[test]
    fn all_together_have_a_limit_too() {
        let mut limiter = Limiter::new(2, 3, MINUTE);
        let start = Instant::now();
        let told = (0..10)
            .filter(|pid| takes(&mut limiter, *pid, &format!("/{pid}"), start))
            .count();
        assert_eq!(told, 3);
        let held: u64 = limiter.over(start, true).iter().map(|it| it.count).sum();
        assert_eq!(held, 7);
        assert!(takes(&mut limiter, 99, "/99", start + MINUTE));
    }

    #[test]
    fn its_memory_has_a_limit_and_nothing_is_lost_by_that() {
        let most = u32::try_from(MOST).unwrap();
        let mut limiter = Limiter::new(1, most + 10, MINUTE);
        let start = Instant::now();
        // The first of each program is told, also of one that is not remembered.
        let told = (0..most + 15)
            .filter(|pid| takes(&mut limiter, *pid, &format!("/{pid}"), start))
            .count();
        assert_eq!((told, limiter.kinds.len()), (MOST + 10, MOST));
        let over = limiter.over(start + MINUTE, false);
        assert_eq!(over.len(), 1);
        assert_eq!((over[0].count, &over[0].process), (5, &None));
    }
}
