//! `truncwatch daemon`: months on a host, beside everything else.
//!
//! | file | what it asks |
//! | --- | --- |
//! | `findings.rs` | are they told once, in full or counted, in the journal or as lines |
//! | `manager.rs` | what the service manager hears |
//! | `metrics.rs` | what Prometheus reads, and the real one's alert |
//! | `reload.rs` | does another configuration lose nothing |
//! | `soak.rs` | mixed load: each truncation once, none invented, memory flat |
//! | `trouble.rs` | what is missing or wrong: one clear line, and the rest works |

mod findings;
mod manager;
mod metrics;
mod reload;
mod soak;
mod trouble;

use std::{
    io::{BufRead as _, BufReader, Read, Write as _},
    net::TcpStream,
    path::Path,
    process::{Child, Command, ExitStatus, Stdio},
    sync::{Arc, Mutex},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, bail};
use serde_json::Value;
use testbed::{
    Signal, TempDir,
    client::{Conn, Request},
    server::{HyperVersion, Options, Server, build},
};

use crate::servers::truncwatch;

/// How long something may take to be told.
const PATIENCE: Duration = Duration::from_secs(20);

/// A running daemon; ended with its handle.
pub(crate) struct Daemon {
    child: Child,
    folder: TempDir,
    output: Lines,
    errors: Lines,
}

/// What it printed so far.
#[derive(Clone, Default)]
struct Lines(Arc<Mutex<Vec<String>>>);

impl Lines {
    fn of(from: impl Read + Send + 'static) -> Self {
        let lines = Self::default();
        let all = lines.clone();
        thread::spawn(move || {
            for line in BufReader::new(from).lines().map_while(Result::ok) {
                all.0.lock().unwrap().push(line);
            }
        });
        lines
    }

    fn all(&self) -> Vec<String> {
        self.0.lock().unwrap().clone()
    }
}

impl Daemon {
    /// Starts it with this configuration, and waits until it watches.
    pub(crate) fn start(config: &str) -> Result<Self> {
        Self::start_as(config, |_| {})
    }

    /// The same with what else its process is to be given.
    pub(crate) fn start_as(config: &str, with: impl FnOnce(&mut Command)) -> Result<Self> {
        let mut daemon = Self::spawn(config, with)?;
        daemon.wait_for("truncwatch: watching")?;
        Ok(daemon)
    }

    /// The same without waiting.
    pub(crate) fn spawn(config: &str, with: impl FnOnce(&mut Command)) -> Result<Self> {
        let folder = TempDir::new()?;
        std::fs::write(folder.path().join("c.toml"), config)?;
        let mut command = Command::new(truncwatch());
        command
            .args(["daemon", "--config"])
            .arg(folder.path().join("c.toml"))
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        with(&mut command);
        let mut child = command.spawn()?;
        Ok(Self {
            output: Lines::of(child.stdout.take().context("no standard output")?),
            errors: Lines::of(child.stderr.take().context("no standard error")?),
            child,
            folder,
        })
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Gives it another configuration.
    fn reload(&mut self, config: &str) -> Result<()> {
        std::fs::write(self.folder.path().join("c.toml"), config)?;
        self.signal(Signal::HUP)
    }

    fn signal(&self, signal: Signal) -> Result<()> {
        Ok(testbed::signal(self.pid(), signal)?)
    }

    /// Waits for a line on standard error that has this.
    fn wait_for(&mut self, part: &str) -> Result<String> {
        let errors = self.errors.clone();
        self.until(part, || {
            errors.all().into_iter().find(|line| line.contains(part))
        })
    }

    /// Waits until there is an answer.
    fn until<T>(&mut self, what: &str, mut ask: impl FnMut() -> Option<T>) -> Result<T> {
        let until = Instant::now() + PATIENCE;
        loop {
            if let Some(answer) = ask() {
                return Ok(answer);
            }
            if Instant::now() > until || self.child.try_wait()?.is_some() {
                // What was just printed may be on its way.
                thread::sleep(Duration::from_millis(200));
                return match ask() {
                    Some(answer) => Ok(answer),
                    None => bail!("no {what}: {:?} {:?}", self.errors.all(), self.output.all()),
                };
            }
            thread::sleep(Duration::from_millis(20));
        }
    }

    /// The objects that it printed, of this type, of this process.
    fn told(&self, kind: &str, pid: u32) -> Vec<Value> {
        let of = |value: &Value| {
            value["type"] == kind && value.pointer("/process/pid") == Some(&pid.into())
        };
        let objects = self.output.all();
        let objects = objects
            .iter()
            .filter_map(|line| serde_json::from_str(line).ok());
        objects.filter(of).collect()
    }

    /// Waits for so many of them, and for one more, which must not come.
    fn findings(&mut self, pid: u32, count: usize) -> Result<Vec<Value>> {
        let output = self.output.clone();
        let told = || Self::count(&output, "finding", pid) >= count;
        self.until("findings", || told().then_some(()))?;
        thread::sleep(Duration::from_millis(600));
        let found = self.told("finding", pid);
        assert_eq!(found.len(), count, "{found:?}");
        Ok(found)
    }

    fn count(output: &Lines, kind: &str, pid: u32) -> usize {
        let (kind, pid) = (format!("\"type\":\"{kind}\""), format!("\"pid\":{pid},"));
        let lines = output.all();
        lines
            .iter()
            .filter(|line| line.contains(&kind) && line.contains(&pid))
            .count()
    }

    /// Ends it as a service manager does.
    fn stop(mut self) -> Result<(ExitStatus, Vec<String>)> {
        self.signal(Signal::TERM)?;
        self.wait()
    }

    /// Waits for it to end by itself.
    fn wait(&mut self) -> Result<(ExitStatus, Vec<String>)> {
        let until = Instant::now() + PATIENCE;
        while Instant::now() < until {
            if let Some(status) = self.child.try_wait()? {
                thread::sleep(Duration::from_millis(100));
                return Ok((status, self.errors.all()));
            }
            thread::sleep(Duration::from_millis(20));
        }
        bail!("it did not end: {:?}", self.errors.all())
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        // It may have ended by itself.
        if self.child.kill().is_ok() && self.child.wait().is_err() {}
    }
}

/// A hyper server that is a program of its own: of one program only so many findings are
/// told in full, and other tests that run meanwhile cut messages short too.
struct Own {
    server: Server,
    _folder: TempDir,
}

impl std::ops::Deref for Own {
    type Target = Server;

    fn deref(&self) -> &Server {
        &self.server
    }
}

impl std::ops::DerefMut for Own {
    fn deref_mut(&mut self) -> &mut Server {
        &mut self.server
    }
}

fn hyper(version: HyperVersion) -> Result<Own> {
    let folder = TempDir::new()?;
    let program = folder.path().join("hyper-server");
    std::fs::copy(build(version)?, &program)?;
    Ok(Own {
        server: Server::start_binary(&program, &Options::unix())?,
        _folder: folder,
    })
}

/// Cuts a response short; its sizes are a test's own.
fn cut_short(server: &Server, promised: u64, sent: u64) -> Result<()> {
    let path = format!("/lie/{promised}/{sent}");
    let outcome = Conn::connect(server.addr())?.request(&Request::get(&path));
    assert!(outcome.truncated(), "{outcome:?}");
    Ok(())
}

/// A port that nobody listens on.
fn free_port() -> Result<u16> {
    let listener = std::net::TcpListener::bind("127.0.0.1:0")?;
    Ok(listener.local_addr()?.port())
}

/// The answer of the daemon's own server, head and body.
fn ask(port: u16, path: &str, accept: &str) -> Result<(String, String)> {
    let mut stream = TcpStream::connect(("127.0.0.1", port))?;
    stream.set_read_timeout(Some(PATIENCE))?;
    write!(
        stream,
        "GET {path} HTTP/1.1\r\nHost: x\r\nAccept: {accept}\r\nConnection: close\r\n\r\n"
    )?;
    let mut text = String::new();
    stream.read_to_string(&mut text)?;
    let (head, body) = text.split_once("\r\n\r\n").context("no head")?;
    Ok((head.to_owned(), body.to_owned()))
}

/// The value of a series, by its whole name with labels.
fn value(page: &str, series: &str) -> Option<f64> {
    let line = page.lines().find_map(|line| line.strip_prefix(series))?;
    line.trim().parse().ok()
}

/// Programs and maps of the kernel side that a process holds.
fn held(pid: u32) -> Result<usize> {
    let mut count = 0;
    for entry in std::fs::read_dir(Path::new("/proc").join(pid.to_string()).join("fd"))? {
        let link = std::fs::read_link(entry?.path()).unwrap_or_default();
        count += usize::from(link.to_string_lossy().contains("bpf"));
    }
    Ok(count)
}
