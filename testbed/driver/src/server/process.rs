//! A running server.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, ChildStdout, Command, ExitStatus, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, Signal, kill_process};

use super::{HyperVersion, Listen, Options, build};
use crate::client::Addr;
use crate::cpu::on_cpu;
use crate::temp::TempDir;

/// How long a server may take from exec to `listening`. Generous: it may run under a tracer.
const START: Duration = Duration::from_secs(20);

/// A test server that accepts connections. Killed and reaped on drop.
#[derive(Debug)]
pub struct Server {
    child: Child,
    addr: Addr,
    /// Held open: a server that prints to a closed pipe fails.
    _stdout: BufReader<ChildStdout>,
    /// The socket's folder. After `child`: [`Drop`] has reaped the process by the time it goes.
    _folder: Option<TempDir>,
}

impl Server {
    /// Builds the server for `version` if need be, starts it, and waits until it listens.
    ///
    /// # Errors
    /// If it cannot be built or does not come up.
    pub fn start(version: HyperVersion, options: &Options) -> Result<Self> {
        Self::start_binary(&build(version)?, options)
    }

    /// Starts a server that [`build()`] has built, and waits until it listens.
    ///
    /// # Errors
    /// If it cannot be started, exits, or does not say within 20 s that it listens.
    pub fn start_binary(binary: &Path, options: &Options) -> Result<Self> {
        let mut command = Command::new(binary);
        command.args(options.flags());
        Self::start_command(command, options.listen, options.cpu)
    }

    /// Starts a program that takes `--unix PATH` or `--tcp ADDR:PORT` as its last arguments and
    /// prints `listening ADDRESS`, and waits for that line.
    ///
    /// # Errors
    /// As [`Server::start_binary`].
    pub(crate) fn start_command(
        mut command: Command,
        listen: Listen,
        cpu: Option<usize>,
    ) -> Result<Self> {
        command.stdin(Stdio::null()).stdout(Stdio::piped());
        let folder = match listen {
            Listen::Tcp(addr) => {
                command.arg("--tcp").arg(addr.to_string());
                None
            }
            Listen::Unix => {
                let folder = TempDir::new()?;
                command.arg("--unix").arg(folder.path().join("server.sock"));
                Some(folder)
            }
        };

        let spawned = match cpu {
            Some(cpu) => on_cpu(cpu, || command.spawn())
                .with_context(|| format!("cannot run on CPU {cpu}"))?,
            None => command.spawn(),
        };
        let mut child =
            spawned.with_context(|| format!("cannot run {}", command.get_program().display()))?;
        match wait_for_address(&mut child, listen) {
            Ok((addr, stdout)) => Ok(Self {
                child,
                addr,
                _stdout: stdout,
                _folder: folder,
            }),
            Err(error) => {
                stop(&mut child);
                Err(error)
            }
        }
    }

    /// Where it listens.
    pub fn addr(&self) -> &Addr {
        &self.addr
    }

    /// The process id.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Sends a signal. The process is reaped by [`Server::wait`] or on drop, so that its number
    /// cannot have become somebody else's.
    ///
    /// # Errors
    /// If it has been reaped already.
    pub fn kill(&mut self, signal: Signal) -> Result<()> {
        if let Some(status) = self.child.try_wait()? {
            bail!("the server has gone already: {status}");
        }
        let pid = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw);
        kill_process(pid.context("not a process id")?, signal)?;
        Ok(())
    }

    /// Waits until the process ends and reaps it.
    ///
    /// # Errors
    /// Those of `waitpid`.
    pub fn wait(&mut self) -> Result<ExitStatus> {
        Ok(self.child.wait()?)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        stop(&mut self.child);
    }
}

/// Reads the line with which the server says that it accepts connections.
fn wait_for_address(child: &mut Child, listen: Listen) -> Result<(Addr, BufReader<ChildStdout>)> {
    let stdout = child
        .stdout
        .take()
        .context("the server has no standard output")?;
    let deadline = Timespec::try_from(START)?;
    let ready = poll(&mut [PollFd::new(&stdout, PollFlags::IN)], Some(&deadline))?;
    ensure!(
        ready > 0,
        "the server does not listen after {} s",
        START.as_secs()
    );

    // The line is written in one piece, so what follows does not block.
    let mut stdout = BufReader::new(stdout);
    let mut line = String::new();
    stdout.read_line(&mut line)?;
    let address = line.trim_end().strip_prefix("listening ");
    let address = address.with_context(|| format!("the server did not start, it said {line:?}"))?;
    let addr = match listen {
        Listen::Unix => Addr::Unix(address.into()),
        Listen::Tcp(_) => Addr::Tcp(address.parse()?),
    };
    Ok((addr, stdout))
}

/// Exactly this process: its number is its own until it has been waited for.
fn stop(child: &mut Child) {
    if let Err(error) = child.kill().and_then(|()| child.wait()) {
        eprintln!(
            "testbed: cannot stop the server (process {}): {error}",
            child.id()
        );
    }
}
