//! Others first, as long as nothing is lost by that: while there is much to read, the
//! daemon asks for its share of the CPU, and then steps back again.
//!
//! Measured on two CPUs with 12 busy threads, Linux 6.18: a thread that is nice 10 gets
//! its turn 85 to 230 ms after it wakes up, and 20 ms of work take it two seconds; with
//! short slices it is 14 ms. A thread that is not nice, with short slices: 1.5 ms, and a
//! quarter of a second.

use std::time::{Duration, Instant};

use rustix::process::setpriority_process;

use crate::report::note;

/// How long it hurries after it had to.
const HURRY: Duration = Duration::from_secs(1);

/// The share of the CPU comes in pieces of this length, nanoseconds: short ones come
/// soon after a wake-up (Linux 6.12 and later; earlier ones ignore it).
const SLICE: u64 = 300_000;

/// How nice the daemon is (nice(2)).
#[derive(Debug)]
pub(super) struct Nice {
    /// When there is no hurry.
    usual: i32,
    /// It hurries until then.
    until: Option<Instant>,
    /// It may not hurry, and that was said.
    refused: bool,
}

impl Nice {
    /// Of this thread, and of those that it starts.
    pub(super) fn new(usual: i32) -> Self {
        let nice = Self {
            usual,
            until: None,
            refused: false,
        };
        nice.be(usual);
        short_slices(usual);
        nice
    }

    /// Changes how nice it is when there is no hurry.
    pub(super) fn set(&mut self, usual: i32) {
        if usual != self.usual {
            self.usual = usual;
            self.be(usual);
            (self.until, self.refused) = (None, false);
        }
    }

    /// There is much to read.
    pub(super) fn hurry(&mut self) {
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

    /// Steps back, if it is time to.
    pub(super) fn relax(&mut self) {
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

/// Asks for short slices. The threads that this one starts have them too. Where it may
/// not, a wake-up takes longer.
fn short_slices(nice: i32) {
    // Not to leave a policy that the service manager has set (linux/sched.h).
    const KEEP_POLICY: u64 = 8;
    let attributes = libc::sched_attr {
        size: u32::try_from(size_of::<libc::sched_attr>()).unwrap_or(0),
        sched_policy: 0,
        sched_flags: KEEP_POLICY,
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
