//! Findings on their way to be told: each with its program and its stack.

use std::{collections::HashMap, time::Duration};

use jiff::Timestamp;

use super::{
    Waiting,
    clock::monotonic_ns,
    engine::{Engine, Tell},
    programs::Program,
};
use crate::{
    judge::{Cause, Finding},
    recording::{Frame, Told},
    stack::Stack,
};

impl Engine {
    pub(super) fn gather(&mut self, tell: &mut Tell<'_>) {
        let findings = self.judge.take_findings();
        // Asked for only where it matters.
        let recorded = self.judge.writer().is_some();
        let mut doubtful = self.missed > 0;
        if self.settings.monitor.is_some() {
            doubtful = !findings.is_empty() && self.misses_more();
        } else if (recorded || !findings.is_empty()) && !doubtful {
            self.missed = self.live.missed();
            doubtful = self.missed > 0;
        }
        self.record_report(&findings);
        // Looked at once in a round, however many findings a process has.
        let mut running = HashMap::new();
        for finding in findings {
            if doubtful {
                self.judge.doubt(&finding);
                continue;
            }
            if finding.cause == Cause::PeerClosed && !self.settings.show_peer {
                continue;
            }
            let now = running
                .entry(finding.pid)
                .or_insert_with(|| Program::of(finding.pid));
            let program = self.programs.now(&finding, now);
            if !tell(&finding, &program) {
                continue;
            }
            let waiting = Waiting {
                time: wall_time(&finding),
                exe: program.exe,
                origin: program.origin,
                finding,
            };
            self.stacks.push(waiting, monotonic_ns());
        }
    }

    /// Whether the kernel did not show us calls since the last time but one: then no
    /// connection that was open meanwhile is judged, used already or not. Those to come
    /// are. The last time is not enough: of a connection that was open then, no record
    /// may have been read yet.
    fn misses_more(&mut self) -> bool {
        let missed = self.live.missed();
        let more = missed > self.missed;
        self.missed = missed;
        let doubtful = more || self.missed_before;
        self.missed_before = more;
        if doubtful {
            self.judge.doubt_open();
            // Else the next time, and until then nothing that is open is judged.
            self.missed_before |= self.live.forget_births().is_err();
        }
        doubtful
    }

    /// The next finding to be told, if its stack is as good as it gets.
    pub(crate) fn next(&mut self) -> Option<(Waiting, Stack)> {
        let (waiting, stack) = self.stacks.pop(monotonic_ns())?;
        self.record_told(&waiting, &stack);
        Some((waiting, stack))
    }

    /// The same at the end of the watch: waits for it.
    pub(crate) fn next_last(&mut self) -> Option<(Waiting, Stack)> {
        let (waiting, stack) = self.stacks.pop_last()?;
        self.record_told(&waiting, &stack);
        Some((waiting, stack))
    }

    fn record_told(&mut self, waiting: &Waiting, stack: &Stack) {
        if let Some(writer) = self.judge.writer() {
            let told = Told {
                exe: waiting.exe.clone(),
                unit: waiting.origin.unit.clone(),
                container: waiting.origin.container.as_ref().map(|it| it.id.clone()),
                ..Told::new(&waiting.finding, waiting.time.to_string(), stack)
            };
            writer.frame(&Frame::Told(Box::new(told)));
        }
    }
}

/// When it was, by the wall clock as it stands now.
fn wall_time(finding: &Finding) -> Timestamp {
    let ago = monotonic_ns().saturating_sub(finding.ending.time_ns);
    let now = Timestamp::now();
    now.checked_sub(Duration::from_nanos(ago)).unwrap_or(now)
}
