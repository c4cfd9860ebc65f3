//! Judges a recording (`crate::recording`) again.

use std::{
    collections::{BTreeMap, HashMap, VecDeque},
    io::{self, Read},
    time::Duration,
};

use anyhow::{Context as _, Result};
use detector_common::Stat;
use jiff::Timestamp;

use super::Options;
use crate::{
    judge::{Cause, Finding, Judge},
    recording::{About, Frame, Input, Program, Reader, Told, ToldKey, Totals},
    report::{Printer, Reported, Summary, When},
    stack::Stack,
};

/// Findings that wait for what was reported with them.
const WAITING: usize = 4096;

/// What a recording comes to, as it is read.
pub(super) struct Recorded<'a> {
    options: &'a Options,
    judge: Judge,
    printer: Printer<'a>,
    about: About,
    programs: HashMap<u32, Option<String>>,
    waiting: VecDeque<(Finding, Option<Told>)>,
    summary: Summary,
    missed: u64,
    finished: bool,
    totals: Option<Totals>,
    /// Nobody reads the report any more.
    closed: bool,
}

impl<'a> Recorded<'a> {
    pub(super) fn new(options: &'a Options, printer: Printer<'a>) -> Self {
        Self {
            options,
            judge: Judge::new(),
            printer,
            about: About::default(),
            programs: HashMap::new(),
            waiting: VecDeque::new(),
            summary: Summary::default(),
            missed: 0,
            finished: false,
            totals: None,
            closed: false,
        }
    }

    /// Reads it to its end, and prints; gives also what was wrong with it.
    pub(super) fn judge(
        mut self,
        name: &str,
        input: impl Read,
        advance: &impl Fn(bool),
    ) -> Result<(Summary, Vec<String>)> {
        let cannot = || format!("cannot read {name}");
        let mut reader = Reader::new(input).with_context(cannot)?;
        while let Some(frame) = reader.next_frame().with_context(cannot)? {
            self.frame(frame)?;
            advance(false);
            if self.closed {
                break;
            }
        }
        let mut advice = Vec::new();
        let cut = !self.closed && (self.totals.is_none() || reader.torn() > 0);
        if cut {
            advice.push(format!(
                "{name} ends before the watch did, with {} bytes that are no whole frame: what came later was not judged",
                reader.torn()
            ));
        }
        if !self.finished {
            self.judge.finish([]);
            self.report()?;
        }
        while let Some((finding, told)) = self.waiting.pop_front() {
            self.print(&finding, told.as_ref())?;
        }
        self.summarize(cut);
        if !self.closed {
            let written = self.printer.summary(&self.summary);
            self.written(written)?;
        }
        Ok((self.summary, advice))
    }

    fn frame(&mut self, frame: Frame) -> Result<()> {
        match frame {
            Frame::About(about) => self.about = about,
            Frame::Input(input) => {
                self.finished |= matches!(input, Input::Finish(_));
                input.give(&mut self.judge);
                // What is told to the kernel side is in the recording.
                self.judge.take_hints().clear();
                self.judge.take_released().clear();
                self.judge.take_flawed().clear();
            }
            Frame::Program(Program { pid, exe }) => {
                self.programs.insert(pid, exe);
            }
            Frame::Report(missed) => {
                self.missed = missed;
                self.report()?;
            }
            Frame::Told(told) => {
                let place = self.waiting.iter_mut().find(|(finding, known)| {
                    known.is_none() && ToldKey::of(finding) == told.finding
                });
                if let Some((_, known)) = place {
                    *known = Some(*told);
                }
                self.print_ready()?;
            }
            Frame::Totals(totals) => self.totals = Some(totals),
        }
        Ok(())
    }

    /// Takes the findings, as a watch does.
    fn report(&mut self) -> Result<()> {
        for finding in self.judge.take_findings() {
            if self.missed > 0 {
                self.judge.doubt();
                continue;
            }
            if finding.cause == Cause::PeerClosed && !self.options.show_peer {
                continue;
            }
            self.summary.count(&finding);
            self.waiting.push_back((finding, None));
        }
        while self.waiting.len() > WAITING {
            let Some((finding, told)) = self.waiting.pop_front() else {
                break;
            };
            self.print(&finding, told.as_ref())?;
        }
        Ok(())
    }

    /// Prints those of which all is known.
    fn print_ready(&mut self) -> Result<()> {
        while let Some((_, Some(_))) = self.waiting.front() {
            if let Some((finding, told)) = self.waiting.pop_front() {
                self.print(&finding, told.as_ref())?;
            }
        }
        Ok(())
    }

    fn print(&mut self, finding: &Finding, told: Option<&Told>) -> Result<()> {
        let stack = told.map_or_else(
            || Stack::none("it was not reported when it was recorded"),
            Told::stack,
        );
        let exe = match told {
            Some(told) => told.exe.as_deref(),
            None => self.programs.get(&finding.pid).and_then(Option::as_deref),
        };
        let reported = Reported {
            finding,
            time: self.when(finding, told),
            exe,
            unit: told.and_then(|told| told.unit.as_deref()),
            container: told.and_then(|told| told.container.as_deref()),
            stack: &stack,
            show_query: self.options.show_query,
        };
        let written = self.printer.finding(&reported);
        self.written(written)
    }

    /// As it was reported, or by when the recording began.
    fn when(&self, finding: &Finding, told: Option<&Told>) -> When {
        let told = told.and_then(|told| told.time.parse::<Timestamp>().ok());
        let reckoned = || {
            let begun = self.about.begun.parse::<Timestamp>().ok()?;
            let since = finding
                .ending
                .time_ns
                .checked_sub(self.about.monotonic_ns)?;
            begun.checked_add(Duration::from_nanos(since)).ok()
        };
        told.or_else(reckoned).map_or(When::Unknown, When::At)
    }

    /// A reader that went away ends the analysis quietly.
    fn written(&mut self, result: io::Result<()>) -> Result<()> {
        match result {
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => self.closed = true,
            result => result.context("cannot write the report")?,
        }
        Ok(())
    }

    fn summarize(&mut self, cut: bool) {
        let totals = self.totals.take().unwrap_or_default();
        let kernel: BTreeMap<_, _> = Stat::ALL
            .iter()
            .filter_map(|stat| Some((stat.name(), *totals.kernel.get(stat.name())?)))
            .collect();
        let summary = &mut self.summary;
        summary.take(self.judge.tally(), &kernel);
        summary.seconds = totals.seconds;
        summary.events_lost += totals.missed;
        summary.incomplete |= cut || totals.missed > 0 || totals.unknown_records > 0;
        summary.command_status = totals.command_status;
    }
}
