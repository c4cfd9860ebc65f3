//! Runs the program `calls`, which makes exactly the system calls it is told to, for one
//! connection.

use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::{Context as _, Result, bail};

use crate::TempDir;
use crate::client::{Addr, Conn, Outcome, Request};

/// Longest that one of its runs may take.
const PATIENCE: Duration = Duration::from_secs(10);

/// Builds it; quick when it is up to date.
///
/// # Errors
/// If cargo fails.
pub fn build() -> Result<PathBuf> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let workspace = Path::new(env!("CARGO_MANIFEST_DIR"))
        .ancestors()
        .nth(2)
        .context("no workspace")?;
    let status = Command::new(cargo)
        .args([
            "build",
            "--quiet",
            "--locked",
            "--package",
            "testbed",
            "--bin",
            "calls",
        ])
        .current_dir(workspace)
        .status()?;
    if !status.success() {
        bail!("the program calls could not be built");
    }
    let target = std::env::var_os("CARGO_TARGET_DIR")
        .map_or_else(|| workspace.join("target"), PathBuf::from);
    Ok(target.join("debug/calls"))
}

/// One run: the process and what its client received.
#[derive(Debug)]
pub struct Run {
    /// The process that accepted the connection.
    pub pid: u32,
    /// What the client received.
    pub outcome: Outcome,
}

/// Starts the program, sends it one request for this path (see its source), and waits for its
/// end.
///
/// # Errors
/// If it does not start; never for how it ends.
pub fn run(binary: &Path, tcp: bool, path: &str) -> Result<Run> {
    let folder = TempDir::new()?;
    let socket = folder.path().join("calls.sock");
    let address = if tcp {
        "tcp".to_owned()
    } else {
        format!("unix:{}", socket.display())
    };
    let mut child = Ended(
        Command::new(binary)
            .arg(address)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .with_context(|| format!("cannot start {}", binary.display()))?,
    );
    let stdout = child.0.stdout.take().context("no standard output")?;
    let mut line = String::new();
    BufReader::new(stdout).read_line(&mut line)?;
    let addr: Addr = line
        .trim()
        .strip_prefix("listening ")
        .and_then(|addr| addr.parse().ok())
        .with_context(|| format!("not a line of calls: {line:?}"))?;
    let mut connection = Conn::connect_with(&addr, PATIENCE)?;
    let outcome = connection.request(&Request::get(path));
    let pid = child.0.id();
    child.0.wait()?;
    Ok(Run { pid, outcome })
}

/// Killed and reaped, if it is still there, when this goes away.
struct Ended(Child);

impl Drop for Ended {
    fn drop(&mut self) {
        if matches!(self.0.try_wait(), Ok(None)) && self.0.kill().is_ok() && self.0.wait().is_err()
        {
            eprintln!("calls could not be ended");
        }
    }
}
