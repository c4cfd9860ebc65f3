//! What every watch does, whoever is told what it finds: the command's printer
//! or the daemon's sinks.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use anyhow::Result;
use detector_common::Hint;

use super::{
    Stacks,
    before::Before,
    clock::monotonic_ns,
    programs::{Program, Programs},
    stalls::Stalls,
    sweep::Sweep,
};
use crate::{
    capture::live::{self, Live, cgroup::Cgroup, process},
    judge::{Finding, Tally},
    nice::Nice,
    recording::Feed,
    stack::Room,
};

/// How to watch.
#[derive(Clone, Debug, Default)]
pub(crate) struct Settings {
    /// What the kernel side is told.
    pub(crate) live: live::Options,
    /// No progress for so long is a finding; 0 is off.
    pub(crate) stall: Duration,
    /// What the peer cut short is a finding too.
    pub(crate) show_peer: bool,
    /// It goes on for months.
    pub(crate) monitor: Option<Monitor>,
}

/// What a watch without end needs besides.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Monitor {
    /// Most connections that are tracked.
    pub(crate) connections: usize,
    /// Resident memory, bytes, within which programs are read to name stacks.
    pub(crate) memory: u64,
}

/// Decides whether a finding is told; it knows what its process is and where it belongs.
pub(crate) type Tell<'a> = dyn FnMut(&Finding, &Program) -> bool + 'a;

/// A watch: capture and judge, joined.
pub(crate) struct Engine {
    pub(super) live: Live,
    pub(super) judge: Feed,
    pub(super) settings: Settings,
    /// Findings that are not told yet.
    pub(super) stacks: Stacks,
    pub(super) programs: Programs,
    pub(super) unknown_records: u64,
    /// Calls that the kernel did not show us.
    pub(super) missed: u64,
    /// There were more of them when that was asked last.
    pub(super) missed_before: bool,
    pub(super) stalls: Stalls,
    pub(super) sweep: Sweep,
    pub(super) before: Before,
}

impl Engine {
    /// Attaches everything. Within an event loop.
    ///
    /// # Errors
    ///
    /// As [`Live::start`].
    pub(crate) fn start(settings: Settings, judge: Feed) -> Result<Self> {
        Ok(Self {
            live: Live::start(&settings.live)?,
            judge,
            stacks: Stacks::new(
                settings.live.stacks != live::Stacks::None,
                match settings.monitor {
                    Some(monitor) => Room::within(monitor.memory),
                    None => Room::AMPLE,
                },
            ),
            settings,
            programs: Programs::default(),
            unknown_records: 0,
            missed: 0,
            missed_before: false,
            stalls: Stalls::default(),
            sweep: Sweep::default(),
            before: Before::default(),
        })
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
        self.meet(pid);
        Ok(())
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
    pub(super) fn meet(&mut self, pid: u32) {
        self.programs.meet(pid);
        self.stacks.meet(pid);
    }

    /// Waits until the kernel side asks to be read.
    ///
    /// # Errors
    ///
    /// If the event loop cannot wait.
    pub(crate) async fn readable(&self) -> std::io::Result<()> {
        self.live.readable().await
    }

    /// One round: takes and judges what there is. Findings that `tell` are kept
    /// for [`Engine::next`].
    ///
    /// # Errors
    ///
    /// If a control group that took the place of another cannot be watched.
    pub(crate) fn turn(&mut self, nice: &mut Nice, tell: &mut Tell<'_>) -> Result<()> {
        nice.relax();
        let began = Instant::now();
        self.drain_behind_others(nice);
        self.forget();
        self.settle();
        self.note();
        self.note_stalls();
        self.sweep();
        self.note_gone();
        self.evict();
        self.gather(tell);
        self.renew_cgroups()?;
        nice.took(began.elapsed());
        Ok(())
    }

    /// Takes what is left, at the end of the watch, and judges what is open.
    pub(crate) fn finish(&mut self, tell: &mut Tell<'_>) {
        self.drain();
        self.forget();
        self.note_gone_last();
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
        self.gather(tell);
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
            || !self.live.refilter(&old.live.filter, &new.live.filter)?
        {
            return Ok(false);
        }
        if let Some(monitor) = new.monitor {
            self.stacks.resize(Room::within(monitor.memory));
        }
        self.settings = new.clone();
        Ok(true)
    }

    /// Lets stacks go, or keeps them again.
    pub(crate) fn shed_stacks(&mut self, shed: bool) {
        self.stacks.shed(shed);
    }

    /// What was judged so far.
    pub(crate) fn tally(&self) -> &Tally {
        self.judge.tally()
    }

    /// Connections that are open, as far as is known.
    pub(crate) fn open(&self) -> usize {
        self.judge.open()
    }

    /// Calls that the kernel did not show us, as far as is known.
    pub(crate) fn missed(&self) -> u64 {
        self.missed
    }

    /// Records that are not of this version.
    pub(crate) fn unknown_records(&self) -> u64 {
        self.unknown_records
    }

    /// What this kernel does not show; each in words.
    pub(crate) fn not_seen(&self) -> &[String] {
        self.live.reduced()
    }

    /// See [`Live::fill`].
    pub(crate) fn fill(&self) -> Vec<(&'static str, usize, u32)> {
        self.live.fill()
    }

    /// The kernel side's counters.
    pub(crate) fn stats(&self) -> BTreeMap<&'static str, u64> {
        self.live.stats()
    }

    /// Keeps within what a watch without end may keep.
    fn evict(&mut self) {
        let Some(monitor) = self.settings.monitor else {
            return;
        };
        self.stacks.rest(monotonic_ns());
        for cookie in self.judge.evict(monitor.connections) {
            self.live.let_go(cookie);
            // Its bytes may be counted from 0 again.
            self.live.hint(cookie, Hint::default());
        }
    }

    /// Follows control groups that were replaced: a unit that is started anew
    /// has a new one.
    fn renew_cgroups(&mut self) -> Result<()> {
        for group in &mut self.settings.live.filter.cgroups {
            if let Some(id) = group.current_id()
                && id != group.id
            {
                self.live.replace_cgroup(group.id, id)?;
                group.id = id;
            }
        }
        Ok(())
    }
}
