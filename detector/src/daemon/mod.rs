//! `truncwatch daemon`: a watch without end, for months beside everything else.
//!
//! | file | what it does |
//! | --- | --- |
//! | `config.rs` | the configuration: what its keys mean, what is wrong with it |
//! | `watching.rs` | what is watched, as the kernel side is told |
//! | `events.rs` | what the daemon waits for |
//! | `reload.rs` | goes over to another configuration without losing anything |
//! | `findings.rs` | what is told, counted, or held back |
//! | `limiter.rs` | how many findings are told in full |
//! | `sinks/` | the journal, or standard output |
//! | `metrics/` | numbers for Prometheus |
//! | `listening.rs` | where they are had |
//! | `notify.rs` | what systemd is told |
//! | `self_usage.rs` | what the daemon itself uses |

mod config;
mod events;
mod findings;
mod limiter;
mod listening;
mod metrics;
mod notify;
mod reload;
mod self_usage;
mod sinks;
mod totals;
mod watching;

use std::{
    collections::HashSet,
    io::{self, Write as _},
    path::PathBuf,
    time::{Instant, SystemTime},
};

use anyhow::{Context as _, Result};
use tokio::sync::mpsc;

pub use self::config::{Config, DEFAULT_PATH};
use self::{
    limiter::Limiter,
    listening::Listening,
    metrics::{Asked, Map, Textfile, Truncated},
    notify::Notify,
    sinks::Sink,
    totals::Totals,
    watching::{Watching, settings, words},
};
use crate::{
    process::{heap, priority::Priority, signals::Signals},
    recording::RecordedJudge,
    report::note,
    watch::engine::Engine,
};

/// What the command line asks of the daemon.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// The configuration; [`DEFAULT_PATH`] if that is there, where none is named.
    pub config: Option<PathBuf>,
    /// Say whether the configuration is right, and do nothing else.
    pub check_config: bool,
}

/// Runs until SIGTERM or SIGINT; the exit status is then 0, whatever was found.
///
/// # Errors
///
/// If it cannot begin. Each error's text says what to do next.
pub fn run(options: &Options) -> Result<u8> {
    let path = options.config.as_deref();
    if options.check_config {
        let right = config::check(path)?;
        return match writeln!(io::stdout(), "{right}") {
            // A reader that went away does not make the configuration wrong.
            Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
                Err(error).context("cannot print that the configuration is right")
            }
            _ => Ok(0),
        };
    }
    let config = Config::load(path)?;
    heap::keep_little();
    // Before there are other threads, which inherit both.
    let nice = Priority::new(config.limits.nice);
    let signals = Signals::take(false).context("cannot wait for signals")?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("cannot start the event loop")?;
    runtime.block_on(async {
        let signals = signals.into_async().context("cannot wait for signals")?;
        let mut daemon = Daemon::start(config, options.config.clone(), nice).await?;
        daemon.run(&signals).await?;
        daemon.finish();
        Ok(0)
    })
}

struct Daemon {
    config: Config,
    /// The file that was named.
    path: Option<PathBuf>,
    engine: Engine,
    /// Units that do not run, and when they are looked for again.
    missing: Vec<String>,
    missing_due: Instant,
    /// What engines before this one came to.
    before: Totals,
    /// Sockets of findings that the engine before this one told at its end, for
    /// both may have seen them; and until when.
    told_before: Option<(Instant, HashSet<u64>)>,
    limiter: Limiter,
    sink: Sink,
    truncated: Truncated,
    held_back: u64,
    excluded: u64,
    reloads: u64,
    reload_failures: u64,
    /// Where scrapers are heard.
    asked: mpsc::Receiver<Asked>,
    listening: Listening,
    textfile: Option<Textfile>,
    notify: Notify,
    nice: Priority,
    maps: Vec<Map>,
    maps_due: Instant,
    /// When the daemon's own memory is looked at again.
    own_due: Instant,
    trim_due: Instant,
    /// Until when stacks are let go.
    shed_until: Option<Instant>,
    /// What went wrong last.
    trouble: Option<String>,
    started: SystemTime,
}

impl Daemon {
    async fn start(config: Config, path: Option<PathBuf>, nice: Priority) -> Result<Self> {
        let watching = Watching::of(&config)?;
        let sink = Sink::new(config.findings.output);
        let engine = Engine::start(
            settings(&config, watching.filter.clone()),
            RecordedJudge::default(),
        )?;
        watching.note_missing();
        for what in engine.not_seen() {
            note(format_args!("not seen: {what}"));
        }
        let (ask, asked) = mpsc::channel(16);
        let now = Instant::now();
        let findings = &config.findings;
        let listening = Listening::start(config.metrics.listen, ask).await?;
        let mut daemon = Self {
            limiter: Limiter::new(
                findings.in_full,
                findings.in_full_all,
                findings.period_seconds,
            ),
            path,
            engine,
            missing: watching.missing,
            missing_due: now,
            before: Totals::default(),
            told_before: None,
            sink,
            truncated: Truncated::new(),
            held_back: 0,
            excluded: 0,
            reloads: 0,
            reload_failures: 0,
            asked,
            listening,
            textfile: textfile(&config),
            notify: Notify::new(),
            nice,
            maps: Vec::new(),
            maps_due: now,
            own_due: now,
            trim_due: now,
            shed_until: None,
            trouble: None,
            started: SystemTime::now(),
            config,
        };
        let status = daemon.words();
        note(format_args!("watching {status}"));
        daemon.notify.ready(&format!("watching {status}"));
        Ok(daemon)
    }

    /// What it does, in words.
    fn words(&self) -> String {
        format!(
            "{}; findings go to {}, {}",
            words(&self.config),
            self.sink.name(),
            self.listening.words()
        )
    }
}

fn textfile(config: &Config) -> Option<Textfile> {
    let path = config.metrics.textfile.clone()?;
    Some(Textfile::new(path, config.metrics.textfile_seconds))
}
