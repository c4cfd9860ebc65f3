//! What a watch adds to a system call.
//!
//! Observers take turns, so that whatever else the machine does meets all of
//! them alike; what is compared is always within one round.

use std::{fmt, path::Path};

use anyhow::Result;
use host::root;
use serde::Serialize;

use super::{
    EMPTY, Programs, observer,
    worker::{Plan, Times, Worker},
};

/// A round. The tenth percentile: whatever else the machine does makes a burst
/// slower, never faster.
const PLAN: Plan = Plan {
    bursts: 1500,
    percentile: 10,
};

/// A round under strace, where a call takes a hundred times as long. The
/// median: how long a stop takes depends on which CPU strace happens to be on.
const STRACE_PLAN: Plan = Plan {
    bursts: 24,
    percentile: 50,
};

/// Who looks on.
#[derive(Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
enum Variant {
    /// Nobody.
    Nothing,
    /// The empty programs.
    Empty,
    /// truncwatch, watching the worker.
    Watched,
    /// The same without stacks.
    WatchedNoStack,
    /// Another build of truncwatch, watching the worker.
    Beside,
    /// truncwatch, watching another process.
    Unwatched,
    /// strace, attached to the worker.
    Strace,
    /// strace with a filter in the kernel; the worker was started under it.
    StraceSeccomp,
}

const VARIANTS: [Variant; 8] = [
    Variant::Nothing,
    Variant::Empty,
    Variant::Watched,
    Variant::WatchedNoStack,
    Variant::Beside,
    Variant::Unwatched,
    Variant::Strace,
    Variant::StraceSeccomp,
];

impl Variant {
    fn is_strace(self) -> bool {
        matches!(self, Self::Strace | Self::StraceSeccomp)
    }

    fn label(self) -> &'static str {
        match self {
            Self::Nothing => "nothing",
            Self::Empty => "empty programs, same hooks",
            Self::Watched => "truncwatch, this process",
            Self::WatchedNoStack => "truncwatch --no-stack",
            Self::Beside => "the other build",
            Self::Unwatched => "truncwatch, another process",
            Self::Strace => "strace -f -p",
            Self::StraceSeccomp => "strace -f --seccomp-bpf -e …",
        }
    }
}

/// One variant's numbers, in nanoseconds per call: medians over rounds.
#[derive(Serialize)]
struct Row {
    observer: Variant,
    /// What the call took.
    total_ns: Times,
    /// That, less what it took with nothing attached in the same round.
    added_ns: Times,
}

/// All of them. Ratios are of added nanoseconds, to those of the empty
/// programs.
#[derive(Serialize)]
pub(super) struct PerCall {
    rounds: u32,
    /// Rounds at whose beginning or end another truncwatch was running: ratios
    /// mean little then.
    disturbed_rounds: u32,
    /// A send with nothing attached.
    base_ns: f64,
    /// Added to a send of a watched process.
    added_ns: f64,
    /// To a send of a watched process.
    ratio_to_empty: f64,
    /// A whole send of a watched process, to a whole one with empty programs.
    whole_ratio_to_empty: f64,
    /// To a send of a watched process that begins with a head.
    ratio_head: f64,
    /// To a whole connection of a watched process.
    ratio_connection: f64,
    /// The same without stacks.
    ratio_connection_no_stack: f64,
    /// Added to each call of a watched process, to what the other build adds in the same
    /// run.
    #[serde(skip_serializing_if = "Option::is_none")]
    ratio_to_beside: Option<Times>,
    /// To a send of an unwatched process.
    ratio_unwatched: f64,
    /// To an unrelated call of a watched process.
    ratio_unrelated: f64,
    /// To an unrelated call of an unwatched process.
    ratio_unrelated_unwatched: f64,
    observers: Vec<Row>,
}

pub(super) fn measure(programs: Programs<'_>, rounds: u32, strace: bool) -> Result<PerCall> {
    let mut workers = Workers {
        free: Worker::start()?,
        other: Worker::start()?,
        traced: Worker::start_under_strace()?,
    };
    // The first calls of a process are not like the rest.
    workers.free.run(PLAN)?;
    workers.traced.run(STRACE_PLAN)?;
    let mut times: [Vec<Times>; VARIANTS.len()] = Default::default();
    let mut disturbed_rounds = 0;
    for round in 0..rounds {
        let before = observer::another_truncwatch()?;
        for step in 0..VARIANTS.len() {
            let turn = (step + round as usize) % VARIANTS.len();
            let variant = VARIANTS[turn];
            let program = match variant {
                Variant::Beside => programs.beside,
                _ if variant.is_strace() && !strace => None,
                _ => Some(programs.truncwatch),
            };
            if let Some(program) = program {
                times[turn].push(workers.run(program, variant)?);
            }
        }
        disturbed_rounds += u32::from(before || observer::another_truncwatch()?);
        eprintln!("per-call: round {} of {rounds}", round + 1);
    }
    Ok(PerCall::new(rounds, disturbed_rounds, &times))
}

struct Workers {
    /// The one that is observed or not.
    free: Worker,
    /// Another, idle.
    other: Worker,
    /// Under strace all its life.
    traced: Worker,
}

impl Workers {
    fn run(&mut self, truncwatch: &Path, variant: Variant) -> Result<Times> {
        let pid = self.free.pid();
        let plan = match variant {
            Variant::Nothing => return self.free.run(PLAN),
            Variant::StraceSeccomp => return self.traced.run(STRACE_PLAN),
            Variant::Empty => {
                let empty = root::folder().join(EMPTY);
                observer::truncwatch(truncwatch, pid).option("--bpf-object", empty)
            }
            Variant::Watched | Variant::Beside => observer::truncwatch(truncwatch, pid),
            Variant::WatchedNoStack => observer::truncwatch(truncwatch, pid).flag("--no-stack"),
            Variant::Unwatched => observer::truncwatch(truncwatch, self.other.pid()),
            Variant::Strace => observer::strace(pid),
        };
        let calls = match variant {
            Variant::Strace => STRACE_PLAN,
            _ => PLAN,
        };
        let observer = plan.start()?;
        let times = self.free.run(calls)?;
        observer.stop()?;
        Ok(times)
    }
}

impl PerCall {
    fn new(rounds: u32, disturbed_rounds: u32, times: &[Vec<Times>; VARIANTS.len()]) -> Self {
        let base = &times[0];
        let observers: Vec<_> = VARIANTS
            .into_iter()
            .zip(times)
            .filter(|(_, times)| !times.is_empty())
            .map(|(observer, times)| {
                let added: Vec<_> = times
                    .iter()
                    .zip(base)
                    .map(|(times, base)| times.zip(*base, |time, base| time - base))
                    .collect();
                Row {
                    observer,
                    total_ns: Times::median(times),
                    added_ns: Times::median(&added),
                }
            })
            .collect();
        let added = |variant| {
            observers
                .iter()
                .find(|row| row.observer == variant)
                .map_or_else(Times::default, |row| row.added_ns)
        };
        let ratio = |variant| added(variant).zip(added(Variant::Empty), |this, empty| this / empty);
        let total = |variant| {
            observers
                .iter()
                .find(|row| row.observer == variant)
                .map_or_else(Times::default, |row| row.total_ns)
        };
        let whole = total(Variant::Watched).zip(total(Variant::Empty), |this, empty| this / empty);
        Self {
            rounds,
            disturbed_rounds,
            whole_ratio_to_empty: whole.send,
            base_ns: Times::median(base).send,
            added_ns: added(Variant::Watched).send,
            ratio_to_empty: ratio(Variant::Watched).send,
            ratio_head: ratio(Variant::Watched).head,
            ratio_connection: ratio(Variant::Watched).connection,
            ratio_connection_no_stack: ratio(Variant::WatchedNoStack).connection,
            ratio_to_beside: observers
                .iter()
                .find(|row| row.observer == Variant::Beside)
                .map(|row| added(Variant::Watched).zip(row.added_ns, |this, other| this / other)),
            ratio_unwatched: ratio(Variant::Unwatched).send,
            ratio_unrelated: ratio(Variant::Watched).getppid,
            ratio_unrelated_unwatched: ratio(Variant::Unwatched).getppid,
            observers,
        }
    }
}

impl fmt::Display for PerCall {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "per-call: nanoseconds added to a call, and times what empty programs add (median of {} rounds)",
            self.rounds
        )?;
        write!(
            f,
            "  {:<28}{:>18}{:>18}{:>18}{:>18}",
            "observer", "send 512 B", "send a head", "getppid", "connection"
        )?;
        let empty = self
            .observers
            .iter()
            .find(|row| row.observer == Variant::Empty)
            .map_or_else(Times::default, |row| row.added_ns);
        for row in &self.observers {
            write!(f, "\n  {:<28}", row.observer.label())?;
            if row.observer == Variant::Nothing {
                let Times {
                    send,
                    head,
                    getppid,
                    connection,
                } = row.total_ns;
                for total in [send, head, getppid, connection] {
                    write!(f, "{:>18}", format!("({total:.0})"))?;
                }
                continue;
            }
            let ratio = row.added_ns.zip(empty, |this, empty| this / empty);
            for (added, ratio) in [
                (row.added_ns.send, ratio.send),
                (row.added_ns.head, ratio.head),
                (row.added_ns.getppid, ratio.getppid),
                (row.added_ns.connection, ratio.connection),
            ] {
                write!(f, "{:>18}", format!("+{added:.0} ×{ratio:.1}"))?;
            }
        }
        if let Some(ratio) = self.ratio_to_beside {
            let Times {
                send,
                head,
                getppid: _,
                connection,
            } = ratio;
            write!(
                f,
                "\n  to what the other build adds: send ×{send:.2}, head ×{head:.2}, connection ×{connection:.2}"
            )?;
        }
        if self.disturbed_rounds > 0 {
            write!(
                f,
                "\n  another truncwatch ran in {} rounds: measure again without it",
                self.disturbed_rounds
            )?;
        }
        Ok(())
    }
}
