//! Others first, as long as nothing is lost by that: while the ring buffer fills,
//! the daemon asks for its share of the CPU, and then steps back again.

use std::time::{Duration, Instant};

use rustix::process::setpriority_process;

use crate::report::note;

/// How long it hurries after the kernel asked.
const HURRY: Duration = Duration::from_secs(1);

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

    /// The ring buffer fills.
    pub(super) fn hurry(&mut self) {
        if self.usual <= 0 || self.refused {
            return;
        }
        if self.until.is_none() && setpriority_process(None, 0).is_err() {
            self.refused = true;
            note(format_args!(
                "may not be less nice while much is to be read, so that events may be lost on a busy host: allow it (LimitNICE=0 in the unit), or set limits.nice to 0"
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
