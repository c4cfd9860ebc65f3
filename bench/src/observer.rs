//! Starts and ends what observes: truncwatch, strace, bpftrace.

use std::{
    fs,
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

/// What to run, and the words that say it is attached, on standard error or output.
pub(super) struct Plan {
    command: Command,
    attached: &'static str,
    on_output: bool,
}

/// truncwatch, watching one process.
pub(super) fn truncwatch(program: &Path, pid: u32) -> Plan {
    let mut command = Command::new(program);
    command.arg("--pid").arg(pid.to_string());
    Plan {
        command,
        attached: "truncwatch: watching",
        on_output: false,
    }
}

/// The daemon, with this configuration.
pub(super) fn daemon(program: &Path, config: &Path) -> Plan {
    let mut command = Command::new(program);
    command.args(["daemon", "--config"]).arg(config);
    Plan {
        command,
        attached: "truncwatch: watching",
        on_output: false,
    }
}

/// bpftrace with a script that prints `attached` when it is.
pub(super) fn bpftrace(script: &str) -> Plan {
    let mut command = Command::new("bpftrace");
    command.args(["-B", "line", "-e", script]);
    Plan {
        command,
        attached: "attached",
        on_output: true,
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
        on_output: false,
    }
}

/// CPU time that the threads of a process had so far, nanoseconds
/// (`/proc/PID/task/TID/schedstat`).
pub(super) fn cpu_ns(pid: u32) -> Result<f64> {
    let mut sum = 0.0;
    for entry in fs::read_dir(format!("/proc/{pid}/task"))? {
        // A thread that has just ended has none any more.
        let text = fs::read_to_string(entry?.path().join("schedstat")).unwrap_or_default();
        let time = text.split_whitespace().next();
        sum += time.map_or(Ok(0.0), str::parse::<f64>)?;
    }
    Ok(sum)
}

/// Whether a truncwatch runs that is not ours. Its hooks are on the calls of
/// every process: "nothing attached" would not be nothing.
pub(super) fn another_truncwatch() -> Result<bool> {
    for entry in fs::read_dir("/proc")? {
        // No process, or one that has just ended, has no such file; one that has ended and
        // was not waited for has no program any more.
        let folder = entry?.path();
        let name = fs::read_to_string(folder.join("comm"));
        if name.is_ok_and(|name| name.trim_end() == "truncwatch")
            && fs::read_link(folder.join("exe")).is_ok()
        {
            return Ok(true);
        }
    }
    Ok(false)
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
            .stdout(match self.on_output {
                true => Stdio::piped(),
                false => Stdio::null(),
            })
            .stderr(match self.on_output {
                true => Stdio::inherit(),
                false => Stdio::piped(),
            })
            .spawn()
            .with_context(|| format!("cannot run {name}"))?;
        let output = child.stdout.take().map(Lines::of);
        let errors = child.stderr.take().map(Lines::of);
        let mut observer = Observer {
            child,
            took: Duration::ZERO,
        };
        let lines = output.or(errors).context("neither was asked for")?;
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
    /// Its process.
    pub(super) fn pid(&self) -> u32 {
        self.child.id()
    }

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
