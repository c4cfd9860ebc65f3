//! Records on their way from the kernel side to the judge, and its findings on their way
//! to be told.

use std::{io, thread::sleep, time::Instant};

use anyhow::Result;
use detector_common::{Connection as Counters, Hint};

use super::{
    before::{self, Before},
    clock::monotonic_ns,
    programs::{Program, Programs},
    stacks::{PendingFinding, Stacks},
};
use crate::{
    capture::{
        Record,
        live::{self, CaptureError, Filter, Live, process},
    },
    judge::{Finding, Judge},
    process::priority::Priority,
    recording::{
        Frame, Program as RecordedProgram, RecordedJudge, ReportedFinding, Totals, Writer,
    },
    report::Identity,
    stack::{Room, Stack},
};

/// Bytes of records that are taken before hints are given back and stacks are taken: their
/// ring is not to fill meanwhile.
const AT_ONCE: u64 = 512 << 10;

/// The kernel side, the judge, and what is learned of processes while records come.
pub(super) struct Intake {
    live: Live,
    judge: RecordedJudge,
    programs: Programs,
    /// Findings that are not told yet.
    stacks: Stacks,
    before: Before,
    unknown_records: u64,
}

impl Intake {
    /// Attaches everything. Within an event loop.
    ///
    /// # Errors
    ///
    /// As [`Live::start`].
    pub(super) fn start(options: &live::Options, judge: RecordedJudge, room: Room) -> Result<Self> {
        Ok(Self {
            live: Live::start(options)?,
            judge,
            programs: Programs::default(),
            stacks: Stacks::new(options.stacks != live::Stacks::None, room),
            before: Before::default(),
            unknown_records: 0,
        })
    }

    /// The kernel side.
    pub(super) fn live(&self) -> &Live {
        &self.live
    }

    /// The judge; what it is given passes through here.
    pub(super) fn judge(&self) -> &Judge {
        &self.judge
    }

    /// Records that are not of this version.
    pub(super) fn unknown_records(&self) -> u64 {
        self.unknown_records
    }

    /// What was known last of the process with this number.
    pub(super) fn identity(&self, pid: u32) -> Identity {
        self.programs.identity(pid)
    }

    /// Watches a process, with all its threads.
    ///
    /// # Errors
    ///
    /// If it does not run.
    pub(super) fn watch(&mut self, pid: u32) -> Result<()> {
        self.live.watch(pid);
        // It may have ended just before; then nobody would tell us.
        process::check(pid)?;
        self.on_process(pid);
        Ok(())
    }

    /// Watches a process that was started and waits: its program is another soon, and
    /// [`Intake::on_process`] is for that.
    pub(super) fn watch_starting(&mut self, pid: u32) {
        self.live.watch(pid);
    }

    /// Watches the children of these processes too, those that they have.
    pub(super) fn follow(&mut self, roots: &[u32]) {
        // Until there are no new ones: a child that is not watched yet may
        // have children meanwhile; those of the watched the kernel side
        // adds by itself.
        loop {
            let watched = self.live.watched();
            let found = process::descendants(roots);
            let new: Vec<_> = found
                .into_iter()
                .filter(|pid| !watched.contains(pid))
                .collect();
            for pid in &new {
                self.live.watch(*pid);
                if process::check(*pid).is_err() {
                    self.live.unwatch(*pid);
                }
            }
            if new.iter().all(|pid| process::check(*pid).is_err()) {
                return;
            }
        }
    }

    /// A process runs, and its program is known as long as it does.
    pub(super) fn on_process(&mut self, pid: u32) {
        self.programs.on_process(pid);
        self.stacks.on_process(pid);
    }

    /// Takes note of the connections that these processes have open, as far as they pass
    /// the filter; of all where there are none.
    pub(super) fn note_open(&mut self, pids: &[u32], filter: &Filter) {
        self.before = Before::look(pids, filter);
    }

    /// Waits until the kernel side asks to be read.
    ///
    /// # Errors
    ///
    /// If the event loop cannot wait.
    pub(super) async fn readable(&self) -> io::Result<()> {
        self.live.readable().await
    }

    /// Takes what the kernel side has written by now.
    pub(super) fn drain(&mut self) {
        self.drain_and(&mut || {});
    }

    /// The same; what takes long is not left for when the others have time, or the ring
    /// fills faster than it is read.
    pub(super) fn drain_behind_others(&mut self, nice: &mut Priority) {
        let began = Instant::now();
        self.drain_and(&mut || nice.took(began.elapsed()));
    }

    /// Takes at most what the ring holds: others may write without end meanwhile, and what
    /// was judged waits to be let go.
    fn drain_and(&mut self, between: &mut dyn FnMut()) {
        let mut left = self.live.ring_bytes();
        loop {
            let taken = self.drain_some();
            between();
            left = left.saturating_sub(taken);
            if taken < AT_ONCE || left == 0 {
                return;
            }
        }
    }

    /// Returns how many bytes of the ring it took: fewer than [`AT_ONCE`] where no more are
    /// there.
    fn drain_some(&mut self) -> u64 {
        let Self {
            live,
            judge,
            programs,
            stacks,
            before,
            unknown_records,
        } = self;
        let now = monotonic_ns();
        let taken = live.drain(AT_ONCE, |record| match record {
            Ok(record) => {
                let pid = record.header().tgid;
                // A reset is no deed of the process that runs.
                if !matches!(record, Record::Reset(_)) && programs.observe(pid, now) {
                    stacks.on_process(pid);
                }
                before.observe(&record);
                judge.take(record);
            }
            Err(_) => *unknown_records += 1,
        });
        for (cookie, hint) in judge.take_hints() {
            live.hint(cookie, hint);
        }
        live.drain_stacks(|piece| stacks.take(piece, monotonic_ns()));
        taken
    }

    /// Lets go of what ended.
    pub(super) fn forget(&mut self) {
        for cookie in self.judge.take_released() {
            self.live.forget(cookie);
        }
    }

    /// Judges the connections that have waited long enough.
    pub(super) fn settle(&mut self) {
        let now = monotonic_ns();
        let due: Vec<_> = self
            .judge
            .waiting()
            .filter(|(_, due)| now >= *due)
            .map(|(cookie, _)| (cookie, self.live.connection(cookie)))
            .collect();
        if due.is_empty() {
            return;
        }
        // What was recorded before the counters were read is taken first.
        self.drain();
        for (cookie, counters) in due {
            self.judge.settle(cookie, counters.as_ref());
        }
    }

    /// Tells what was found wrong on connections that go on.
    pub(super) fn note(&mut self) {
        let now = monotonic_ns();
        for cookie in self.judge.take_flawed() {
            // One that ended tells by itself.
            if let Some(counters) = self.live.connection(cookie) {
                self.judge.note(cookie, &counters, now);
            }
        }
    }

    /// Tells of a connection that makes no progress.
    pub(super) fn stall(&mut self, cookie: u64, counters: &Counters, now_ns: u64) {
        self.judge.stall(cookie, counters, now_ns);
    }

    /// Lets go of a connection whose end was not seen.
    pub(super) fn release(&mut self, cookie: u64, counters: Option<&Counters>) {
        self.judge.release(cookie, counters);
        self.live.forget(cookie);
    }

    /// Keeps at most so many connections, and what names stacks only while it is needed.
    pub(super) fn evict(&mut self, most: usize) {
        self.stacks.rest(monotonic_ns());
        for cookie in self.judge.evict(most) {
            self.live.let_go(cookie);
            // Its bytes may be counted from 0 again.
            self.live.hint(cookie, Hint::default());
        }
    }

    /// Counts the connections that were open before and are gone, now and then.
    pub(super) fn note_gone(&mut self) {
        if self.before.is_due(monotonic_ns()) {
            self.count_gone();
        }
    }

    /// The same at the end of the watch.
    pub(super) fn note_gone_last(&mut self) {
        for _ in 0..before::TIMES {
            self.count_gone();
            if !self.before.has_ending() {
                return;
            }
            sleep(before::PATIENCE);
        }
    }

    fn count_gone(&mut self) {
        let Some(gone) = self.before.gone() else {
            return;
        };
        // What was recorded of their ends is taken first.
        self.drain();
        for before in self.before.take(&gone) {
            self.judge.open_before(before);
        }
    }

    /// Judges what is open, at the end of the watch.
    pub(super) fn judge_open(&mut self) {
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
    }

    /// What this kernel does not show besides.
    pub(super) fn lacks(&mut self, what: &str) {
        self.live.lacks(what);
    }

    /// See [`Live::refilter`].
    ///
    /// # Errors
    ///
    /// If a map of filters is full.
    pub(super) fn refilter(&mut self, old: &Filter, new: &Filter) -> Result<bool, CaptureError> {
        self.live.refilter(old, new)
    }

    /// See [`Live::replace_cgroup`].
    ///
    /// # Errors
    ///
    /// If a map of filters is full.
    pub(super) fn replace_cgroup(&mut self, old: u64, new: u64) -> Result<(), CaptureError> {
        self.live.replace_cgroup(old, new)
    }

    /// Takes so much room for stacks from now on.
    pub(super) fn resize_stacks(&mut self, room: Room) {
        self.stacks.resize(room);
    }

    /// Lets stacks go, or keeps them again.
    pub(super) fn shed_stacks(&mut self, shed: bool) {
        self.stacks.shed(shed);
    }

    /// Whether what the judge is given is recorded.
    pub(super) fn is_recorded(&mut self) -> bool {
        self.judge.writer().is_some()
    }

    /// Takes what the judge found; [`Intake::record_report`] is to follow.
    pub(super) fn take_findings(&mut self) -> Vec<Finding> {
        self.judge.take_findings()
    }

    /// Records that these findings are taken, with their programs, when so many calls had
    /// been missed.
    pub(super) fn record_report(&mut self, findings: &[Finding], missed: u64) {
        let Some(writer) = self.judge.writer() else {
            return;
        };
        for finding in findings {
            let exe = self.programs.seen(finding);
            writer.frame(&Frame::Program(RecordedProgram {
                pid: finding.pid,
                exe,
            }));
        }
        writer.report(missed);
    }

    /// Takes a finding back.
    pub(super) fn doubt(&mut self, finding: &Finding) {
        self.judge.doubt(finding);
    }

    /// No connection that is open now is judged, used already or not; `false` if those
    /// that were not used yet are judged all the same.
    pub(super) fn doubt_open(&mut self) -> bool {
        self.judge.doubt_open();
        self.live.forget_births().is_ok()
    }

    /// The program behind a finding, as it is `now`, or as it was.
    pub(super) fn program(&self, finding: &Finding, now: &Program) -> Program {
        self.programs.now(finding, now)
    }

    /// Takes in a finding that is to be told.
    pub(super) fn push(&mut self, waiting: PendingFinding) {
        self.stacks.push(waiting, monotonic_ns());
    }

    /// The next finding to be told, if its stack is as good as it gets.
    pub(super) fn next(&mut self) -> Option<(PendingFinding, Stack)> {
        let (waiting, stack) = self.stacks.pop(monotonic_ns())?;
        self.record_reported(&waiting, &stack);
        Some((waiting, stack))
    }

    /// The same at the end of the watch: waits for it.
    pub(super) fn next_last(&mut self) -> Option<(PendingFinding, Stack)> {
        let (waiting, stack) = self.stacks.pop_last()?;
        self.record_reported(&waiting, &stack);
        Some((waiting, stack))
    }

    fn record_reported(&mut self, waiting: &PendingFinding, stack: &Stack) {
        if let Some(writer) = self.judge.writer() {
            let told = ReportedFinding {
                exe: waiting.exe.clone(),
                unit: waiting.origin.unit.clone(),
                container: waiting.origin.container.as_ref().map(|it| it.id.clone()),
                ..ReportedFinding::new(&waiting.finding, waiting.time.to_string(), stack)
            };
            writer.frame(&Frame::ReportedFinding(Box::new(told)));
        }
    }

    /// What is recorded so far is in the file.
    ///
    /// # Errors
    ///
    /// If it cannot be written.
    pub(super) fn flush_recording(&mut self) -> io::Result<()> {
        self.judge.writer().map_or(Ok(()), Writer::flush)
    }

    /// The last of the recording.
    ///
    /// # Errors
    ///
    /// If it cannot be written.
    pub(super) fn finish_recording(&mut self, totals: impl FnOnce() -> Totals) -> io::Result<()> {
        let Some(writer) = self.judge.writer() else {
            return Ok(());
        };
        writer.frame(&Frame::Totals(totals()));
        writer.finish()
    }
}
