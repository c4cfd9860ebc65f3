//! What a watch tells.

use std::{io, time::Duration};

use anyhow::{Context as _, Result};
use jiff::Timestamp;

use super::{Waiting, Watch, monotonic_ns};
use crate::{
    capture::live::process,
    judge::{Cause, Finding},
    recording::{Frame, Told},
    report::{Counts, Reported, Summary, When, note},
    stack::Stack,
};

impl Watch<'_> {
    /// Shows how it goes.
    pub(super) fn show(&mut self) {
        let Self {
            status,
            live,
            judge,
            summary,
            started,
            missed,
            ..
        } = self;
        status.show(|| {
            let kernel = live.stats();
            let stat = |name| kernel.get(name).copied().unwrap_or(0);
            Counts {
                seconds: started.elapsed().as_secs(),
                connections: stat("connections"),
                judged: judge.tally().messages_judged,
                findings: summary.findings.values().sum(),
                unjudged: judge.tally().unjudged.values().sum(),
                lost: stat("ring-full") + *missed,
            }
        });
    }

    pub(super) fn report(&mut self) -> Result<()> {
        let findings = self.judge.take_findings();
        // Asked for only where it matters.
        let recorded = self.judge.writer().is_some();
        if (recorded || !findings.is_empty()) && self.missed == 0 {
            self.missed = self.live.missed();
        }
        self.record_report(&findings);
        for finding in findings {
            if self.missed > 0 {
                self.judge.doubt();
                continue;
            }
            if finding.cause == Cause::PeerClosed && !self.cli.show_peer {
                continue;
            }
            let enough = self
                .cli
                .count
                .is_some_and(|count| self.summary.findings.values().sum::<u64>() >= count);
            if enough {
                break;
            }
            self.summary.count(&finding);
            // As it is now, or as it was when the process was first seen.
            let exe = process::exe(finding.pid)
                .or_else(|| self.programs.get(&finding.pid).cloned().flatten());
            let waiting = Waiting {
                time: wall_time(&finding),
                exe,
                finding,
            };
            self.stacks.push(waiting, monotonic_ns());
        }
        while let Some((waiting, stack)) = self.stacks.pop(monotonic_ns()) {
            self.print(&waiting, &stack)?;
        }
        Ok(())
    }

    fn print(&mut self, waiting: &Waiting, stack: &Stack) -> Result<()> {
        let reported = Reported {
            finding: &waiting.finding,
            time: When::At(waiting.time),
            exe: waiting.exe.as_deref(),
            stack,
            show_query: self.cli.show_query,
        };
        if let Some(writer) = self.judge.writer() {
            let (finding, exe) = (&waiting.finding, waiting.exe.clone());
            let told = Told::new(finding, waiting.time.to_string(), exe, stack);
            writer.frame(&Frame::Told(Box::new(told)));
        }
        let printer = &mut self.printer;
        let written = self.status.aside(|| printer.finding(&reported));
        self.written(written)
    }

    /// A reader that went away ends the watch quietly.
    fn written(&mut self, result: io::Result<()>) -> Result<()> {
        match result {
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => self.closed = true,
            result => result.context("cannot write the report")?,
        }
        Ok(())
    }

    pub(super) fn finish(mut self) -> Result<Summary> {
        self.status.end();
        let found: u64 = self.summary.findings.values().sum();
        if let Some(count) = self.cli.count
            && found >= count
        {
            note(format_args!(
                "stopped after {count} findings (--count): others may have been judged and are not told"
            ));
        }
        self.drain();
        self.forget();
        // The counters first, then the records: what the counters count was
        // recorded before. Connections that began meanwhile are asked for once
        // more; those that ended meanwhile the judge knows.
        let mut open = self.live.connections();
        self.drain();
        for cookie in self.judge.cookies() {
            if !open.contains_key(&cookie)
                && let Some(counters) = self.live.connection(cookie)
            {
                open.insert(cookie, counters);
            }
        }
        self.drain();
        self.judge.finish(open);
        self.report()?;
        while let Some((waiting, stack)) = self.stacks.pop_last() {
            self.print(&waiting, &stack)?;
        }
        let kernel = self.live.stats();
        self.summary.seconds = self.started.elapsed().as_secs_f64();
        self.summary.take(self.judge.tally(), &kernel);
        let missed = self.live.missed();
        self.summary.events_lost += missed;
        self.summary.incomplete |= missed > 0;
        self.summary.incomplete |= self.unknown_records > 0;
        if self.cli.verbose {
            note(format_args!(
                "kernel side: {kernel:?}, unknown records {}",
                self.unknown_records
            ));
        }
        self.record_totals(&kernel, missed)?;
        if !self.closed {
            let written = self.printer.summary(&self.summary);
            self.written(written)?;
        }
        Ok(self.summary)
    }
}

/// When it was, by the wall clock as it stands now.
fn wall_time(finding: &Finding) -> Timestamp {
    let ago = monotonic_ns().saturating_sub(finding.ending.time_ns);
    let now = Timestamp::now();
    now.checked_sub(Duration::from_nanos(ago)).unwrap_or(now)
}
