//! Judges a log of strace, or a recording: joins capture, judge and report, as
//! [`crate::watch`] does for live ones.
//!
//! | file | what it does |
//! | --- | --- |
//! | `options.rs` | what a command asks of it |
//! | `input.rs`   | opens the log, compressed or not |
//! | `encoding.rs`, `paste.rs` | logs that went through other programs |
//! | `joined.rs`  | connections that were open before the log began |
//! | `proof.rs`   | whether what the log shows is proof |
//! | `recorded.rs` | judges a recording instead |
//! | `advice.rs`  | what to run when the log shows too little |

mod advice;
mod encoding;
mod input;
mod joined;
mod options;
mod paste;
mod proof;
mod recorded;

use std::{
    collections::{BTreeMap, HashMap},
    io::{self, Read, Write},
    time::Duration,
};

use anyhow::{Result, bail};
use indicatif::ProgressBar;
use jiff::Timestamp;

pub(crate) use self::advice::quoted;
pub use self::{advice::Advice, options::Options};
use self::{
    advice::{CUT, How},
    encoding::{Encoding, Utf16, encoding},
    input::{Broken, Input},
    joined::Joined,
    paste::{Paste, Pasted, looks_like},
    proof::{Lacks, Proof, may_be_refuted, proof},
    recorded::Recorded,
};
use crate::{
    capture::strace::{Evidence, LineText, Lines, Meaning, Replay, Step, Sure},
    judge::{Cause, Finding, Judge, Unjudged},
    recording::MAGIC,
    report::{
        Identity, LogSummary, Place, Printer, Reported, Seen, Summary, When, create_file,
        written_to,
    },
    stack::Stack,
};

/// Lines of which none is strace's before a file is refused.
const PATIENCE: u64 = 10_000;

/// Bytes by which it is learned how a log was pasted.
const SAMPLE: u64 = 1 << 16;

/// How often the progress is shown, in lines.
const PROGRESS: u64 = 1 << 14;

/// Reads the log to its end, prints what was found and the summary.
///
/// # Errors
///
/// If the log cannot be read or is none, or the report cannot be written. Each
/// error's text says what to do next.
pub fn run(options: &Options) -> Result<Summary> {
    let input = Input::open(&options.log)?;
    let (name, progress, read) = (input.name.clone(), input.progress(), input.bytes_read());
    let out: Box<dyn Write> = match &options.reporting.output {
        Some(path) => Box::new(create_file(path, Some(&options.log))?),
        None => Box::new(Beside(io::stdout(), progress.clone())),
    };
    let advance = |over: bool| {
        if over {
            progress.finish_and_clear();
        } else {
            progress.set_position(read.get());
        }
    };
    let columns = options.reporting.columns();
    let (summary, advice) = judge(options, &name, input, out, columns, advance)?;
    Place::of(options.reporting.output.as_deref()).note_end(&summary);
    advice.say();
    Ok(summary)
}

/// Judges the log that `input` gives, and writes the report to `out`; gives
/// also what to do about what the log does not show. `name` is what to call the
/// log; `columns` are the terminal's, if it is one; `advance` is called now and
/// then, and with `true` at the end.
///
/// # Errors
///
/// As [`run`].
pub fn judge<'a>(
    options: &'a Options,
    name: &str,
    mut input: impl Read,
    out: Box<dyn Write + 'a>,
    columns: Option<u16>,
    advance: impl Fn(bool),
) -> Result<(Summary, Advice)> {
    let printer = options.reporting.printer(out, columns);
    let mut start = Vec::new();
    let begun = input
        .by_ref()
        .take(MAGIC.len() as u64)
        .read_to_end(&mut start);
    // Nothing that could be judged.
    if let Err(error) = begun {
        bail!(input::unread(name, &error, None));
    }
    let input = io::Cursor::new(start.clone()).chain(input);
    if start == MAGIC {
        let judged = Recorded::new(options, printer).judge(name, input, &advance);
        advance(true);
        return judged;
    }
    let (sample, input) = sampled(input);
    let mut analysis = Analysis {
        options,
        paste: Paste::learn(&sample),
        sample,
        replay: Replay::default(),
        joined: Joined::default(),
        judge: Judge::new(),
        printer,
        summary: Summary::default(),
        held: Vec::new(),
        let_go: 0,
        lacks: Lacks::default(),
        shown: Evidence::default(),
        cut: None,
        untraced: 0,
        not_judged: 0,
        not_by_peers: 0,
        no_messages: 0,
        hidden: 0,
        not_judged_by: HashMap::new(),
        assumed: false,
        stem: None,
        closed: false,
    };
    if options.all_traced {
        analysis.replay.is_all_traced();
    }
    // strace -ff adds a thread's number to the name.
    let path = options.log.to_str().unwrap_or_default();
    if let Some((stem, number)) = path.rsplit_once('.')
        && !number.is_empty()
        && number.bytes().all(|byte| byte.is_ascii_digit())
    {
        analysis.replay.is_one_of_several();
        analysis.stem = Some(stem);
    }
    let read = analysis.read(name, input, &advance);
    advance(true);
    read?;
    analysis.finish()
}

/// Writes where a bar shows the progress, perhaps on the same terminal: the bar makes room.
struct Beside<W>(W, ProgressBar);

impl<W: Write> Write for Beside<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let Self(out, progress) = self;
        progress.suspend(|| out.write(bytes))
    }

    fn flush(&mut self) -> io::Result<()> {
        let Self(out, progress) = self;
        progress.suspend(|| out.flush())
    }
}

/// The first bytes of a log, and all of it, as UTF-8.
fn sampled<'a>(mut input: impl Read + 'a) -> (Vec<u8>, Box<dyn Read + 'a>) {
    let mut start = Vec::new();
    let broken = input.by_ref().take(SAMPLE).read_to_end(&mut start).err();
    let (encoding, skip) = encoding(&start);
    start.drain(..skip);
    // What stopped it is told when it is read.
    let rest: Box<dyn Read + 'a> = match broken {
        Some(error) => Box::new(Broken(Some(error))),
        None => Box::new(input),
    };
    if encoding == Encoding::Pod {
        let whole = io::Cursor::new(start.clone()).chain(rest);
        return (start, Box::new(whole));
    }
    let mut sample = Vec::new();
    let decoded = Utf16::new(start.as_slice(), encoding).read_to_end(&mut sample);
    debug_assert!(decoded.is_ok(), "memory can be read");
    let whole = io::Cursor::new(start).chain(rest);
    (sample, Box::new(Utf16::new(whole, encoding)))
}

struct Analysis<'a> {
    options: &'a Options,
    /// What stands before the lines, and its first bytes.
    paste: Paste,
    sample: Vec<u8>,
    replay: Replay,
    joined: Joined,
    judge: Judge,
    printer: Printer<'a>,
    summary: Summary,
    /// Findings that are none if strace was not asked for all calls that matter.
    held: Vec<Held>,
    /// Those that were let go, since there were too many.
    let_go: u64,
    /// What strace was not asked for, of those that were none.
    lacks: Lacks,
    /// What the log had shown when they were looked through.
    shown: Evidence,
    /// What is to be said of the rest, where the log could not be read to its end.
    cut: Option<String>,
    /// Findings that were none: messages in all, those that count as judged, and
    /// those that count as the peer's.
    untraced: u64,
    not_judged: u64,
    not_by_peers: u64,
    /// Findings of what is no message.
    no_messages: u64,
    /// Findings of what is a message only if a request was received, of which the log
    /// does not show the bytes.
    hidden: u64,
    /// By process, those that count as judged.
    not_judged_by: HashMap<u32, u64>,
    /// A finding rests on calls that are in no line.
    assumed: bool,
    /// How the names of the files of strace -ff begin, if it is one of those.
    stem: Option<&'a str>,
    /// Nobody reads the report any more.
    closed: bool,
}

/// A finding that is not yet known to be one, and the program of its process then.
struct Held {
    /// Its process is the one that the log's is counted by.
    finding: Finding,
    /// The number of that process, where the log tells it.
    number: Option<u32>,
    exe: Option<String>,
}

/// Most findings that are held; a log that shows a call shows it early.
const HELD: usize = 10_000;

impl Analysis<'_> {
    fn read(&mut self, name: &str, input: impl Read, advance: &impl Fn(bool)) -> Result<()> {
        let mut lines = Lines::new(input);
        loop {
            let line = match lines.next_line() {
                Ok(Some(line)) => line,
                Ok(None) => break,
                // What was read of it is a log all the same.
                Err(error) => {
                    let lines = self.replay.counts().lines;
                    self.cut = Some(input::unread(name, &error, Some(lines)));
                    self.replay.torn();
                    break;
                }
            };
            self.line(line);
            if self.replay.has_steps() {
                self.steps()?;
                if self.closed {
                    break;
                }
            }
            let counts = self.replay.counts();
            if counts.lines.is_multiple_of(PROGRESS) {
                advance(false);
            }
            if counts.lines == PATIENCE && counts.understood == 0 {
                break;
            }
        }
        let counts = self.replay.counts();
        if counts.lines == 0 {
            bail!("{name} is empty; {}", advice::make_one());
        }
        if counts.understood == 0
            && let Some(cut) = &self.cut
        {
            bail!("{cut}");
        }
        if counts.understood == 0 && !self.closed {
            let read = match counts.lines {
                1 => "its one line is no system call".to_owned(),
                lines => format!("none of its first {lines} lines is a system call"),
            };
            if let Some(what) = looks_like(&self.sample) {
                bail!("{name} is no log of strace: {read}; {what}");
            }
            bail!("{name} is no log of strace: {read}; {}", advice::make_one());
        }
        Ok(())
    }

    /// Takes a line, without what others put before it.
    fn line(&mut self, line: LineText<'_>) {
        let LineText::Whole(text) = line else {
            return self.replay.line(line);
        };
        let before = self.replay.counts().unreadable;
        match self.paste.line(text) {
            Pasted::Line(text) => self.replay.line(LineText::Whole(&text)),
            Pasted::Foreign => self.replay.line(LineText::Whole(b"")),
            Pasted::Gap(text) => {
                self.replay.lacks_lines();
                self.replay.line(LineText::Whole(&text));
            }
            Pasted::Unreadable => self.replay.line(LineText::TooLong),
        }
        if self.replay.counts().unreadable > before {
            self.paste.unreadable(text);
        }
    }

    /// Lets the judge have what the last line came to.
    fn steps(&mut self) -> Result<()> {
        let Self {
            replay,
            joined,
            judge,
            ..
        } = self;
        for step in replay.take_steps() {
            joined.take(step, |step| match step {
                Step::Record(seen) => judge.take(seen.record),
                Step::Settle(cookie, counters) => judge.settle(cookie, Some(&counters)),
                Step::Lost(cookie) => judge.release(cookie, None),
                Step::Unseen(cookie, counters) => judge.release(cookie, Some(&counters)),
            });
        }
        for (cookie, hint) in judge.take_hints() {
            replay.hint(cookie, hint.next);
        }
        for cookie in judge.take_flawed() {
            if let Some(counters) = replay.counters(cookie) {
                judge.note(cookie, counters, replay.now());
            }
        }
        // Sockets are let go of by the log itself.
        judge.take_released().clear();
        self.report()
    }

    fn report(&mut self) -> Result<()> {
        // Looked through only when there is something new to go by: there may be many.
        let shown = self.replay.evidence();
        if std::mem::replace(&mut self.shown, shown) != shown {
            for held in std::mem::take(&mut self.held) {
                self.tell_or_hold(held)?;
            }
        }
        for finding in self.judge.take_findings() {
            let exe = self.replay.program(finding.pid).map(str::to_owned);
            let number = self.replay.process_number(finding.pid, Some(finding.tid));
            self.tell_or_hold(Held {
                finding,
                number,
                exe,
            })?;
        }
        Ok(())
    }

    fn tell_or_hold(&mut self, held: Held) -> Result<()> {
        let proof = proof(&held.finding, &self.replay);
        let full = self.held.len() >= HELD;
        if proof == Proof::Proven && (full || !may_be_refuted(&held.finding, &self.replay)) {
            return self.tell(&held, &[]);
        }
        if self.held.len() < HELD {
            self.held.push(held);
        } else {
            self.let_go += 1;
            self.not_judged_of(held.finding.pid);
            if let Proof::No(lacks) = proof {
                self.lacks = self.lacks.and(lacks);
            }
        }
        Ok(())
    }

    /// The log is over, and those that are held are findings now, or none.
    fn release(&mut self) -> Result<()> {
        for held in std::mem::take(&mut self.held) {
            match proof(&held.finding, &self.replay) {
                Proof::Proven => self.tell(&held, &[])?,
                Proof::If(calls) => self.tell(&held, &calls)?,
                Proof::No(lacks) => {
                    self.lacks = self.lacks.and(lacks);
                    self.take_back(&held.finding);
                    self.untraced += 1;
                }
                Proof::NoMessage => {
                    self.take_back(&held.finding);
                    if held.finding.reads_hidden {
                        self.hidden += 1;
                    } else {
                        self.no_messages += 1;
                    }
                }
            }
        }
        Ok(())
    }

    /// It is no finding, and was counted as one.
    fn take_back(&mut self, finding: &Finding) {
        if !matches!(finding.cause, Cause::Overrun | Cause::DeliveryAtRisk) {
            self.not_judged_of(finding.pid);
        }
        match finding.cause {
            // Counted when they were whole, and they are.
            Cause::Overrun | Cause::DeliveryAtRisk => {}
            Cause::PeerClosed => {
                self.not_judged += 1;
                self.not_by_peers += 1;
            }
            _ => self.not_judged += 1,
        }
    }

    fn not_judged_of(&mut self, process: u32) {
        *self.not_judged_by.entry(process).or_default() += 1;
    }

    fn tell(&mut self, held: &Held, assumes: &[&'static str]) -> Result<()> {
        let finding = &held.finding;
        if finding.cause == Cause::PeerClosed && !self.options.reporting.show_peer {
            return Ok(());
        }
        self.assumed |= !assumes.is_empty();
        let number = self.replay.process_number(finding.pid, Some(finding.tid));
        let told = Finding {
            pid: held.number.or(number).unwrap_or(0),
            ..finding.clone()
        };
        // A thread that is not known to be that process's counts by itself.
        let known = self.replay.process_number(finding.pid, None).is_some();
        let counted = if told.pid == 0 && known {
            finding.tid
        } else {
            finding.pid
        };
        self.summary.count(&Finding {
            pid: counted,
            ..finding.clone()
        });
        let reported = Reported {
            finding: &told,
            time: when(finding, self.replay.meaning()),
            exe: held.exe.as_deref(),
            unit: None,
            container: None,
            stack: &Stack::default(),
            show_query: self.options.reporting.show_query,
            of_log: true,
            assumes,
        };
        let written = self.printer.finding(&reported);
        self.written(written)
    }

    /// A reader that went away ends the analysis quietly.
    fn written(&mut self, result: io::Result<()>) -> Result<()> {
        self.closed |= written_to(self.options.reporting.output.as_deref(), result)?;
        Ok(())
    }

    fn finish(mut self) -> Result<(Summary, Advice)> {
        let open = self.replay.finish();
        self.steps()?;
        self.joined.finish(|seen| self.judge.take(seen.record));
        self.judge.finish(open);
        self.report()?;
        self.release()?;
        self.summarize();
        if !self.closed {
            let written = self.printer.summary(&self.summary);
            self.written(written)?;
        }
        let counts = self.replay.counts();
        let how = How {
            cut: self.cut.as_deref(),
            stem: self.stem,
            by_file: self.replay.evidence().is_by_file(),
            opens: self.replay.evidence().opens(),
            lacks: self.lacks,
            unanswered: self.unanswered() > 0,
            no_sockets: !self.replay.has_sockets(),
            headless: self.headless(),
            silent: self.silent(),
            joined: self.joined_untold(),
            resembles: self.replay.evidence().resembles_recommended(),
            assumed: self.assumed,
            typographic: self.paste.typographic,
            mixed: self.paste.mixed.as_deref(),
            log: &self.options.log.to_string_lossy(),
        };
        let mut advice = advice::advice(counts, self.judge.tally(), how);
        let nothing = self.summary.unjudged_traffic(Seen::Log);
        advice.reasons.splice(0..0, nothing);
        // Whoever is told to trace again has no answer yet.
        self.summary.incomplete |= !advice.commands.is_empty();
        Ok((self.summary, advice))
    }

    /// Connections that ended without a line of what was sent on them, in a log that
    /// does not show that it would have one.
    fn unanswered(&self) -> u64 {
        let untold = self.replay.evidence().sends() == Sure::No;
        if untold {
            self.replay.counts().unanswered
        } else {
            0
        }
    }

    /// Connections begin with bytes that are no HTTP, in a log that does not show that
    /// it would have what was sent before them.
    fn headless(&self) -> bool {
        self.replay.evidence().sends() == Sure::No
            && self.judge.tally().missed(Unjudged::NotHttp) > 0
    }

    /// No connection in the log moved a byte, so far as it tells.
    fn silent(&self) -> bool {
        self.replay.has_sockets() && self.replay.counts().connections == 0
    }

    /// Connections were joined in mid-stream, in a log that does not show that it
    /// would tell of the processes that hand them on.
    fn joined_untold(&self) -> bool {
        let evidence = self.replay.evidence();
        let untold = !evidence.tells_of_children() || evidence.sends() == Sure::No;
        untold && self.judge.tally().missed(Unjudged::MidStream) > 0
    }

    fn summarize(&mut self) {
        let counts = *self.replay.counts();
        let kernel = BTreeMap::from([
            ("connections", counts.connections),
            ("ring-full", counts.unreadable + counts.elided),
        ]);
        let tally = self.judge.tally();
        let unanswered = self.unanswered();
        let headless = self.headless();
        let summary = &mut self.summary;
        summary.take(tally, &kernel);
        let mut counted = tally.by_process.clone();
        for (process, count) in &self.not_judged_by {
            counted.take_back(*process, *count);
        }
        let replay = &self.replay;
        summary.processes.list(&counted, |process| {
            let pid = replay.process_number(process, None);
            Identity {
                pid,
                tid: (pid.is_none() && process != 0).then_some(process),
                comm: None,
                exe: replay.program(process).map(str::to_owned),
            }
        });
        let untraced = self.untraced + self.let_go + unanswered;
        let not_judged = self.not_judged + self.let_go;
        summary.messages_judged = summary.messages_judged.saturating_sub(not_judged);
        summary.peer_endings = summary.peer_endings.saturating_sub(self.not_by_peers);
        summary.seconds = Duration::from_nanos(self.replay.covered()).as_secs_f64();
        summary.timeless = self.replay.meaning() == Meaning::Nothing;
        if self.no_messages > 0 {
            let not_http = summary.unjudged.entry(Unjudged::NotHttp.name());
            *not_http.or_default() += self.no_messages;
        }
        if self.hidden > 0 {
            let not_observed = summary.unjudged.entry(Unjudged::NotObserved.name());
            *not_observed.or_default() += self.hidden;
            summary.incomplete = true;
        }
        for (name, count) in LOG_REASONS.into_iter().zip([
            counts.unreadable,
            counts.elided,
            counts.unknown_descriptors,
            counts.ambiguous,
            counts.untraced,
            counts.untraced_processes,
            counts.unseen_calls + counts.injected,
            untraced,
            counts.interrupted,
        ]) {
            if count > 0 {
                summary.unjudged.insert(name, count);
                summary.incomplete = true;
            }
        }
        // What more of each call would have told.
        if counts.cut + counts.by_hand + counts.edited > 0 {
            summary.incomplete |= CUT.iter().any(|reason| tally.missed(*reason) > 0);
        }
        summary.incomplete |= counts.addresses > 0
            && (summary.messages_judged == 0 || CUT.iter().any(|it| tally.missed(*it) > 0));
        // Whoever held a socket too may have gone on sending.
        summary.incomplete |= tally.missed(Unjudged::Shared) > 0;
        summary.incomplete |= tally.missed(Unjudged::NoTimes) > 0;
        summary.incomplete |= counts.out_of_band > 0 || !self.replay.has_sockets();
        summary.incomplete |= headless;
        summary.log = Some(LogSummary {
            lines: counts.lines,
            unreadable_lines: counts.unreadable,
            elided_lines: counts.elided,
            cut_calls: counts.cut,
        });
    }
}

/// Why a log does not show something for judging, besides [`Unjudged`]; docs/json.md
/// explains them.
pub const LOG_REASONS: [&str; 9] = [
    "unreadable-lines",
    "elided-lines",
    "unknown-descriptors",
    "ambiguous-descriptors",
    "untraced-threads",
    "untraced-processes",
    "unseen-calls",
    "untraced-calls",
    "interrupted-calls",
];

/// When a finding was, by the log's clock.
fn when(finding: &Finding, meaning: Meaning) -> When {
    let time = Duration::from_nanos(finding.ending.time_ns);
    if time.is_zero() {
        return When::Unknown;
    }
    match meaning {
        Meaning::Nothing => When::Unknown,
        Meaning::OfDay => When::OfDay(time),
        Meaning::Since => When::Since(time.saturating_sub(Duration::from_nanos(1))),
        Meaning::Epoch => {
            let nanoseconds = i128::from(finding.ending.time_ns);
            Timestamp::from_nanosecond(nanoseconds).map_or(When::Unknown, When::At)
        }
    }
}
