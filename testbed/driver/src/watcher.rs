//! Runs truncwatch itself, as its users do.

use std::io::{BufRead, BufReader, Read};
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

/// How long it may take to begin, and to end after it was asked to.
const PATIENCE: Duration = Duration::from_secs(60);

/// A running truncwatch that prints JSON lines. Ended on drop.
#[derive(Debug)]
pub struct Watcher {
    child: Child,
    output: Option<JoinHandle<String>>,
    errors: Receiver<String>,
    seen: String,
}

/// What a watch printed.
#[derive(Clone, Debug)]
pub struct Report {
    /// The findings, in order.
    pub findings: Vec<Value>,
    /// The summary.
    pub summary: Value,
    /// Everything on standard error.
    pub errors: String,
    /// How it ended.
    pub status: ExitStatus,
}

impl Watcher {
    /// Starts `truncwatch --json` with these further arguments and waits until it watches. An
    /// ordinary user starts it through sudo.
    ///
    /// # Errors
    /// If it does not begin to watch; with what it said.
    pub fn start(truncwatch: &Path, arguments: &[&str]) -> Result<Self> {
        let mut command = command(truncwatch);
        command.arg("--json").args(arguments);
        let mut child = command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .with_context(|| format!("cannot start {}", truncwatch.display()))?;
        let mut stdout = child.stdout.take().context("no standard output")?;
        let stderr = child.stderr.take().context("no standard error")?;
        let output = thread::spawn(move || {
            let mut text = String::new();
            // What is not text is no report: the reader of it says so.
            if stdout.read_to_string(&mut text).is_err() {
                text.push_str("\n(not text)");
            }
            text
        });
        let (sender, errors) = channel();
        thread::spawn(move || {
            for line in BufReader::new(stderr).lines().map_while(Result::ok) {
                if sender.send(line).is_err() {
                    break;
                }
            }
        });
        let mut watcher = Self {
            child,
            output: Some(output),
            errors,
            seen: String::new(),
        };
        watcher.wait_for("truncwatch: watching")?;
        Ok(watcher)
    }

    /// Its process number (that of sudo, if it was started through it).
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Waits for a line on standard error that begins so.
    ///
    /// # Errors
    /// If it does not come.
    pub fn wait_for(&mut self, start: &str) -> Result<()> {
        let until = Instant::now() + PATIENCE;
        loop {
            match self
                .errors
                .recv_timeout(until.saturating_duration_since(Instant::now()))
            {
                Ok(line) => {
                    self.seen.push_str(&line);
                    self.seen.push('\n');
                    if line.starts_with(start) {
                        return Ok(());
                    }
                }
                Err(RecvTimeoutError::Timeout) => bail!("no line {start:?}: {}", self.seen),
                Err(RecvTimeoutError::Disconnected) => {
                    bail!("truncwatch ended: {}", self.seen.trim())
                }
            }
        }
    }

    /// Lets what is on its way settle, ends the watch with SIGINT and reads its report.
    ///
    /// # Errors
    /// If it does not end, or if its output is not what the interface says.
    pub fn stop(self) -> Result<Report> {
        // Longer than a shutdown waits to be judged.
        thread::sleep(Duration::from_millis(400));
        let pid = i32::try_from(self.child.id())
            .ok()
            .and_then(Pid::from_raw)
            .context("no process number")?;
        kill_process(pid, Signal::INT).context("cannot send SIGINT")?;
        self.finish()
    }

    /// Waits for the watch to end by itself, as when the watched process ended, and reads its
    /// report.
    ///
    /// # Errors
    /// As [`Watcher::stop`].
    pub fn finish(mut self) -> Result<Report> {
        let until = Instant::now() + PATIENCE;
        let status = loop {
            if let Some(status) = self.child.try_wait()? {
                break status;
            }
            if Instant::now() > until {
                bail!("truncwatch did not end within {PATIENCE:?}");
            }
            thread::sleep(Duration::from_millis(5));
        };
        let text = self
            .output
            .take()
            .and_then(|output| output.join().ok())
            .context("its output could not be read")?;
        let mut errors = std::mem::take(&mut self.seen);
        while let Ok(line) = self.errors.recv_timeout(PATIENCE) {
            errors.push_str(&line);
            errors.push('\n');
        }
        let mut findings = Vec::new();
        let mut summary = None;
        for line in text.lines() {
            let value: Value =
                serde_json::from_str(line).with_context(|| format!("not JSON: {line:?}"))?;
            match value.get("type").and_then(Value::as_str) {
                Some("finding") => findings.push(value),
                Some("summary") => summary = Some(value),
                other => bail!("an object of type {other:?}"),
            }
        }
        Ok(Report {
            findings,
            summary: summary.with_context(|| format!("no summary; {errors}"))?,
            errors,
            status,
        })
    }
}

impl Drop for Watcher {
    fn drop(&mut self) {
        if let Ok(None) = self.child.try_wait() {
            // Nothing can be done about a process that cannot be killed.
            if self.child.kill().is_ok() && self.child.wait().is_err() {}
        }
    }
}

/// truncwatch, through sudo for an ordinary user.
pub fn command(truncwatch: &Path) -> Command {
    if rustix::process::geteuid().is_root() {
        Command::new(truncwatch)
    } else {
        let mut command = Command::new("sudo");
        command.arg(truncwatch);
        command
    }
}

impl Report {
    /// A number of the summary.
    pub fn count(&self, name: &str) -> Option<u64> {
        self.summary.get(name).and_then(Value::as_u64)
    }

    /// How much was not judged, for all reasons.
    pub fn unjudged(&self) -> u64 {
        self.summary
            .get("unjudged")
            .and_then(Value::as_object)
            .map_or(0, |reasons| {
                reasons.values().filter_map(Value::as_u64).sum()
            })
    }

    /// Promised and accepted body bytes of each finding.
    pub fn sizes(&self) -> Vec<(u64, u64)> {
        let number = |finding: &Value, name| {
            finding
                .get(name)
                .and_then(Value::as_u64)
                .unwrap_or(u64::MAX)
        };
        self.findings
            .iter()
            .map(|finding| {
                (
                    number(finding, "promised_bytes"),
                    number(finding, "sent_bytes"),
                )
            })
            .collect()
    }
}
