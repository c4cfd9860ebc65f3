//! How a watch begins.

use std::{
    collections::{HashMap, HashSet},
    fs,
    time::Instant,
};

use anyhow::{Context as _, Result};

use super::{Stacks, Watch, monotonic_ns};
use crate::{
    capture::live::{self, Filter, Live, process},
    cli::Watching,
    command::Prepared,
    recording::Feed,
    report::{Printer, Status, Summary, note},
    signals,
};

impl<'a> Watch<'a> {
    pub(super) fn start(
        cli: &'a Watching,
        printer: Printer<'a>,
        filter: Filter,
        command: Option<Prepared>,
        judge: Feed,
        signals: &signals::Waiting,
    ) -> Result<Self> {
        let object = match &cli.bpf_object {
            Some(path) => Some(
                fs::read(path)
                    .with_context(|| format!("cannot read the BPF object {}", path.display()))?,
            ),
            None => None,
        };
        let cgroups = filter.cgroups.clone();
        let mut live = Live::start(&live::Options {
            watch_all: cli.pid.is_empty() && command.is_none(),
            filter,
            follow: cli.follow || command.is_some(),
            ring_bytes: cli.ring_bytes,
            max_connections: cli.max_connections,
            stacks: !cli.no_stack,
            hidden: cli.hide.clone(),
            object,
        })?;
        let mut programs = HashMap::new();
        let mut stacks = Stacks::new(!cli.no_stack);
        for pid in &cli.pid {
            live.watch(*pid);
            // It may have ended just before; then nobody would tell us.
            process::check(*pid)?;
            programs.insert(*pid, process::exe(*pid));
            stacks.meet(*pid, monotonic_ns());
        }
        if cli.follow {
            // Until there are no new ones: a child that is not watched yet may
            // have children meanwhile; those of the watched the kernel side
            // adds by itself.
            loop {
                let watched = live.watched();
                let found = process::descendants(&cli.pid);
                let new: Vec<_> = found
                    .into_iter()
                    .filter(|pid| !watched.contains(pid))
                    .collect();
                for pid in &new {
                    live.watch(*pid);
                    if process::check(*pid).is_err() {
                        live.unwatch(*pid);
                    }
                }
                if new.iter().all(|pid| process::check(*pid).is_err()) {
                    break;
                }
            }
        }
        // A command's own output would be mixed with it.
        let status = Status::new(command.is_none());
        let mut watch = Self {
            cli,
            live,
            cgroups,
            command: None,
            dismissed: false,
            judge,
            printer,
            status,
            summary: Summary::default(),
            started: Instant::now(),
            stacks,
            programs,
            unknown_records: 0,
            missed: 0,
            stalls_due: 0,
            sweep_due: 0,
            idle_sweep_due: 0,
            held: HashSet::new(),
            closed: false,
        };
        for what in watch.live.reduced() {
            note(format_args!("not seen: {what}"));
        }
        watch.summary.not_seen = watch.live.reduced().to_vec();
        if cli.verbose {
            let verified = watch.live.verified_instructions();
            note(format_args!("instructions verified: {verified:?}"));
        }
        match command {
            Some(command) => watch.run_command(command, signals)?,
            None => {
                watch.note_names();
                note(format_args!("watching {}", watch.scope()));
            }
        }
        Ok(watch)
    }

    /// Starts the command, now that everything is in place.
    fn run_command(&mut self, command: Prepared, signals: &signals::Waiting) -> Result<()> {
        // One that came meanwhile would not reach it: it ends the watch before
        // there is anything to watch.
        if let Some(received) = signals.pending().context("cannot read a signal")? {
            note(format_args!("{}: the command was not run", received.signal));
            self.dismissed = true;
            return Ok(());
        }
        let waiting = command.start(signals.inherited())?;
        self.live.watch(waiting.pid());
        note(format_args!(
            "watching {} and its children (process {}){}",
            self.cli
                .command
                .first()
                .map_or_else(String::new, |name| name.to_string_lossy().into_owned()),
            waiting.pid(),
            self.filters()
        ));
        let pid = waiting.pid();
        self.command = Some(waiting.go()?);
        // It runs its program by now, and may be gone before anything of it is
        // read.
        self.programs.insert(pid, process::exe(pid));
        self.stacks.meet(pid, monotonic_ns());
        Ok(())
    }
}
