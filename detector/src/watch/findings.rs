//! What the command's watch prints.

use std::io;

use anyhow::Result;
use detector_common::Stat;

use super::{Waiting, Watch};
use crate::{
    judge::Finding,
    report::{Counts, Summary, note, several, written_to},
    stack::Stack,
};

impl Watch<'_> {
    /// Shows how it goes.
    pub(super) fn show(&mut self) {
        let Self {
            status,
            engine,
            summary,
            started,
            ..
        } = self;
        status.show(|| {
            let kernel = engine.stats();
            let tally = engine.judge.tally();
            let stat = |name| kernel.get(name).copied().unwrap_or(0);
            Counts {
                seconds: started.elapsed().as_secs(),
                connections: stat("connections"),
                judged: tally.messages_judged,
                findings: summary.findings.values().sum(),
                unjudged: tally.unjudged.values().sum(),
                lost: stat("ring-full") + engine.missed,
            }
        });
    }

    pub(super) fn report(&mut self) -> Result<()> {
        while let Some((waiting, stack)) = self.engine.next() {
            self.print(&waiting, &stack)?;
        }
        Ok(())
    }

    fn print(&mut self, waiting: &Waiting, stack: &Stack) -> Result<()> {
        let reported = waiting.reported(stack, self.cli.show_query);
        let printer = &mut self.printer;
        let written = self.status.aside(|| printer.finding(&reported));
        self.written(written)
    }

    /// A reader that went away ends the watch quietly.
    fn written(&mut self, result: io::Result<()>) -> Result<()> {
        self.closed |= written_to(self.cli.reporting.output.as_deref(), result)?;
        Ok(())
    }

    pub(super) fn finish(mut self) -> Result<Summary> {
        self.status.end();
        let found: u64 = self.summary.findings.values().sum();
        if let Some(count) = self.cli.count
            && found >= count
        {
            note(format_args!(
                "stopped after {} (--count): others may have been judged and are not told",
                several(count, "finding")
            ));
        }
        let Self {
            engine,
            summary,
            cli,
            ..
        } = &mut self;
        engine.finish(&mut |finding, _| told(finding, summary, cli.count));
        while let Some((waiting, stack)) = self.engine.next_last() {
            self.print(&waiting, &stack)?;
        }
        let kernel = self.engine.live.stats();
        self.summary.seconds = self.started.elapsed().as_secs_f64();
        self.summary.not_seen = self.engine.not_seen().to_vec();
        let tally = self.engine.judge.tally();
        self.summary.take(tally, &kernel);
        self.summary.verbose = self.cli.verbose;
        let programs = &self.engine.programs;
        self.summary
            .processes
            .list(&tally.by_process, |pid| programs.identity(pid));
        let left_out = self.engine.live.left_out();
        let missed = left_out.values().sum::<u64>();
        self.summary.events_lost += missed;
        self.summary.incomplete |= missed > 0;
        for (program, count) in left_out {
            let runs = several(count, "call");
            self.summary
                .not_seen
                .push(format!("{runs} of {program}, which the kernel left out"));
        }
        self.summary.incomplete |= self.engine.unknown_records > 0;
        if self.cli.verbose {
            note(format_args!(
                "kernel side: {kernel:?}, unknown records {}",
                self.engine.unknown_records
            ));
        }
        self.record_totals(&kernel, missed)?;
        if !self.closed {
            let written = self.printer.summary(&self.summary);
            self.written(written)?;
        }
        self.note_lost(kernel.get(Stat::RingFull.name()).copied().unwrap_or(0));
        self.note_nothing_judged();
        self.note_nothing_passed();
        Ok(self.summary)
    }
}

/// Whether a finding is told, and not beyond the count that was asked for.
pub(super) fn told(finding: &Finding, summary: &mut Summary, count: Option<u64>) -> bool {
    let found: u64 = summary.findings.values().sum();
    if count.is_some_and(|count| found >= count) {
        return false;
    }
    summary.count(finding);
    true
}
