//! Runs the program `calls`, which makes exactly the system calls it is told to, for one
//! connection, and the program `crowd`, in which several threads or processes have to do with
//! one socket.

use std::io::{BufRead as _, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};

use crate::TempDir;
use crate::client::{Addr, Conn, Outcome, Request};

/// Longest that one of its runs may take.
const PATIENCE: Duration = Duration::from_secs(10);

/// Builds it; quick when it is up to date.
///
/// # Errors
/// If cargo fails.
pub fn build() -> Result<PathBuf> {
    build_program("calls")
}

fn build_program(name: &str) -> Result<PathBuf> {
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
            name,
        ])
        .current_dir(workspace)
        .status()?;
    if !status.success() {
        bail!("the program {name} could not be built");
    }
    let target = std::env::var_os("CARGO_TARGET_DIR")
        .map_or_else(|| workspace.join("target"), PathBuf::from);
    Ok(target.join("debug").join(name))
}

/// One run: the process and what its client received.
#[derive(Debug)]
pub struct Run {
    /// The process that accepted the connection.
    pub pid: u32,
    /// What the client received.
    pub outcome: Outcome,
}

/// A process whose children make the calls, one after the other: a watch that follows it sees
/// them from their first instruction, and nothing else. Ended and reaped on drop.
#[derive(Debug)]
pub struct Launcher {
    child: Child,
    addresses: Option<ChildStdin>,
    lines: BufReader<ChildStdout>,
}

impl Launcher {
    /// Starts it.
    ///
    /// # Errors
    /// If it cannot be started.
    pub fn start(binary: &Path) -> Result<Self> {
        let mut child = Command::new(binary)
            .arg("launcher")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .with_context(|| format!("cannot start {}", binary.display()))?;
        let addresses = child.stdin.take();
        let stdout = child.stdout.take().context("no standard output")?;
        Ok(Self {
            child,
            addresses,
            lines: BufReader::new(stdout),
        })
    }

    /// Its process number.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Has a child started, sends it one request for this path (see the program's source), and
    /// waits for its end.
    ///
    /// # Errors
    /// If it does not start; never for how it ends.
    pub fn run(&mut self, tcp: bool, path: &str) -> Result<Run> {
        self.run_with(tcp, |mut connection| {
            let outcome = connection.request(&Request::get(path));
            (outcome, Some(connection))
        })
    }

    /// The same with a client that does what it wants; it gives back the connection if it is to
    /// stay open until the child has ended.
    ///
    /// # Errors
    /// If it does not start; never for how it ends.
    pub fn run_with(
        &mut self,
        tcp: bool,
        client: impl FnOnce(Conn) -> (Outcome, Option<Conn>),
    ) -> Result<Run> {
        let folder = TempDir::new()?;
        let address = if tcp {
            "tcp".to_owned()
        } else {
            format!("unix:{}", folder.path().join("calls.sock").display())
        };
        let addresses = self.addresses.as_mut().context("no standard input")?;
        writeln!(addresses, "{address}")?;
        let pid = self.line("pid ")?.parse()?;
        let addr: Addr = self.line("listening ")?.parse()?;
        let (outcome, connection) = client(Conn::connect_with(&addr, PATIENCE)?);
        self.line("ended")?;
        drop(connection);
        Ok(Run { pid, outcome })
    }

    /// The rest of the next line, which begins so.
    fn line(&mut self, start: &str) -> Result<String> {
        let mut line = String::new();
        self.lines.read_line(&mut line)?;
        let rest = line.trim_end().strip_prefix(start);
        Ok(rest
            .with_context(|| format!("calls said {line:?}, not {start:?}"))?
            .to_owned())
    }
}

impl Drop for Launcher {
    fn drop(&mut self) {
        // At the end of its input it ends.
        drop(self.addresses.take());
        if self.child.wait().is_err() {
            eprintln!("calls could not be ended");
        }
    }
}

/// A running `crowd` (see its source). Killed and reaped on drop.
#[derive(Debug)]
pub struct Crowd {
    child: Child,
    addr: Addr,
    _folder: TempDir,
    stdout: BufReader<ChildStdout>,
}

impl Crowd {
    /// Builds it if need be, starts it in this mode, and waits until it listens.
    ///
    /// # Errors
    /// If it cannot be built or does not start.
    pub fn start(mode: &str, tcp: bool) -> Result<Self> {
        let folder = TempDir::new()?;
        let address = if tcp {
            "tcp".to_owned()
        } else {
            format!("unix:{}", folder.path().join("crowd.sock").display())
        };
        let mut child = Command::new(build_program("crowd")?)
            .args([mode, &address])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .context("cannot start crowd")?;
        let mut stdout = BufReader::new(child.stdout.take().context("no standard output")?);
        let mut line = String::new();
        stdout.read_line(&mut line)?;
        let addr = line
            .trim()
            .strip_prefix("listening ")
            .and_then(|addr| addr.parse().ok())
            .with_context(|| format!("not a line of crowd: {line:?}"))?;
        Ok(Self {
            child,
            addr,
            _folder: folder,
            stdout,
        })
    }

    /// Where it listens.
    pub fn addr(&self) -> &Addr {
        &self.addr
    }

    /// Waits until it has said that it shut a connection down (`blocked`).
    ///
    /// # Errors
    /// If it ended, or said something else.
    pub fn wait_shut_down(&mut self) -> Result<()> {
        let mut line = String::new();
        self.stdout.read_line(&mut line)?;
        ensure!(line == "shut down\n", "not a line of crowd: {line:?}");
        Ok(())
    }

    /// Its process number.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }
}

impl Drop for Crowd {
    fn drop(&mut self) {
        if self.child.kill().is_ok() && self.child.wait().is_err() {
            eprintln!("crowd could not be ended");
        }
    }
}
