//! Goes over to another configuration without losing anything: counters, rate
//! limits and connections stay. Where the kernel side has to be told what it can
//! only be told at load, a new one is attached before the old one is let go.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};

use super::{Config, Daemon, settings, sinks::Sink, textfile, watching::Watching};
use crate::{recording::RecordedJudge, report::note, watch::engine::Engine};

/// How often units are looked for that do not run.
const UNITS: Duration = Duration::from_secs(5);

/// How long two engines may have seen the same ending.
const BOTH: Duration = Duration::from_secs(5);

impl Daemon {
    /// Reads the configuration again. One that is wrong is told, and the old one
    /// stays.
    pub(super) async fn reload(&mut self) {
        self.notify.reloading();
        match self.try_reload() {
            Ok(()) => {
                self.reloads += 1;
                if let Err(error) = self.listening.go_to(self.config.metrics.listen).await {
                    note(format_args!("{error:#}; the old address stays"));
                }
                note(format_args!("reloaded: watching {}", self.words()));
            }
            Err(error) => {
                self.reload_failures += 1;
                note(format_args!("{error:#}; the old configuration stays"));
            }
        }
        let status = format!("watching {}", self.words());
        self.notify.ready(&status);
    }

    fn try_reload(&mut self) -> Result<()> {
        let config = Config::load(self.path.as_deref())?;
        let watching = Watching::of(&config)?;
        self.go_over(&config, watching)?;
        let old = std::mem::replace(&mut self.config, config);
        let config = &self.config;
        self.nice.set(config.limits.nice);
        let findings = &config.findings;
        self.limiter.set(
            findings.in_full,
            findings.in_full_all,
            findings.period_seconds,
        );
        if findings.output != old.findings.output {
            let failures = self.sink.failures;
            self.sink = Sink::new(findings.output);
            self.sink.failures = failures;
        }
        if config.metrics.textfile != old.metrics.textfile
            || config.metrics.textfile_seconds != old.metrics.textfile_seconds
        {
            // The old one first: it removes its file.
            self.textfile = None;
            self.textfile = textfile(config);
        }
        Ok(())
    }

    /// Watches what another configuration says.
    fn go_over(&mut self, config: &Config, watching: Watching) -> Result<()> {
        let new = settings(config, watching.filter.clone());
        if !self.engine.becomes(&new)? {
            let engine = Engine::start(new, RecordedJudge::default())
                .context("the new filters cannot be attached")?;
            // What the old one saw it tells, and connections that are open are
            // to the new one as if joined in mid-stream.
            let sockets = self.drain();
            self.before = std::mem::take(&mut self.before).and(&self.engine);
            self.engine = engine;
            self.told_before = Some((Instant::now() + BOTH, sockets));
            note(format_args!(
                "the filters were attached again: connections that are open now are judged from the second message whose place is certain"
            ));
        }
        watching.note_missing();
        self.missing = watching.missing;
        Ok(())
    }

    /// Watches units that have begun to run.
    pub(super) fn look_for_missing_units(&mut self) {
        let now = Instant::now();
        if self.missing.is_empty() || now < self.missing_due {
            return;
        }
        self.missing_due = now + UNITS;
        let watching = match Watching::of(&self.config) {
            Ok(watching) if watching.missing != self.missing => watching,
            // A group that went away meanwhile, say: the next time.
            _ => return,
        };
        let config = self.config.clone();
        let before = std::mem::take(&mut self.missing);
        match self.go_over(
            &config,
            Watching {
                filter: watching.filter,
                missing: watching.missing,
            },
        ) {
            Ok(()) => {
                for unit in before.iter().filter(|unit| !self.missing.contains(unit)) {
                    note(format_args!("the unit {unit} runs now, and is watched"));
                }
            }
            Err(error) => {
                self.missing = before;
                self.trouble(&error);
            }
        }
    }
}
