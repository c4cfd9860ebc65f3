//! The daemon, and what it takes.

use std::{
    fs,
    io::{BufRead as _, BufReader},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    thread,
};

use anyhow::{Context as _, Result, bail};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

/// The daemon's own numbers.
const NUMBERS: &str = "truncwatch.prom";

/// A daemon in a folder of its own, killed with its handle.
pub(crate) struct Daemon {
    child: Child,
    numbers: PathBuf,
    told: PathBuf,
}

impl Daemon {
    /// Starts it, with a configuration in which every finding is told in full, and
    /// with this in it; it does not watch yet.
    pub(crate) fn spawn(truncwatch: &Path, folder: &Path, more: &str) -> Result<Self> {
        let config = folder.join("c.toml");
        let numbers = folder.join(NUMBERS);
        let told = folder.join("told");
        fs::write(
            &config,
            format!(
                "[findings]\noutput = \"stdout\"\nin_full = 100000000\nin_full_all = 100000000\n\
                 [metrics]\ntextfile = {numbers:?}\ntextfile_seconds = 1\n{more}",
            ),
        )?;
        let child = Command::new(truncwatch)
            .args(["daemon", "--config"])
            .arg(&config)
            .stdin(Stdio::null())
            .stdout(fs::File::options().create(true).append(true).open(&told)?)
            .stderr(Stdio::piped())
            .spawn()?;
        Ok(Self {
            child,
            numbers,
            told,
        })
    }

    /// Waits until it watches. What it says goes to standard error.
    pub(crate) fn watches(&mut self) -> Result<()> {
        let errors = self.child.stderr.take().context("no standard error")?;
        let mut lines = BufReader::new(errors).lines();
        loop {
            let line = lines.next().context("the daemon ended")??;
            eprintln!("{line}");
            if line.contains("watching") {
                break;
            }
        }
        thread::spawn(move || {
            for line in lines.map_while(Result::ok) {
                eprintln!("{line}");
            }
        });
        Ok(())
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Its counters, as it wrote them last: every second.
    pub(crate) fn numbers(&self) -> Result<String> {
        Ok(fs::read_to_string(&self.numbers)?)
    }

    /// One of them, by its whole name with labels.
    pub(crate) fn number(&self, series: &str) -> Result<f64> {
        let page = self.numbers()?;
        let line = page.lines().find_map(|line| line.strip_prefix(series));
        let number = line.and_then(|number| number.trim().parse().ok());
        number.with_context(|| format!("no {series}"))
    }

    /// Ends it as a service manager does.
    pub(crate) fn end(&mut self) -> Result<()> {
        let pid = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw);
        kill_process(pid.context("no process number")?, Signal::TERM)?;
        let status = self.child.wait()?;
        if !status.success() {
            bail!("the daemon ended with {status}");
        }
        Ok(())
    }

    /// Kills it; an error if it had ended by itself.
    pub(crate) fn kill(&mut self) -> Result<()> {
        if let Some(status) = self.child.try_wait()? {
            bail!("the daemon ended by itself: {status}");
        }
        self.child.kill()?;
        self.child.wait()?;
        Ok(())
    }

    /// What it told.
    pub(crate) fn findings(&self) -> Result<Vec<Value>> {
        findings(&self.told)
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        // It may have ended by itself.
        if self.child.kill().is_ok() && self.child.wait().is_err() {}
    }
}

/// What was told in this file, without stacks and timelines: an hour makes
/// gigabytes of them. A line may have been cut by a kill.
pub(crate) fn findings(told: &Path) -> Result<Vec<Value>> {
    let mut all = Vec::new();
    for line in BufReader::new(fs::File::open(told)?).split(b'\n') {
        if let Ok(Value::Object(mut object)) = serde_json::from_slice(&line?) {
            object.retain(|name, _| {
                ["time", "process", "cause", "promised_bytes"].contains(&&**name)
            });
            all.push(Value::Object(object));
        }
    }
    Ok(all)
}

/// What the daemon takes at a moment.
#[derive(Clone, Copy)]
pub(crate) struct Sample {
    pub(crate) resident_kib: u64,
    /// The most so far, also between samples.
    pub(crate) peak_kib: u64,
    pub(crate) descriptors: usize,
    /// Programs, maps and links among them.
    pub(crate) bpf: usize,
}

impl Sample {
    pub(crate) fn of(pid: u32) -> Result<Self> {
        let status = fs::read_to_string(format!("/proc/{pid}/status"))
            .context("the daemon does not run any more")?;
        let number = |name: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(name));
            let number = line.and_then(|line| line.split_whitespace().next()?.parse().ok());
            number.with_context(|| format!("no {name}"))
        };
        let mut descriptors = 0;
        let mut bpf = 0;
        for entry in fs::read_dir(format!("/proc/{pid}/fd"))? {
            descriptors += 1;
            // It may have been closed meanwhile.
            let link = fs::read_link(entry?.path()).unwrap_or_default();
            bpf += usize::from(link.to_string_lossy().contains("bpf"));
        }
        Ok(Self {
            resident_kib: number("VmRSS:")?,
            peak_kib: number("VmHWM:")?,
            descriptors,
            bpf,
        })
    }
}
