//! The process whose calls are timed: this program again, with a hidden option.
//!
//! It waits for a line with a [`Plan`], makes so many bursts of each kind of
//! call, and prints a line with the [`Times`] that one call took.

use std::{
    io::{BufRead as _, Write as _, stdin, stdout},
    os::fd::OwnedFd,
    process::{Child, ChildStdin, Command, Stdio},
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, ensure};
use rustix::{
    net::{
        AddressFamily, RecvFlags, SendFlags, Shutdown, SocketFlags, SocketType, recv, send,
        shutdown, socketpair,
    },
    process::getppid,
};
use serde::{Deserialize, Serialize};

use super::{
    lines::Lines,
    observer::reap,
    statistics::{median, percentile},
};

/// Bytes per send.
const LENGTH: usize = 512;

/// Calls per burst: so few that no send ever waits for room in the socket, so
/// many that reading the clock does not matter.
const BURST: u32 = 64;

const REQUEST: &[u8] = b"GET / HTTP/1.1\r\nHost: bench\r\n\r\n";

/// The judge reads twenty times a second.
const SETTLED: Duration = Duration::from_millis(200);

/// How long a worker may take for a run, and to end.
const PATIENCE: Duration = Duration::from_secs(60);

/// Calls that a filtering strace traces: what is needed to see a truncated
/// message.
const FILTER: &str = "trace=sendto,sendmsg,write,writev,shutdown,close";

/// How often to call.
#[derive(Clone, Copy, Serialize, Deserialize)]
pub(super) struct Plan {
    /// Bursts of each kind of call.
    pub(super) bursts: u32,
    /// Percentile of the bursts that is reported.
    pub(super) percentile: usize,
}

/// Nanoseconds per call.
#[derive(Clone, Copy, Default, Serialize, Deserialize)]
pub(super) struct Times {
    /// A send of 512 bytes of a body whose head was sent a while ago.
    pub(super) send: f64,
    /// A send of 512 bytes that are a whole response, head and body.
    pub(super) head: f64,
    /// A call that has nothing to do with sockets.
    pub(super) getppid: f64,
    /// A connection: opened, a request read, a whole response sent in one call,
    /// shut down and closed.
    pub(super) connection: f64,
}

impl Times {
    /// Applies `f` to each number and its counterpart.
    pub(super) fn zip(self, other: Self, f: impl Fn(f64, f64) -> f64) -> Self {
        Self {
            send: f(self.send, other.send),
            head: f(self.head, other.head),
            getppid: f(self.getppid, other.getppid),
            connection: f(self.connection, other.connection),
        }
    }

    /// Each number's median.
    pub(super) fn median(all: &[Self]) -> Self {
        Self {
            send: median(all.iter().map(|times| times.send)),
            head: median(all.iter().map(|times| times.head)),
            getppid: median(all.iter().map(|times| times.getppid)),
            connection: median(all.iter().map(|times| times.connection)),
        }
    }
}

/// A worker. Ended and reaped on drop.
pub(super) struct Worker {
    child: Child,
    /// Its end is the worker's.
    stdin: Option<ChildStdin>,
    answers: Lines,
}

impl Worker {
    /// Starts a worker that waits.
    pub(super) fn start() -> Result<Self> {
        Self::spawn(Command::new(std::env::current_exe()?))
    }

    /// Starts one under `strace --seccomp-bpf`, which cannot be attached to a
    /// running process.
    pub(super) fn start_under_strace() -> Result<Self> {
        let mut command = Command::new("strace");
        command
            .args(["-f", "--seccomp-bpf", "-e", FILTER, "-o", "/dev/null"])
            .arg(std::env::current_exe()?);
        Self::spawn(command)
    }

    fn spawn(mut command: Command) -> Result<Self> {
        let mut child = command
            .args(["bench", "--worker"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .with_context(|| format!("cannot run {}", command.get_program().display()))?;
        let stdin = child.stdin.take();
        let stdout = child.stdout.take().context("no pipe from the worker")?;
        Ok(Self {
            child,
            stdin,
            answers: Lines::of(stdout),
        })
    }

    /// Its process number; strace's if it runs under strace.
    pub(super) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Lets it work.
    pub(super) fn run(&mut self, plan: Plan) -> Result<Times> {
        let plan = serde_json::to_string(&plan)?;
        let stdin = self.stdin.as_mut().context("no pipe to the worker")?;
        writeln!(stdin, "{plan}").context("the worker has ended")?;
        let answer = self.answers.next(PATIENCE).context("the worker hangs")?;
        serde_json::from_str(&answer.text)
            .with_context(|| format!("the worker says {:?}", answer.text))
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        drop(self.stdin.take());
        // Killed only if it does not end by itself: the child may be strace,
        // without which the worker would go on.
        let deadline = Instant::now() + PATIENCE;
        while matches!(self.child.try_wait(), Ok(None)) && Instant::now() < deadline {
            std::thread::sleep(Duration::from_millis(1));
        }
        reap(&mut self.child);
    }
}

/// What the worker does.
pub(super) fn work() -> Result<()> {
    // Not to be moved from one CPU to another while it counts.
    let cpus = std::thread::available_parallelism()?.get();
    testbed::cpu::pin_to_cpu(cpus - 1)?;
    let body = [b'x'; LENGTH];
    let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {LENGTH}\r\n\r\n");
    let left = LENGTH - head.len();
    let head = head.replace(&format!("Length: {LENGTH}"), &format!("Length: {left}"));
    ensure!(head.len() + left == LENGTH, "the head's length is wrong");
    let mut response = [b'x'; LENGTH];
    response[..head.len()].copy_from_slice(head.as_bytes());
    let responses = Pair::new()?;
    for line in stdin().lock().lines() {
        let plan: Plan = serde_json::from_str(&line?)?;
        let heads = Plan {
            bursts: plan.bursts.div_ceil(8),
            ..plan
        };
        let times = Times {
            send: Pair::with_response(plan)?.time(plan, &body)?,
            head: responses.time(heads, &response)?,
            getppid: time(
                plan,
                || getppid().map(|_| ()).context("no parent"),
                || Ok(()),
            )?,
            connection: time(heads, || connection(&response), || Ok(()))?,
        };
        let mut out = stdout().lock();
        writeln!(out, "{}", serde_json::to_string(&times)?)?;
        out.flush()?;
    }
    Ok(())
}

/// A connection of a server's, from its first byte to its end. The client is in
/// the same process.
fn connection(response: &[u8]) -> Result<()> {
    let Pair(server, client) = Pair::new()?;
    let mut buffer = [0; LENGTH];
    send(&client, REQUEST, SendFlags::NOSIGNAL)?;
    recv(&server, &mut buffer[..], RecvFlags::empty())?;
    let sent = send(&server, response, SendFlags::NOSIGNAL)?;
    ensure!(
        sent == response.len(),
        "the socket took {sent} bytes of a response"
    );
    shutdown(&server, Shutdown::Write)?;
    Ok(())
}

/// A connected pair of Unix stream sockets.
struct Pair(OwnedFd, OwnedFd);

impl Pair {
    fn new() -> Result<Self> {
        let (a, b) = socketpair(
            AddressFamily::UNIX,
            SocketType::STREAM,
            SocketFlags::CLOEXEC,
            None,
        )?;
        Ok(Self(a, b))
    }

    /// One on which a request was read and the head sent of a response with as
    /// many bytes as a run sends; both a moment ago, so that a judge has read
    /// them.
    fn with_response(plan: Plan) -> Result<Self> {
        let pair = Self::new()?;
        let mut buffer = [0; LENGTH];
        let bytes = LENGTH as u64 * u64::from(plan.bursts) * u64::from(BURST);
        let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {bytes}\r\n\r\n");
        send(&pair.1, REQUEST, SendFlags::NOSIGNAL)?;
        recv(&pair.0, &mut buffer[..], RecvFlags::empty())?;
        send(&pair.0, head.as_bytes(), SendFlags::NOSIGNAL)?;
        recv(&pair.1, &mut buffer[..], RecvFlags::empty())?;
        std::thread::sleep(SETTLED);
        Ok(pair)
    }

    /// Nanoseconds per send of `bytes`. What was sent is received untimed.
    fn time(&self, plan: Plan, bytes: &[u8; LENGTH]) -> Result<f64> {
        let mut buffer = [0; LENGTH];
        time(
            plan,
            || {
                let sent = send(&self.0, bytes, SendFlags::NOSIGNAL)?;
                ensure!(sent == LENGTH, "the socket took {sent} bytes");
                Ok(())
            },
            || {
                for _ in 0..BURST {
                    let (received, _) = recv(&self.1, &mut buffer[..], RecvFlags::empty())?;
                    ensure!(received == LENGTH, "the socket gave {received} bytes");
                }
                Ok(())
            },
        )
    }
}

/// Nanoseconds per `call`: a percentile of the bursts, after each of which
/// `tidy` runs untimed.
fn time(
    plan: Plan,
    mut call: impl FnMut() -> Result<()>,
    mut tidy: impl FnMut() -> Result<()>,
) -> Result<f64> {
    let mut times = Vec::new();
    for _ in 0..plan.bursts {
        let start = Instant::now();
        for _ in 0..BURST {
            call()?;
        }
        times.push(start.elapsed().as_secs_f64() * 1e9 / f64::from(BURST));
        tidy()?;
    }
    Ok(percentile(plan.percentile, times))
}
