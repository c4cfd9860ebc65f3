//! Others first, as long as nothing is lost by that: while there is much to read, a watch
//! asks for its share of the CPU, and then steps back again.
//!
//! Measured on two CPUs with 12 busy threads, Linux 6.18: a thread that is nice 10 gets
//! its turn 85 to 230 ms after it wakes up, and 20 ms of work take it two seconds; with
//! short slices it is 14 ms. A thread that is not nice, with short slices: 1.5 ms, and a
//! quarter of a second. That is the daemon's; with `SCHED_BATCH` it was not measured.

use std::{
    thread,
    time::{Duration, Instant},
};

use rustix::process::{getpriority_process, setpriority_process};

use crate::report::note;

/// How long it hurries after it had to.
const HURRY: Duration = Duration::from_secs(1);

/// A round that takes longer has much to read, or too little of the CPU.
const MUCH: Duration = Duration::from_millis(2);

/// The share of the CPU comes in pieces of this length, nanoseconds: short ones come
/// soon after a wake-up (Linux 6.12 and later; earlier ones ignore it).
const SLICE: u64 = 300_000;

/// How nice a watch is that was not told (nice(2)).
const USUAL: i32 = 10;

/// How nice a watch is.
#[derive(Debug)]
pub(crate) struct Priority {
    /// When there is no hurry.
    usual: i32,
    /// It hurries until then.
    until: Option<Instant>,
    /// It may not hurry, and that was said.
    refused: bool,
}

impl Priority {
    /// Of this thread, and of those that it starts: as nice as it was told to be.
    pub(crate) fn new(usual: i32) -> Self {
        let nice = Self::unchanged(usual);
        nice.be(usual);
        attributes(usual, SchedulingPolicy::Kept);
        nice
    }

    /// The same where nobody told: nice, unless it was started as it is to be (nice(1),
    /// chrt(1)), or could not hurry then: it stays as it is, and never hurries. Its waking
    /// up takes the CPU from nobody (`SCHED_BATCH`, sched(7)): else it may decide races in
    /// what it watches.
    pub(crate) fn behind_others() -> Self {
        match getpriority_process(None) {
            Ok(0) if is_as_usual() && may_hurry() => {
                attributes(USUAL, SchedulingPolicy::Batch);
                Self::unchanged(USUAL)
            }
            _ => Self::unchanged(0),
        }
    }

    fn unchanged(usual: i32) -> Self {
        Self {
            usual,
            until: None,
            refused: false,
        }
    }

    /// Changes how nice it is when there is no hurry.
    pub(crate) fn set(&mut self, usual: i32) {
        if usual != self.usual {
            self.usual = usual;
            self.be(usual);
            (self.until, self.refused) = (None, false);
        }
    }

    /// There is much to read.
    pub(crate) fn hurry(&mut self) {
        if self.usual <= 0 || self.refused {
            return;
        }
        if self.until.is_none() && setpriority_process(None, 0).is_err() {
            self.refused = true;
            note(format_args!(
                "may not be less nice while much is to be read, so that events may be lost on a busy host: allow it (LimitNICE=+0 in the unit), or set limits.nice to 0"
            ));
            return;
        }
        self.until = Some(Instant::now() + HURRY);
    }

    /// A round took so long.
    pub(crate) fn took(&mut self, round: Duration) {
        if round > MUCH {
            self.hurry();
        }
    }

    /// Steps back, if it is time to.
    pub(crate) fn relax(&mut self) {
        if self.until.is_some_and(|until| Instant::now() >= until) {
            self.until = None;
            self.be(self.usual);
        }
    }

    fn be(&self, nice: i32) {
        if let Err(error) = setpriority_process(None, nice) {
            note(format_args!("cannot be nice {nice}: {error}"));
        }
    }
}

/// Whether this thread has the policy of most (`SCHED_OTHER`, sched(7)).
fn is_as_usual() -> bool {
    // SAFETY: takes a number, this thread's as 0.
    let policy = unsafe { libc::sched_getscheduler(0) };
    policy == libc::SCHED_OTHER
}

/// Whether a thread that is nice may be less so again (`RLIMIT_NICE`, setrlimit(2)); one
/// that is not needed any more tells.
fn may_hurry() -> bool {
    let trial = thread::Builder::new().spawn(|| {
        let there = setpriority_process(None, USUAL);
        there.and_then(|()| setpriority_process(None, 0)).is_ok()
    });
    trial.is_ok_and(|trial| trial.join().unwrap_or(false))
}

/// How the scheduler treats a thread (sched(7)).
enum SchedulingPolicy {
    /// As it was: a service manager may have set it.
    Kept,
    /// `SCHED_BATCH`.
    Batch,
}

/// Asks for short slices, and to be that nice. The threads that this one starts have them
/// too. Where it may not, a wake-up takes longer.
fn attributes(nice: i32, policy: SchedulingPolicy) {
    // linux/sched.h.
    const KEEP_POLICY: u64 = 8;
    let (sched_policy, sched_flags) = match policy {
        SchedulingPolicy::Kept => (0, KEEP_POLICY),
        SchedulingPolicy::Batch => (libc::SCHED_BATCH.unsigned_abs(), 0),
    };
    let attributes = libc::sched_attr {
        size: u32::try_from(size_of::<libc::sched_attr>()).unwrap_or(0),
        sched_policy,
        sched_flags,
        sched_nice: nice,
        sched_priority: 0,
        sched_runtime: SLICE,
        sched_deadline: 0,
        sched_period: 0,
    };
    // SAFETY: the structure is whole and says its size; the kernel only reads it.
    unsafe {
        libc::syscall(libc::SYS_sched_setattr, 0, &raw const attributes, 0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// In a thread of its own, which was started so nice: how nice it is behind others, in
    /// a hurry, and its policy.
    fn behind(started: i32) -> Option<(i32, i32, i32)> {
        let thread = thread::spawn(move || {
            setpriority_process(None, started).ok()?;
            let mut nice = Priority::behind_others();
            let usual = getpriority_process(None).ok()?;
            nice.hurry();
            // SAFETY: as in is_as_usual.
            let policy = unsafe { libc::sched_getscheduler(0) };
            Some((usual, getpriority_process(None).ok()?, policy))
        });
        thread.join().ok().flatten()
    }

    #[test]
    fn it_is_behind_others_unless_it_was_told() {
        let told = Some((5, 5, libc::SCHED_OTHER));
        assert_eq!(behind(5), told);
        let own = getpriority_process(None);
        let usual = match own == Ok(0) && may_hurry() {
            true => Some((USUAL, 0, libc::SCHED_BATCH)),
            // May not be less nice later, or was told itself.
            false => own.ok().map(|own| (own, own, libc::SCHED_OTHER)),
        };
        assert_eq!(behind(own.unwrap_or(0)), usual);
    }
}
