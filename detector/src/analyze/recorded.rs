//! Judges a recording (`crate::recording`) again.

use std::{
    collections::{BTreeMap, HashMap, VecDeque},
    io::{self, Read},
    time::Duration,
};

use anyhow::{Context as _, Result};
use detector_common::Stat;
use jiff::Timestamp;

use super::{Advice, Options};
use crate::{
    judge::{Cause, Fault, Finding, Judge, Role},
    recording::{About, FindingKey, Frame, Input, Program, Reader, ReportedFinding, Totals},
    report::{Identity, Printer, Reported, Seen, Summary, When, written_to},
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
    waiting: VecDeque<(Finding, Option<ReportedFinding>)>,
    summary: Summary,
    missed: u64,
    finished: bool,
    /// The first and the latest time that were read of, `CLOCK_MONOTONIC`
    /// nanoseconds.
    times_ns: Option<(u64, u64)>,
    /// As [`Reader::knows_answers`].
    knows_answers: bool,
    /// Its end is missing.
    cut: bool,
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
            times_ns: None,
            knows_answers: true,
            cut: false,
            totals: None,
            closed: false,
        }
    }

    /// Reads it to its end, or as far as it can be read, and prints; gives also
    /// what was wrong with it.
    pub(super) fn judge(
        mut self,
        name: &str,
        input: impl Read,
        advance: &impl Fn(bool),
    ) -> Result<(Summary, Advice)> {
        let mut reader = Reader::new(input).with_context(|| format!("cannot read {name}"))?;
        self.knows_answers = reader.knows_answers();
        let damage = loop {
            match reader.next_frame() {
                Ok(Some(frame)) => self.frame(frame)?,
                Ok(None) => break None,
                Err(error) => break Some(error),
            }
            advance(false);
            if self.closed {
                break None;
            }
        };
        let mut advice = Advice::default();
        let cut = !self.closed && (damage.is_some() || self.totals.is_none());
        self.cut = cut;
        let seconds = self.covered();
        match &damage {
            _ if !cut => {}
            Some(error) => advice.reasons.push(format!(
                "{name}: {error}; the first {seconds:.1} s of the watch were read and judged, what came later was not"
            )),
            None => advice.reasons.push(format!(
                "{name} ends before the watch did{}: its first {seconds:.1} s were read and judged, what came later is missing",
                match reader.torn() {
                    0 => String::new(),
                    1 => ", with 1 byte that is no whole frame".to_owned(),
                    torn => format!(", with {torn} bytes that are no whole frame"),
                }
            )),
        }
        if !self.finished {
            self.judge.finish([]);
            self.report()?;
        }
        while let Some((finding, told)) = self.waiting.pop_front() {
            self.print(&finding, told.as_ref())?;
        }
        self.summarize();
        advice
            .reasons
            .extend(self.summary.unjudged_traffic(Seen::Watch));
        if !self.closed {
            let written = self.printer.summary(&self.summary);
            self.written(written)?;
        }
        Ok((self.summary, advice))
    }

    /// Seconds of the watch that were read, from the first record on.
    fn covered(&self) -> f64 {
        let (first, last) = self.times_ns.unwrap_or_default();
        Duration::from_nanos(last.saturating_sub(first)).as_secs_f64()
    }

    fn frame(&mut self, frame: Frame) -> Result<()> {
        match frame {
            Frame::About(about) => self.about = about,
            Frame::Input(input) => {
                self.finished |= matches!(input, Input::Finish(_));
                let (first, last) = self.times_ns.unwrap_or((u64::MAX, 0));
                if let time @ 1.. = input.time_ns() {
                    self.times_ns = Some((first.min(time), last.max(time)));
                }
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
            Frame::ReportedFinding(told) => {
                let place = self.waiting.iter_mut().find(|(finding, known)| {
                    known.is_none() && FindingKey::of(finding) == told.finding
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
        for mut finding in self.judge.take_findings() {
            let is_request = finding.message.role == Role::Request;
            if is_request && finding.fault == Fault::Local && !self.knows_answers {
                finding.fault = Fault::Unknown;
            }
            if self.missed > 0 {
                self.judge.doubt(&finding);
                continue;
            }
            if finding.cause == Cause::PeerClosed && !self.options.reporting.show_peer {
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

    fn print(&mut self, finding: &Finding, told: Option<&ReportedFinding>) -> Result<()> {
        let stack = told.map_or_else(
            || {
                Stack::none(if self.cut {
                    "the recording ends before it"
                } else {
                    "it was not reported when it was recorded"
                })
            },
            ReportedFinding::stack,
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
            show_query: self.options.reporting.show_query,
            of_log: false,
            assumes: &[],
        };
        let written = self.printer.finding(&reported);
        self.written(written)
    }

    /// As it was reported, or by when the recording began.
    fn when(&self, finding: &Finding, told: Option<&ReportedFinding>) -> When {
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
        self.closed |= written_to(self.options.reporting.output.as_deref(), result)?;
        Ok(())
    }

    fn summarize(&mut self) {
        let cut = self.cut;
        let seconds = self.covered();
        let totals = self.totals.take().unwrap_or_default();
        let kernel: BTreeMap<_, _> = Stat::ALL
            .iter()
            .filter_map(|stat| Some((stat.name(), *totals.kernel.get(stat.name())?)))
            .collect();
        let summary = &mut self.summary;
        let tally = self.judge.tally();
        summary.take(tally, &kernel);
        let known: HashMap<_, _> = totals.processes.iter().map(|it| (it.pid, it)).collect();
        let programs = &self.programs;
        summary.processes.list(&tally.by_process, |pid| {
            let known = known.get(&pid);
            let exe = known.and_then(|it| it.exe.clone());
            Identity {
                pid: Some(pid),
                tid: None,
                comm: known.and_then(|it| it.comm.clone()),
                exe: exe.or_else(|| programs.get(&pid).cloned().flatten()),
            }
        });
        summary.seconds = totals.seconds;
        summary.not_seen = totals.not_seen;
        summary.events_lost += totals.missed;
        if cut {
            summary.seconds = seconds;
            summary.cut = true;
        }
        summary.incomplete |= cut || totals.missed > 0 || totals.unknown_records > 0;
        summary.command_status = totals.command_status;
    }
}

#[cfg(test)]
mod tests {
    use std::{
        cell::RefCell,
        io::{Cursor, Write},
        rc::Rc,
    };

    use super::*;
    use crate::{
        analyze::judge,
        judge::wire::short_response,
        recording::{RecordedJudge, Writer, unpacked},
    };

    #[derive(Clone, Default)]
    struct Bytes(Rc<RefCell<Vec<u8>>>);

    impl Write for Bytes {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.borrow_mut().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    /// The same, not packed.
    fn recording() -> (Vec<u8>, usize) {
        let (packed, without_end) = packed_recording();
        let without_end = unpacked(&packed[..without_end]).len();
        (unpacked(&packed), without_end)
    }

    /// A recording of a watch that found a message cut short, and how long it is
    /// without its end.
    fn packed_recording() -> (Vec<u8>, usize) {
        let bytes = Bytes::default();
        let about = About {
            begun: "2026-11-25T00:00:00Z".to_owned(),
            ..About::default()
        };
        let writer = Writer::new(Box::new(bytes.clone()), about).expect("written");
        let mut feed = RecordedJudge::new(Some(writer));
        for record in short_response() {
            feed.take(record);
        }
        feed.finish([]);
        let writer = feed.writer().expect("there");
        writer.report(0);
        writer.finish().expect("written");
        let without_end = bytes.0.borrow().len();
        writer.frame(&Frame::Totals(Totals {
            seconds: 9.5,
            kernel: BTreeMap::from([("connections".to_owned(), 1)]),
            not_seen: vec!["a thing".to_owned()],
            ..Totals::default()
        }));
        writer.finish().expect("written");
        (bytes.0.take(), without_end)
    }

    /// The summary, what is said of the recording, and what is printed.
    fn judged(recording: Vec<u8>) -> (Summary, Vec<String>, String) {
        let options = Options {
            log: "watch.rec".into(),
            ..Options::default()
        };
        let mut out = Vec::new();
        let recording = Cursor::new(recording);
        let (summary, advice) = judge(
            &options,
            "watch.rec",
            recording,
            Box::new(&mut out),
            None,
            |_| {},
        )
        .expect("judged");
        let out = String::from_utf8(out).expect("text");
        (summary, advice.reasons, out)
    }

    #[test]
    fn a_whole_one_gives_what_the_watch_gave() {
        let (summary, said, out) = judged(recording().0);
        assert_eq!(said, [""; 0]);
        assert_eq!((summary.exit_status(), summary.connections), (1, 1));
        assert_eq!(summary.not_seen, ["a thing"]);
        assert!(
            out.contains("watched 9.5 s: 1 connection, 1 message judged"),
            "{out}"
        );
    }

    #[test]
    fn one_that_was_cut_off_says_what_was_read() {
        let (whole, without_end) = recording();
        for length in [without_end, without_end + 3, whole.len() - 1] {
            let (summary, said, out) = judged(whole[..length].to_vec());
            assert!(summary.cut && summary.incomplete);
            // What was found before is told.
            assert_eq!((summary.exit_status(), summary.findings.len()), (1, 1));
            assert!(out.contains("premature-shutdown"), "{out}");
            assert!(
                out.contains("no stack: the recording ends before it"),
                "{out}"
            );
            assert!(
                out.contains(
                    "read the first 0.0 s of a watch: connections not known, 1 message judged"
                ),
                "{out}"
            );
            assert!(
                said.concat()
                    .contains("watch.rec ends before the watch did"),
                "{said:?}"
            );
        }
    }

    #[test]
    fn one_that_is_damaged_is_judged_up_to_there() {
        let (whole, without_end) = recording();
        // The kind of the last frame, and its length.
        for (at, byte) in [(without_end + 4, 99), (without_end + 3, 0xff)] {
            let mut damaged = whole.clone();
            damaged[at] = byte;
            let (summary, said, out) = judged(damaged);
            assert!(summary.cut && summary.incomplete);
            assert_eq!((summary.exit_status(), summary.findings.len()), (1, 1));
            assert!(out.contains("events lost   not known"), "{out}");
            let place = format!("damaged at byte {without_end}");
            assert!(said.concat().contains(&place), "{said:?}");
        }
    }

    #[test]
    fn packed_or_not_it_is_the_same() {
        let (summary, said, out) = judged(packed_recording().0);
        let plain = judged(recording().0);
        assert_eq!((summary.exit_status(), said, out), (1, plain.1, plain.2));
        assert!(packed_recording().0.len() < recording().0.len() / 4);
    }

    /// What a crash leaves: the last block is not whole, or not there.
    #[test]
    fn one_that_is_packed_is_judged_up_to_its_last_whole_block() {
        let (whole, without_end) = packed_recording();
        for length in [without_end, without_end + 3, whole.len() - 1] {
            let (summary, said, out) = judged(whole[..length].to_vec());
            assert!(summary.cut && summary.incomplete);
            assert_eq!((summary.exit_status(), summary.findings.len()), (1, 1));
            assert!(out.contains("premature-shutdown"), "{out}");
            assert!(
                said.concat().contains("ends before the watch did"),
                "{said:?}"
            );
        }
        let mut damaged = whole;
        if let Some(last) = damaged.last_mut() {
            *last ^= 1;
        }
        let (summary, said, _) = judged(damaged);
        assert!(summary.cut && summary.incomplete);
        assert_eq!((summary.exit_status(), summary.findings.len()), (1, 1));
        assert!(
            said.concat().contains("it is damaged: the block"),
            "{said:?}"
        );
    }

    #[test]
    fn a_frame_that_is_too_large_is_refused_before_there_is_room_for_it() {
        let (plain, without_end) = recording();
        for (kind, length) in [(2, 1_u32 << 25), (7, 1 << 29), (99, 1 << 25)] {
            let mut bomb = plain[..without_end].to_vec();
            bomb.extend_from_slice(&length.to_le_bytes());
            bomb.push(kind);
            let (summary, said, _) = judged(bomb);
            assert!(summary.cut, "{said:?}");
            assert!(
                said.concat()
                    .contains(&format!("a frame of {length} bytes")),
                "{said:?}"
            );
        }
    }
}
