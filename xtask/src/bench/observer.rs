//! Starts and ends what observes: truncwatch and strace.

use std::{
    path::Path,
    process::{Child, Command, ExitStatus, Stdio},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, bail};
use rustix::process::{Pid, Signal, kill_process};

use super::lines::Lines;

/// How long an observer may take to attach, and how long to end.
const PATIENCE: Duration = Duration::from_secs(20);

/// How often it is asked whether it has ended.
const TICK: Duration = Duration::from_millis(1);

/// What to run, and the words on standard error that say it is attached.
pub(super) struct Plan {
    command: Command,
    attached: &'static str,
}

/// truncwatch, watching one process.
pub(super) fn truncwatch(program: &Path, pid: u32) -> Plan {
    let mut command = Command::new(program);
    command.arg("--pid").arg(pid.to_string());
    Plan {
        command,
        attached: "truncwatch: watching",
    }
}

/// `strace` of every call of a process and its threads.
pub(super) fn strace(pid: u32) -> Plan {
    let mut command = Command::new("strace");
    command
        .args(["-f", "-o", "/dev/null", "-p"])
        .arg(pid.to_string());
    Plan {
        command,
        attached: "attached",
    }
}

impl Plan {
    /// With one more option, and its value.
    pub(super) fn option(mut self, name: &str, value: impl AsRef<std::ffi::OsStr>) -> Self {
        self.command.arg(name).arg(value);
        self
    }

    /// With one more flag.
    pub(super) fn flag(mut self, name: &str) -> Self {
        self.command.arg(name);
        self
    }

    /// Starts it and waits until it is attached.
    pub(super) fn start(mut self) -> Result<Observer> {
        let name = self.command.get_program().to_string_lossy().into_owned();
        let spawned = Instant::now();
        let mut child = self
            .command
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .with_context(|| format!("cannot run {name}"))?;
        let stderr = child.stderr.take();
        let mut observer = Observer {
            child,
            took: Duration::ZERO,
        };
        let lines = Lines::of(stderr.context("standard error was not asked for")?);
        let mut said = String::new();
        loop {
            let line = lines
                .next(PATIENCE)
                .with_context(|| format!("{name} did not attach: {said}"))?;
            if line.text.contains(self.attached) {
                observer.took = line.at.duration_since(spawned);
                return Ok(observer);
            }
            said.push_str(&line.text);
        }
    }
}

/// A running observer. Killed and reaped on drop.
pub(super) struct Observer {
    child: Child,
    /// From its start until it was attached.
    pub(super) took: Duration,
}

impl Observer {
    /// Ends it with SIGINT, as a user would.
    pub(super) fn stop(mut self) -> Result<ExitStatus> {
        let pid = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw);
        let pid = pid.context("not a process number")?;
        if let Some(status) = self.child.try_wait()? {
            bail!("the observer ended by itself: {status}");
        }
        // Its number is its own until it has been waited for.
        kill_process(pid, Signal::INT)?;
        let deadline = Instant::now() + PATIENCE;
        loop {
            if let Some(status) = self.child.try_wait()? {
                return Ok(status);
            }
            if Instant::now() > deadline {
                bail!("the observer does not end upon SIGINT");
            }
            thread::sleep(TICK);
        }
    }
}

impl Drop for Observer {
    fn drop(&mut self) {
        reap(&mut self.child);
    }
}

/// Kills a child if it still runs, and waits for it.
pub(super) fn reap(child: &mut Child) {
    if let Err(error) = child.kill().and_then(|()| child.wait()) {
        eprintln!("bench: cannot end process {}: {error}", child.id());
    }
}
