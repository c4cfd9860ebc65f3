//! What the command's watch prints.

use std::{
    io::{self, IsTerminal as _, Write as _},
    time::Duration,
};

use anyhow::Result;
use detector_common::Stat;

use super::{
    PendingFinding,
    events::{Watch, accepts},
};
use crate::{
    report::{
        Counts, Format, Outcome, Place, Seen, Summary, aside, note, note_wrapped, several,
        written_to,
    },
    stack::Stack,
};

/// How long a reader may take to go that the terminal interrupts as it does us.
const GOES: Duration = Duration::from_millis(100);

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
            let tally = engine.tally();
            let stat = |name| kernel.get(name).copied().unwrap_or(0);
            Counts {
                seconds: started.elapsed().as_secs(),
                connections: stat("connections"),
                judged: tally.messages_judged,
                findings: summary.findings.values().sum(),
                unjudged: tally.unjudged.values().sum(),
                lost: stat("ring-full") + engine.missed(),
            }
        });
    }

    pub(super) fn report(&mut self) -> Result<()> {
        while let Some((waiting, stack)) = self.engine.next() {
            self.print(&waiting, &stack)?;
        }
        Ok(())
    }

    fn print(&mut self, waiting: &PendingFinding, stack: &Stack) -> Result<()> {
        let reported = waiting.reported(stack, self.options.reporting.show_query);
        let newline = self.needs_newline();
        let printer = &mut self.printer;
        let written = self.status.aside(|| {
            if newline {
                printer.newline()?;
            }
            printer.finding(&reported)
        });
        self.written(written)
    }

    /// Whether the command may have left a line unended where the report goes.
    fn needs_newline(&self) -> bool {
        !self.options.command.is_empty() && self.place.needs_newline(self.printer.format())
    }

    /// Ends the watch where a pager was closed: nobody would see what comes of it, and the
    /// shell waits for us. Without a terminal it goes on until there is something to say.
    pub(super) fn look_for_the_reader(&mut self) {
        if io::stderr().is_terminal() && self.place.is_abandoned(Duration::ZERO) {
            self.closed = true;
        }
    }

    /// Prints the rest for people on standard error where nobody reads it elsewhere.
    fn turn_to_stderr(&mut self) {
        let left = self.closed && self.printer.format() == Format::Table;
        if left {
            self.closed = false;
            self.place = Place::none();
            self.printer.redirect_to_stderr();
            if self.interrupted {
                // Behind the ^C that a terminal shows.
                aside(format_args!(""));
            }
            note(format_args!("the report has no reader any more; its end:"));
        }
    }

    /// Prints the summary, on standard error if need be.
    fn print_summary(&mut self) -> Result<()> {
        if !self.closed {
            let newline = self.needs_newline();
            let (printer, summary) = (&mut self.printer, &self.summary);
            let ended = match newline {
                true => printer.newline(),
                false => Ok(()),
            };
            let written = ended.and_then(|()| printer.summary(summary));
            self.written(written)?;
        }
        if !self.closed {
            self.place.note_end(&self.summary);
            return Ok(());
        }
        note(format_args!("the report has no reader any more; in short:"));
        // As with notes: it is no result.
        drop(write!(io::stderr(), "{}", self.summary));
        Ok(())
    }

    /// A reader that went away ends the watch quietly.
    fn written(&mut self, result: io::Result<()>) -> Result<()> {
        self.closed |= written_to(self.options.reporting.output.as_deref(), result)?;
        Ok(())
    }

    /// The end: what is open is judged, and all is said.
    pub(super) fn finish(mut self) -> Result<(Summary, Outcome)> {
        self.status.end();
        let wait = match self.interrupted {
            true => GOES,
            false => Duration::ZERO,
        };
        self.closed |= self.place.is_abandoned(wait);
        self.turn_to_stderr();
        let found: u64 = self.summary.findings.values().sum();
        if let Some(count) = self.options.count
            && found >= count
        {
            note(format_args!(
                "stopped after {} (--count): others may have been judged and were not shown",
                several(count, "finding")
            ));
        }
        let Self {
            engine,
            summary,
            options,
            ..
        } = &mut self;
        engine.finish(&mut |finding, _| accepts(finding, summary, options.count));
        while let Some((waiting, stack)) = self.engine.next_last() {
            self.print(&waiting, &stack)?;
        }
        let kernel = self.engine.stats();
        self.summary.seconds = self.started.elapsed().as_secs_f64();
        self.summary.not_seen = self.engine.not_seen().to_vec();
        let tally = self.engine.tally();
        self.summary.take(tally, &kernel);
        self.summary.verbose = self.options.verbose;
        self.summary
            .processes
            .list(&tally.by_process, |pid| self.engine.identity(pid));
        let left_out = self.engine.live().left_out();
        let missed = left_out.values().sum::<u64>();
        self.summary.events_lost += missed;
        self.summary.incomplete |= missed > 0;
        for (program, count) in left_out {
            let runs = several(count, "call");
            self.summary
                .not_seen
                .push(format!("{runs} of {program}, which the kernel left out"));
        }
        self.summary.incomplete |= self.engine.unknown_records() > 0;
        if self.options.verbose {
            note(format_args!(
                "kernel side: {kernel:?}, unknown records {}",
                self.engine.unknown_records()
            ));
        }
        self.record_totals(&kernel, missed)?;
        self.print_summary()?;
        self.note_lost(kernel.get(Stat::RingFull.name()).copied().unwrap_or(0));
        self.note_nothing_passed();
        if let Some(said) = self.summary.unjudged_traffic(Seen::Watch) {
            note_wrapped(&format!("{said}{}", self.masters()));
        }
        let outcome = Outcome::of(&self.summary, self.asked);
        if let Some(whose) = &outcome.whose {
            note_wrapped(whose);
        }
        Ok((self.summary, outcome))
    }
}
