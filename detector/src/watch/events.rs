//! What the command's watch waits for, and when it is over.

use std::{
    io,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result};
use nix::sys::signal::Signal;
use tokio::time::MissedTickBehavior;

use super::{Options, engine::Engine};
use crate::{
    capture::live::Filter,
    command::{Prepared, Running},
    judge::Finding,
    process::affinity::Affinity,
    process::priority::Priority,
    process::signals::{Received, Signals},
    recording::RecordedJudge,
    report::{Outcome, Place, Printer, Status, Summary, note},
};

/// How often the records are read where the kernel does not ask for it.
const TICK: Duration = Duration::from_millis(50);

/// The command's watch: prints what it finds, until a limit.
pub(super) struct Watch<'a> {
    pub(super) options: &'a Options,
    pub(super) engine: Engine,
    /// The command that is watched, while it runs.
    pub(super) command: Option<Running>,
    /// It was asked to end, since a limit was reached, or was not run at all.
    pub(super) dismissed: bool,
    /// It was sent SIGTERM for that.
    pub(super) asked: bool,
    pub(super) printer: Printer<'a>,
    pub(super) place: Place,
    pub(super) status: Status,
    pub(super) summary: Summary,
    pub(super) started: Instant,
    /// Nobody reads the report any more.
    pub(super) closed: bool,
    /// The terminal interrupts it, and with it whoever reads the report there.
    pub(super) interrupted: bool,
}

/// Watches with all that can be wrong before looked at.
pub(super) fn watch(
    options: &Options,
    command: Option<Prepared>,
    filter: Filter,
    printer: (Printer<'_>, Place),
    judge: RecordedJudge,
) -> Result<(Summary, Outcome)> {
    // Before any other thread and before anything is attached: a signal from
    // here on ends the watch with its summary.
    let signals = Signals::take(command.is_some()).context("cannot wait for signals")?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("cannot start the event loop")?;
    runtime.block_on(async {
        let signals = signals.into_async().context("cannot wait for signals")?;
        let mut watch = Watch::start(options, printer, filter, command, judge, &signals)?;
        // Not before: to begin should not take long, and the command is as it would be.
        let mut cpus = Affinity::without(&options.pids);
        let mut nice = Priority::behind_others();
        let mut ticks = tokio::time::interval(TICK);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            let over = tokio::select! {
                received = signals.next() => {
                    watch.signalled(received.context("cannot read a signal")?)
                }
                ended = command_ended(watch.command.as_ref()) => {
                    ended.context("cannot wait for the command")?;
                    watch.command_ended()?;
                    true
                }
                _ = ticks.tick() => false,
                ready = watch.engine.readable() => {
                    ready.context("cannot wait for the ring buffer")?;
                    nice.hurry();
                    cpus.hurry();
                    false
                }
            };
            if watch.turn(&mut nice)? || over {
                break;
            }
        }
        // What is left is read before the others fill the ring again.
        nice.hurry();
        watch.finish()
    })
}

/// Returns when the command has ended; never without one.
async fn command_ended(command: Option<&Running>) -> io::Result<()> {
    match command {
        Some(command) => command.ended().await,
        None => std::future::pending().await,
    }
}

impl Watch<'_> {
    /// What a signal means; `true` if it ends the watch.
    fn signalled(&mut self, received: Received) -> bool {
        self.interrupted |= received.from_terminal;
        match &self.command {
            // The watch ends when the command does.
            Some(command) => {
                command.pass_on(received);
                false
            }
            None => true,
        }
    }

    /// Takes the status of the command, which has ended.
    fn command_ended(&mut self) -> Result<()> {
        let Some(mut command) = self.command.take() else {
            return Ok(());
        };
        let status = command.status().context("cannot wait for the command")?;
        self.summary.command_status = Some(status);
        let left = self.engine.live().watched().len();
        if left > 0 {
            let (noun, run, are) = match left {
                1 => ("process", "runs", "is"),
                _ => ("processes", "run", "are"),
            };
            note(format_args!(
                "the command has ended; {left} {noun} that it started still {run}, and {are} watched no longer"
            ));
        }
        Ok(())
    }

    /// One round; `true` if the watch is over.
    fn turn(&mut self, nice: &mut Priority) -> Result<bool> {
        let Self {
            engine,
            summary,
            options,
            ..
        } = self;
        engine.turn(nice, &mut |finding, _| {
            accepts(finding, summary, options.count)
        })?;
        self.report()?;
        self.engine.flush_recording()?;
        self.show();
        self.look_for_the_reader();
        let found: u64 = self.summary.findings.values().sum();
        let ended = !self.options.pids.is_empty() && !self.engine.live().watches_any();
        if ended {
            self.status.end();
            note(format_args!("no watched process runs any more"));
        }
        let limit = self.options.count.is_some_and(|count| found >= count)
            || self
                .options
                .duration
                .is_some_and(|duration| self.started.elapsed() >= duration);
        // What we started we end, and then it ends the watch.
        if let Some(command) = &self.command
            && (limit || self.closed)
        {
            if !self.dismissed {
                self.dismissed = true;
                if limit {
                    self.status.end();
                    note(format_args!(
                        "the limit is reached: the command is asked to end (SIGTERM), and waited for"
                    ));
                }
                self.asked = true;
                command.send(Signal::SIGTERM);
            }
            return Ok(false);
        }
        Ok(ended || self.closed || self.dismissed || limit)
    }
}

/// Whether a finding is told, and not beyond the count that was asked for.
pub(super) fn accepts(finding: &Finding, summary: &mut Summary, count: Option<u64>) -> bool {
    let found: u64 = summary.findings.values().sum();
    if count.is_some_and(|count| found >= count) {
        return false;
    }
    summary.count(finding);
    true
}
