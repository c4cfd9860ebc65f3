//! How the command's watch begins.

use std::{
    fs,
    io::{self, IsTerminal as _},
    sync::mpsc::{self, RecvTimeoutError},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result};

use super::{Options, engine::Engine, events::Watch, settings::Settings};
use crate::{
    capture::live::{self, Filter},
    command::Prepared,
    process::signals,
    recording::RecordedJudge,
    report::{Place, Printer, Status, Summary, note},
};

impl<'a> Watch<'a> {
    pub(super) fn start(
        options: &'a Options,
        (printer, place): (Printer<'a>, Place),
        filter: Filter,
        command: Option<Prepared>,
        judge: RecordedJudge,
        signals: &signals::SignalStream,
    ) -> Result<Self> {
        let object = match &options.bpf_object {
            Some(path) => Some(
                fs::read(path)
                    .with_context(|| format!("cannot read the BPF object {}", path.display()))?,
            ),
            None => None,
        };
        let settings = Settings {
            live: live::Options {
                watch_all: options.pids.is_empty() && command.is_none(),
                filter,
                follow: options.follow || command.is_some(),
                ring_bytes: options.ring_bytes,
                stack_bytes: None,
                max_connections: options.max_connections,
                stacks: options.stacks,
                hidden: options.hidden.clone(),
                object,
            },
            stall: options.stall,
            show_peer: options.reporting.show_peer,
            monitor: None,
        };
        let mut engine = patiently(|| Engine::start(settings, judge))?;
        for pid in &options.pids {
            engine.watch(*pid)?;
        }
        if options.follow {
            engine.follow(&options.pids);
        }
        // A command has none yet.
        if command.is_none() {
            let pids = match options.pids.is_empty() {
                true => Vec::new(),
                false => engine.live().watched().into_iter().collect(),
            };
            engine.note_open(&pids);
        }
        // A command's own output would be mixed with it, and a reader of the report may
        // draw on the same terminal.
        let status = Status::new(command.is_none() && !place.has_reader());
        let mut watch = Self {
            options,
            engine,
            command: None,
            dismissed: false,
            asked: false,
            printer,
            place,
            status,
            summary: Summary::default(),
            started: Instant::now(),
            closed: false,
            interrupted: false,
        };
        for what in watch.engine.live().unavailable() {
            note(format_args!("not seen: {what}"));
        }
        if options.verbose {
            if watch.engine.live().traces_functions() {
                note(format_args!(
                    "counting at the ends of functions: this kernel lacks tracepoints for it"
                ));
            }
            let verified = watch.engine.live().verified_instructions();
            note(format_args!("instructions verified: {verified:?}"));
            let counted = watch.engine.live().counted_probes();
            note(format_args!(
                "probes whose missed calls are counted: {counted:?}"
            ));
        }
        match command {
            Some(command) => watch.run_command(command, signals)?,
            None => {
                watch.note_names();
                watch.note_children();
                note(format_args!("watching {}", watch.scope()));
            }
        }
        Ok(watch)
    }

    /// Starts the command, now that everything is in place.
    fn run_command(&mut self, command: Prepared, signals: &signals::SignalStream) -> Result<()> {
        // One that came meanwhile would not reach it: it ends the watch before
        // there is anything to watch.
        if let Some(received) = signals.pending().context("cannot read a signal")? {
            note(format_args!("{}: the command was not run", received.signal));
            // As a shell has it of one that is killed before its program runs.
            self.summary.command_status = Some(128 + received.signal as i32);
            self.dismissed = true;
            return Ok(());
        }
        let waiting = command.start(signals.inherited())?;
        self.engine.watch_starting(waiting.pid());
        note(format_args!(
            "watching {} and its children (process {}){}{}",
            self.options
                .command
                .first()
                .map_or_else(String::new, |name| name.to_string_lossy().into_owned()),
            waiting.pid(),
            self.filters(),
            match self.place.is_joined() {
                true => "; what it prints and the report are joined (-o FILE keeps them apart)",
                false => "",
            }
        ));
        let pid = waiting.pid();
        self.command = Some(waiting.go()?);
        // It runs its program by now, and may be gone before anything of it is
        // read.
        self.engine.on_process(pid);
        Ok(())
    }
}

/// How long it may take to begin before that is said.
const SLOW: Duration = Duration::from_secs(3);

/// Does what takes a fifth of a second where nothing else runs, and says so where
/// it takes long: who waits at a terminal would think that it hangs.
fn patiently<T>(work: impl FnOnce() -> T) -> T {
    if !io::stderr().is_terminal() {
        return work();
    }
    let (done, waiting) = mpsc::channel::<()>();
    thread::scope(|scope| {
        let say = move || {
            if waiting.recv_timeout(SLOW) == Err(RecvTimeoutError::Timeout) {
                note(format_args!(
                    "not watching yet: this takes long where other work has the CPUs"
                ));
            }
        };
        // Where no thread can be had, it is not said.
        drop(thread::Builder::new().spawn_scoped(scope, say));
        let result = work();
        drop(done);
        result
    })
}
