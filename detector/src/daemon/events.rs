//! What the daemon waits for.

use std::time::{Duration, Instant, UNIX_EPOCH};

use anyhow::{Context as _, Result};
use nix::sys::signal::Signal;
use tokio::time::MissedTickBehavior;

use super::{Daemon, Map, metrics::Snapshot, self_usage};
use crate::{
    process::{heap, signals},
    report::note,
};

/// How often the kernel side's maps are counted: a walk over all their entries.
const MAPS: Duration = Duration::from_secs(60);

/// How often the daemon's own memory is looked at.
const OWN: Duration = Duration::from_secs(1);

/// How often memory that was freed is given back.
const TRIM: Duration = Duration::from_secs(30);

/// How long stacks are let go at least.
const SHED: Duration = Duration::from_secs(5);

/// Rounds in a row for which the kernel asked, from which on stacks are let go.
const PRESSED: u32 = 8;

impl Daemon {
    /// Goes on until a signal ends it.
    ///
    /// # Errors
    ///
    /// If it cannot wait any more.
    pub(super) async fn run(&mut self, signals: &signals::SignalStream) -> Result<()> {
        let tick = Duration::from_millis(self.config.limits.tick_ms.into());
        let mut ticks = tokio::time::interval(tick);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut pressed = 0;
        loop {
            tokio::select! {
                received = signals.next() => {
                    let received = received.context("cannot read a signal")?;
                    if received.signal != Signal::SIGHUP {
                        return Ok(());
                    }
                    self.reload().await;
                    let tick = Duration::from_millis(self.config.limits.tick_ms.into());
                    if tick != ticks.period() {
                        ticks = tokio::time::interval(tick);
                        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
                    }
                }
                _ = ticks.tick() => pressed = 0,
                ready = self.engine.readable() => {
                    ready.context("cannot wait for the ring buffer")?;
                    pressed += 1;
                    self.nice.hurry();
                }
                Some(asked) = self.asked.recv() => {
                    self.turn();
                    // One that went away needs no answer.
                    if asked.send(self.snapshot()).is_err() {}
                }
            }
            self.shed(pressed > PRESSED);
            self.turn();
            self.look_for_missing_units();
            self.listening.again().await;
            if self.textfile.as_mut().is_some_and(|file| file.due()) {
                let snapshot = self.snapshot();
                if let Some(file) = &mut self.textfile {
                    file.write(snapshot);
                }
            }
            self.notify.progressed();
        }
    }

    /// Lets stacks go where time or memory is short: a finding without one is
    /// still a finding.
    fn shed(&mut self, pressed: bool) {
        let now = Instant::now();
        let mut short = pressed;
        if now >= self.own_due {
            self.own_due = now + OWN;
            let limit = u64::from(self.config.limits.memory_mib) << 20;
            short |= heap::resident() > limit;
            if short || now >= self.trim_due {
                self.trim_due = now + TRIM;
                heap::trim();
            }
        }
        if short {
            self.shed_until = Some(now + SHED);
        } else if self.shed_until.is_some_and(|until| now >= until) {
            self.shed_until = None;
        }
        self.engine.shed_stacks(self.shed_until.is_some());
    }

    /// All numbers as they are now.
    pub(super) fn snapshot(&mut self) -> Snapshot {
        let now = Instant::now();
        if now >= self.maps_due {
            self.maps_due = now + MAPS;
            self.maps = self
                .engine
                .fill()
                .into_iter()
                .map(|(name, entries, room)| Map {
                    name,
                    entries: entries as u64,
                    room: room.into(),
                })
                .collect();
        }
        let totals = self.before.clone().and(&self.engine);
        let started = self.started.duration_since(UNIX_EPOCH).unwrap_or_default();
        Snapshot {
            truncated: self.truncated.clone(),
            judged: totals.tally.messages_judged,
            peer_endings: totals.tally.peer_endings,
            unjudged: totals.unjudged(),
            lost: totals.lost(),
            connections: totals.connections(),
            tracked: self.engine.open() as u64,
            tracked_limit: self.config.limits.connections.into(),
            maps: self.maps.clone(),
            held_back: self.held_back,
            excluded: self.excluded,
            sink_failures: self.sink.failures,
            not_seen: self.engine.not_seen().len() as u64,
            shedding: self.shed_until.is_some(),
            reloads: self.reloads,
            reload_failures: self.reload_failures,
            cpu: self_usage::cpu(),
            resident: heap::resident(),
            descriptors: self_usage::descriptors(),
            started: started.as_secs_f64(),
        }
    }

    /// What goes wrong and leaves the rest as it is; said once, however often it is
    /// tried again.
    pub(super) fn trouble(&mut self, error: &anyhow::Error) {
        let error = format!("{error:#}");
        if self.trouble.as_ref() != Some(&error) {
            note(format_args!("{error}"));
            self.trouble = Some(error);
        }
    }

    /// The end: what is open is judged, what was held back is told.
    pub(super) fn finish(mut self) {
        self.notify.stopping();
        self.nice.hurry();
        drop(self.drain());
        for held in self.limiter.over(Instant::now(), true) {
            self.sink.held_back(&held);
        }
        let totals = self.before.clone().and(&self.engine);
        note(format_args!(
            "ends: {} connections, {} messages judged",
            totals.connections(),
            totals.tally.messages_judged
        ));
    }
}
