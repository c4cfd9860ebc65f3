//! What every watch does, whoever is told what it finds: the command's printer
//! or the daemon's sinks.

use std::{collections::BTreeMap, io, time::Instant};

use anyhow::{Context as _, Result};

use super::{
    clock::monotonic_ns,
    gather::{Deliver, Gather},
    intake::Intake,
    settings::Settings,
    stacks::PendingFinding,
    stalls::Stalls,
    sweep::Sweep,
};
use crate::{
    capture::live::{Live, cgroup::Cgroup},
    judge::Tally,
    process::priority::Priority,
    recording::{RecordedJudge, Totals},
    report::Identity,
    stack::{Room, Stack},
};

/// A watch: capture and judge, joined.
pub(crate) struct Engine {
    settings: Settings,
    intake: Intake,
    gather: Gather,
    stalls: Stalls,
    sweep: Sweep,
}

impl Engine {
    /// Attaches everything. Within an event loop.
    ///
    /// # Errors
    ///
    /// As [`Live::start`].
    pub(crate) fn start(settings: Settings, judge: RecordedJudge) -> Result<Self> {
        let room = match settings.monitor {
            Some(monitor) => Room::within(monitor.memory),
            None => Room::AMPLE,
        };
        Ok(Self {
            intake: Intake::start(&settings.live, judge, room)?,
            settings,
            gather: Gather::default(),
            stalls: Stalls::default(),
            sweep: Sweep::default(),
        })
    }

    /// See [`Intake::watch`].
    ///
    /// # Errors
    ///
    /// If the process does not run.
    pub(super) fn watch(&mut self, pid: u32) -> Result<()> {
        self.intake.watch(pid)
    }

    /// See [`Intake::watch_starting`].
    pub(super) fn watch_starting(&mut self, pid: u32) {
        self.intake.watch_starting(pid);
    }

    /// See [`Intake::follow`].
    pub(super) fn follow(&mut self, roots: &[u32]) {
        self.intake.follow(roots);
    }

    /// See [`Intake::on_process`].
    pub(super) fn on_process(&mut self, pid: u32) {
        self.intake.on_process(pid);
    }

    /// Takes note of the connections that these processes have open; of all where there
    /// are none.
    pub(super) fn note_open(&mut self, pids: &[u32]) {
        self.intake.note_open(pids, &self.settings.live.filter);
    }

    /// Waits until the kernel side asks to be read.
    ///
    /// # Errors
    ///
    /// If the event loop cannot wait.
    pub(crate) async fn readable(&self) -> io::Result<()> {
        self.intake.readable().await
    }

    /// One round: takes and judges what there is. Findings that `deliver` are kept
    /// for [`Engine::next`].
    ///
    /// # Errors
    ///
    /// If a control group that took the place of another cannot be watched.
    pub(crate) fn turn(&mut self, nice: &mut Priority, deliver: &mut Deliver<'_>) -> Result<()> {
        nice.relax();
        let began = Instant::now();
        let Self {
            settings,
            intake,
            gather,
            stalls,
            sweep,
        } = self;
        intake.drain_behind_others(nice);
        intake.forget();
        intake.settle();
        intake.note();
        stalls.poll(intake, settings.stall);
        sweep.poll(intake, monotonic_ns());
        intake.note_gone();
        if let Some(monitor) = settings.monitor {
            intake.evict(monitor.connections);
        }
        gather.poll(intake, settings, deliver);
        self.renew_cgroups()?;
        nice.took(began.elapsed());
        Ok(())
    }

    /// Takes what is left, at the end of the watch, and judges what is open.
    pub(crate) fn finish(&mut self, deliver: &mut Deliver<'_>) {
        self.intake.drain();
        self.intake.forget();
        self.intake.note_gone_last();
        self.intake.judge_open();
        self.gather.poll(&mut self.intake, &self.settings, deliver);
    }

    /// The next finding to be told, if its stack is as good as it gets.
    pub(crate) fn next(&mut self) -> Option<(PendingFinding, Stack)> {
        self.intake.next()
    }

    /// The same at the end of the watch: waits for it.
    pub(crate) fn next_last(&mut self) -> Option<(PendingFinding, Stack)> {
        self.intake.next_last()
    }

    /// Control groups that pass, by their numbers of the last look.
    pub(crate) fn cgroups(&self) -> &[Cgroup] {
        &self.settings.live.filter.cgroups
    }

    /// Goes over to other settings while everything stays attached; `false` if
    /// that needs another engine.
    ///
    /// # Errors
    ///
    /// If a map of filters is full.
    pub(crate) fn becomes(&mut self, new: &Settings) -> Result<bool> {
        let old = &self.settings;
        if old.live.stacks != new.live.stacks
            || !self.intake.refilter(&old.live.filter, &new.live.filter)?
        {
            return Ok(false);
        }
        if let Some(monitor) = new.monitor {
            self.intake.resize_stacks(Room::within(monitor.memory));
        }
        self.settings = new.clone();
        Ok(true)
    }

    /// Lets stacks go, or keeps them again.
    pub(crate) fn shed_stacks(&mut self, shed: bool) {
        self.intake.shed_stacks(shed);
    }

    /// What was judged so far.
    pub(crate) fn tally(&self) -> &Tally {
        self.intake.judge().tally()
    }

    /// Connections that are known to be open.
    pub(crate) fn open(&self) -> usize {
        self.intake.judge().open()
    }

    /// Calls that the kernel did not show us, as far as is known.
    pub(crate) fn missed(&self) -> u64 {
        self.gather.missed()
    }

    /// Records that are not of this version.
    pub(crate) fn unknown_records(&self) -> u64 {
        self.intake.unknown_records()
    }

    /// What this kernel does not show; each in words.
    pub(crate) fn not_seen(&self) -> &[String] {
        self.intake.live().unavailable()
    }

    /// See [`Live::fill`].
    pub(crate) fn fill(&self) -> Vec<(&'static str, usize, u32)> {
        self.intake.live().fill()
    }

    /// The kernel side's counters.
    pub(crate) fn stats(&self) -> BTreeMap<&'static str, u64> {
        self.intake.live().stats()
    }

    /// The kernel side.
    pub(super) fn live(&self) -> &Live {
        self.intake.live()
    }

    /// What was known last of the process with this number.
    pub(super) fn identity(&self, pid: u32) -> Identity {
        self.intake.identity(pid)
    }

    /// What is recorded so far is in the file.
    ///
    /// # Errors
    ///
    /// If it cannot be written.
    pub(super) fn flush_recording(&mut self) -> Result<()> {
        let flushed = self.intake.flush_recording();
        flushed.context("cannot write the recording")
    }

    /// The last of the recording.
    ///
    /// # Errors
    ///
    /// If it cannot be written.
    pub(super) fn finish_recording(&mut self, totals: impl FnOnce() -> Totals) -> Result<()> {
        let finished = self.intake.finish_recording(totals);
        finished.context("cannot write the recording")
    }

    /// Follows control groups that were replaced: a unit that is started anew
    /// has a new one.
    fn renew_cgroups(&mut self) -> Result<()> {
        for group in &mut self.settings.live.filter.cgroups {
            if let Some(id) = group.current_id()
                && id != group.id
            {
                self.intake.replace_cgroup(group.id, id)?;
                group.id = id;
            }
        }
        Ok(())
    }
}
