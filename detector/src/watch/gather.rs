//! Findings on their way to be told: each with its program.

use std::{collections::HashMap, time::Duration};

use jiff::Timestamp;

use super::{
    clock::monotonic_ns, intake::Intake, programs::Program, settings::Settings,
    stacks::PendingFinding,
};
use crate::judge::{Cause, Finding};

/// Decides whether a finding is told; it knows what its process is and where it belongs.
pub(crate) type Deliver<'a> = dyn FnMut(&Finding, &Program) -> bool + 'a;

/// What decides whether findings are proved: calls that the kernel did not show us.
#[derive(Debug, Default)]
pub(super) struct Gather {
    /// How many there were.
    missed: u64,
    /// There were more of them when that was asked last.
    missed_before: bool,
}

impl Gather {
    /// Calls that the kernel did not show us, as far as is known.
    pub(super) fn missed(&self) -> u64 {
        self.missed
    }

    /// Takes what the judge found; what `deliver` wants waits to be told.
    pub(super) fn poll(
        &mut self,
        intake: &mut Intake,
        settings: &Settings,
        deliver: &mut Deliver<'_>,
    ) {
        let findings = intake.take_findings();
        let mut doubtful = self.missed > 0;
        if settings.monitor.is_some() {
            doubtful = !findings.is_empty() && self.misses_more(intake);
        // Asked for only where it matters.
        } else if !doubtful && (intake.is_recorded() || !findings.is_empty()) {
            self.missed = intake.live().missed();
            doubtful = self.missed > 0;
        }
        intake.record_report(&findings, self.missed);
        // Looked at once in a round, however many findings a process has.
        let mut running = HashMap::new();
        for finding in findings {
            if doubtful {
                intake.doubt(&finding);
                continue;
            }
            if finding.cause == Cause::PeerClosed && !settings.show_peer {
                continue;
            }
            let now = running
                .entry(finding.pid)
                .or_insert_with(|| Program::of(finding.pid));
            let program = intake.program(&finding, now);
            if !deliver(&finding, &program) {
                continue;
            }
            intake.push(PendingFinding {
                time: wall_time(&finding),
                exe: program.exe,
                origin: program.origin,
                finding,
            });
        }
    }

    /// Whether the kernel did not show us calls since the last time but one: then no
    /// connection that was open meanwhile is judged, used already or not. Those to come
    /// are. The last time is not enough: of a connection that was open then, no record
    /// may have been read yet.
    fn misses_more(&mut self, intake: &mut Intake) -> bool {
        let missed = intake.live().missed();
        let more = missed > self.missed;
        self.missed = missed;
        let doubtful = more || self.missed_before;
        self.missed_before = more;
        if doubtful {
            // Else the next time, and until then nothing that is open is judged.
            self.missed_before |= !intake.doubt_open();
        }
        doubtful
    }
}

/// When it was, by the wall clock as it stands now.
fn wall_time(finding: &Finding) -> Timestamp {
    let ago = monotonic_ns().saturating_sub(finding.ending.time_ns);
    let now = Timestamp::now();
    now.checked_sub(Duration::from_nanos(ago)).unwrap_or(now)
}
