//! Mixed load in which truncations are injected at random, each with a length of its own, so that
//! it is known again: what is reported can be compared one by one.
//!
//! hyper, Node and nginx serve healthy traffic and are killed and started anew; hyper and Node
//! promise more than they send now and then, servers are killed in the midst of a response, clients
//! in the midst of an upload, and this process cuts uploads short.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::fs::File;
use std::io::{self, BufRead as _, BufReader};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use jiff::{SignedDuration, Timestamp};
use rustix::process::Signal;
use serde_json::Value;

use crate::client::{Addr, Conn, Request, RequestBody};
use crate::framework::Framework;
use crate::healthy::{self, Exchange};
use crate::nginx::{self, Nginx};
use crate::server::{self, HyperVersion, Listen, Server};
use crate::temp::TempDir;

/// Lengths of this and above are those of injected truncations.
const FIRST: u64 = 3_000_000_000;

/// What was done.
#[derive(Debug, Default)]
pub struct Truth {
    /// Injected truncations: the promised length, and what the cause has to be.
    pub injected: BTreeMap<u64, Injected>,
    /// The processes that took part, this one too: from when, and until when. Their
    /// numbers are used again, by others too.
    pub processes: HashMap<u32, Vec<Life>>,
    /// Messages that were answered whole.
    pub healthy: u64,
    /// Servers that were killed.
    pub kills: u64,
}

/// When a process ran; no end, if it still runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Life {
    began: Timestamp,
    ended: Option<Timestamp>,
}

impl Life {
    /// How far the watch's clock and this one may be apart.
    const APART: SignedDuration = SignedDuration::from_secs(1);

    fn has(&self, time: Timestamp) -> bool {
        time >= self.began - Self::APART
            && self.ended.is_none_or(|ended| time <= ended + Self::APART)
    }
}

/// A truncation that was injected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Injected {
    /// What the cause has to be.
    pub cause: &'static str,
    /// Which part of the load it is.
    pub part: &'static str,
}

/// What was reported of that.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Verdict {
    /// Reported once, with the cause that it has.
    pub right: usize,
    /// Injected and not reported.
    pub missed: Vec<(u64, Injected)>,
    /// Reported more than once.
    pub doubled: Vec<u64>,
    /// Reported and not injected, or with another cause.
    pub invented: Vec<String>,
}

impl Truth {
    fn began(&mut self, pid: u32, began: Timestamp) {
        let life = Life { began, ended: None };
        self.processes.entry(pid).or_default().push(life);
    }

    /// It ended just now.
    fn ended(&mut self, pid: u32) {
        let lives = self.processes.get_mut(&pid);
        if let Some(life) = lives.and_then(|lives| lives.last_mut()) {
            life.ended = Some(Timestamp::now());
        }
    }

    /// Whether a finding is of a process that took part; one without a time is, if its
    /// process has the number of one.
    fn is_ours(&self, pid: u64, time: &Value) -> bool {
        let lives = u32::try_from(pid)
            .ok()
            .and_then(|pid| self.processes.get(&pid));
        let time: Option<Timestamp> = time.as_str().and_then(|time| time.parse().ok());
        lives.is_some_and(|lives| time.is_none_or(|time| lives.iter().any(|life| life.has(time))))
    }

    /// Compares it with the findings of a watch, JSON objects.
    pub fn compare<'a>(&self, findings: impl IntoIterator<Item = &'a Value>) -> Verdict {
        let mut verdict = Verdict::default();
        let mut told = HashSet::new();
        let own = u64::from(std::process::id());
        for finding in findings {
            let pid = finding
                .pointer("/process/pid")
                .and_then(Value::as_u64)
                .unwrap_or(0);
            let promised = finding["promised_bytes"].as_u64().unwrap_or(0);
            // Others run on this host too, and other things in this process.
            if !self.is_ours(pid, &finding["time"]) || (pid == own && promised < FIRST) {
                continue;
            }
            match self.injected.get(&promised) {
                Some(known) if finding["cause"] == known.cause => {
                    if told.insert(promised) {
                        verdict.right += 1;
                    } else {
                        verdict.doubled.push(promised);
                    }
                }
                _ => verdict.invented.push(format!(
                    "{} of {promised} bytes by {pid} at {}",
                    finding["cause"], finding["time"]
                )),
            }
        }
        let missed = self
            .injected
            .iter()
            .filter(|(length, _)| !told.contains(length));
        verdict.missed = missed.map(|(length, known)| (*length, *known)).collect();
        verdict
    }
}

/// A part of the load, once.
type Part = fn(&Soak, &mut Dice) -> Result<()>;

/// The load.
#[derive(Debug)]
pub struct Soak {
    /// It ends then, or when it is stopped.
    until: Option<Instant>,
    stopped: Arc<AtomicBool>,
    seed: u64,
    /// Most milliseconds that a client rests now and then.
    rest: u64,
    next: AtomicU64,
    truth: Mutex<Truth>,
    /// Held while a server is started, and while an upload is cut short: between fork and exec
    /// a child holds every socket of its parent, whose close is then not the last.
    forks: Mutex<()>,
}

impl Soak {
    /// Goes on for so long; with a seed, the same choices are made again.
    ///
    /// # Errors
    /// If a server does not start, or an answer is not what it must be.
    pub fn run(length: Duration, seed: u64) -> Result<Truth> {
        Self::run_with_rests(length, seed, 0)
    }

    /// The same with clients that rest so many milliseconds at most after some messages: without,
    /// the load takes all CPUs.
    ///
    /// # Errors
    /// As [`Soak::run`].
    pub fn run_with_rests(length: Duration, seed: u64, rest: u64) -> Result<Truth> {
        let mut soak = Self::new(seed);
        soak.rest = rest;
        soak.until = Some(Instant::now() + length);
        soak.go()
    }

    /// Goes on in a thread of its own until it is stopped; with rests as above.
    ///
    /// # Errors
    /// If there is no thread for it.
    pub fn start(seed: u64, rest: u64) -> io::Result<Running> {
        let mut soak = Self::new(seed);
        soak.rest = rest;
        let stopped = soak.stopped.clone();
        let load = thread::Builder::new().spawn(move || soak.go())?;
        Ok(Running { stopped, load })
    }

    fn new(seed: u64) -> Self {
        Self {
            until: None,
            stopped: Arc::default(),
            seed,
            rest: 0,
            next: AtomicU64::new(FIRST),
            truth: Mutex::default(),
            forks: Mutex::default(),
        }
    }

    fn rest(&self, dice: &mut Dice) {
        if self.rest > 0 {
            thread::sleep(Duration::from_millis(dice.below(self.rest)));
        }
    }

    fn over(&self) -> bool {
        self.stopped.load(Ordering::Relaxed)
            || self.until.is_some_and(|until| Instant::now() >= until)
    }

    fn go(self) -> Result<Truth> {
        let soak = self;
        soak.with(|truth| truth.began(std::process::id(), Timestamp::now()));
        thread::scope(|scope| {
            let parts: [(&str, Part); 4] = [
                ("hyper", Self::hyper),
                ("node", Self::node),
                ("nginx", Self::nginx),
                ("uploads", Self::uploads),
            ];
            let soak = &soak;
            let threads: Vec<_> = parts
                .into_iter()
                .zip(soak.seed + 1..)
                .map(|((name, part), seed)| {
                    let mut dice = Dice::new(seed);
                    scope.spawn(move || {
                        while !soak.over() {
                            part(soak, &mut dice).context(name)?;
                        }
                        Ok::<_, anyhow::Error>(())
                    })
                })
                .collect();
            for thread in threads {
                match thread.join() {
                    Ok(result) => result?,
                    Err(_) => bail!("a part of the load panicked"),
                }
            }
            Ok(())
        })?;
        soak.truth
            .into_inner()
            .ok()
            .context("a part of the load panicked")
    }

    fn with<T>(&self, change: impl FnOnce(&mut Truth) -> T) -> T {
        match self.truth.lock() {
            Ok(mut truth) => change(&mut truth),
            Err(poisoned) => change(&mut poisoned.into_inner()),
        }
    }

    fn alone<T>(&self, act: impl FnOnce() -> T) -> T {
        let held = self.forks.lock();
        let result = act();
        drop(held);
        result
    }

    /// A length that tells one truncation from all others.
    fn inject(&self, part: &'static str, cause: &'static str) -> u64 {
        let length = self.next.fetch_add(1, Ordering::Relaxed);
        self.with(|truth| truth.injected.insert(length, Injected { cause, part }));
        length
    }

    fn hyper(&self, dice: &mut Dice) -> Result<()> {
        let began = Timestamp::now();
        let server =
            self.alone(|| Server::start(HyperVersion::V1_12_0, &server::Options::tcp()))?;
        self.serve(
            (server, began),
            &healthy::hyper(),
            "premature-close",
            dice,
            true,
        )
    }

    fn node(&self, dice: &mut Dice) -> Result<()> {
        let began = Timestamp::now();
        let server = self.alone(|| Framework::Node.start(Listen::tcp()))?;
        self.serve(
            (server, began),
            &healthy::framework(),
            "premature-shutdown",
            dice,
            false,
        )
    }

    /// The life of one server: it ends by a kill, perhaps in the midst of a response.
    fn serve(
        &self,
        (mut server, began): (Server, Timestamp),
        exchanges: &[Exchange],
        lie: &'static str,
        dice: &mut Dice,
        slow: bool,
    ) -> Result<()> {
        let pid = server.pid();
        self.with(|truth| truth.began(pid, began));
        for _ in 0..20 + dice.below(60) {
            if self.over() {
                break;
            }
            self.rest(dice);
            if dice.below(4) == 0 {
                let promised = self.inject("a lie", lie);
                let path = format!("/lie/{promised}/{}", dice.below(90_000));
                let outcome = Conn::connect(server.addr())?.request(&Request::get(&path));
                if !outcome.truncated() {
                    bail!("{path}: {outcome:?}");
                }
            } else {
                let messages = 1 + dice.below(50);
                healthy::keep_alive(server.addr(), exchanges, messages)?;
                self.with(|truth| truth.healthy += messages);
            }
        }
        if slow && dice.below(2) == 0 {
            let promised = self.inject("a kill", "process-exit");
            let request = Request::get(&format!("/slow/{promised}"));
            let mut connection = Conn::connect(server.addr())?;
            connection.send(&request.message())?;
            if !connection.wait_readable(Duration::from_secs(10))? {
                bail!("/slow does not begin");
            }
            thread::sleep(Duration::from_millis(50 + dice.below(200)));
            server.kill(Signal::KILL)?;
            server.wait()?;
        } else {
            server.kill(Signal::KILL)?;
            server.wait()?;
        }
        self.with(|truth| {
            truth.ended(pid);
            truth.kills += 1;
        });
        Ok(())
    }

    fn nginx(&self, dice: &mut Dice) -> Result<()> {
        let options = nginx::Options {
            workers: 2,
            ..nginx::Options::default()
        };
        let began = Timestamp::now();
        let mut nginx = self.alone(|| Nginx::start(&options))?;
        let exchanges = healthy::nginx(&nginx)?;
        let mut pids = nginx.worker_pids()?;
        pids.push(nginx.master_pid());
        self.with(|truth| {
            for pid in &pids {
                truth.began(*pid, began);
            }
        });
        for _ in 0..20 + dice.below(60) {
            if self.over() {
                break;
            }
            self.rest(dice);
            let messages = 1 + dice.below(50);
            healthy::keep_alive(&nginx.tcp(), &exchanges, messages)?;
            self.with(|truth| truth.healthy += messages);
        }
        // Else it is asked to end.
        if dice.below(2) == 0 {
            let promised = self.inject("nginx killed", "process-exit");
            let name = promised.to_string();
            nginx.put_hole(&name, promised)?;
            let mut connection = Conn::connect(&nginx.tcp())?;
            connection.send(&Request::get(&format!("/{name}")).message())?;
            if !connection.wait_readable(Duration::from_secs(10))? {
                bail!("nginx does not answer");
            }
            thread::sleep(Duration::from_millis(dice.below(200)));
            nginx.kill()?;
            self.with(|truth| truth.kills += 1);
        }
        drop(nginx);
        self.with(|truth| {
            for pid in &pids {
                truth.ended(*pid);
            }
        });
        Ok(())
    }

    /// This process is the client that cuts short.
    fn uploads(&self, dice: &mut Dice) -> Result<()> {
        let began = Timestamp::now();
        let server =
            self.alone(|| Server::start(HyperVersion::V1_12_0, &server::Options::tcp()))?;
        let pid = server.pid();
        self.with(|truth| truth.began(pid, began));
        for _ in 0..20 + dice.below(60) {
            if self.over() {
                break;
            }
            self.rest(dice);
            let cut = dice.below(3) == 0;
            let kept = usize::try_from(dice.below(30_000))?;
            self.alone(|| self.upload(&server, cut.then_some(kept)))?;
            thread::sleep(Duration::from_millis(dice.below(20)));
        }
        self.killed_upload(&server, dice)?;
        drop(server);
        self.with(|truth| truth.ended(pid));
        Ok(())
    }

    /// A client, curl, that is killed in the midst of its upload.
    fn killed_upload(&self, server: &Server, dice: &mut Dice) -> Result<()> {
        let Addr::Tcp(address) = server.addr() else {
            bail!("the server has no port");
        };
        let promised = self.inject("curl killed", "process-exit");
        let folder = TempDir::new()?;
        let file = folder.path().join("upload");
        File::create(&file)?.set_len(promised)?;
        let mut curl = Command::new("curl");
        // It says what it has sent of the head.
        curl.args([
            "--silent",
            "--verbose",
            "--noproxy",
            "*",
            "--limit-rate",
            "1M",
        ])
        .args(["--request", "POST", "--header", "Expect:", "--upload-file"])
        .arg(&file)
        .arg(format!("http://{address}/bytes/10"))
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped());
        let before = Timestamp::now();
        let mut curl = self.alone(|| curl.spawn()).context("cannot run curl")?;
        self.with(|truth| truth.began(curl.id(), before));
        let said = BufReader::new(curl.stderr.take().context("no standard error")?);
        let sent = format!("> Content-Length: {promised}");
        let began = said
            .lines()
            .map_while(io::Result::ok)
            .any(|line| line.trim_end() == sent);
        // Before a byte of the body it may still wait to be asked for it.
        thread::sleep(Duration::from_millis(50 + dice.below(200)));
        curl.kill()?;
        let status = curl.wait()?;
        self.with(|truth| {
            truth.ended(curl.id());
            truth.kills += 1;
        });
        if !began || status.code().is_some() {
            bail!("curl did not upload: {status}");
        }
        Ok(())
    }
}

impl Soak {
    /// An upload, and on the same connection one that ends after so many bytes.
    fn upload(&self, server: &Server, cut: Option<usize>) -> Result<()> {
        let mut connection = Conn::connect(server.addr())?;
        let body = RequestBody::Sized(vec![b'x'; 50_000]);
        let outcome = connection.request(&Request::post("/bytes/10", body));
        if !outcome.complete() {
            bail!("an upload: {outcome:?}");
        }
        self.with(|truth| truth.healthy += 1);
        if let Some(kept) = cut {
            let promised = self.inject("an upload", "premature-close");
            let head =
                format!("POST /bytes/10 HTTP/1.1\r\nHost: x\r\nContent-Length: {promised}\r\n\r\n");
            let mut bytes = head.into_bytes();
            bytes.resize(bytes.len() + kept, b'x');
            connection.send(&bytes)?;
        }
        Ok(())
    }
}

/// A load that goes on.
#[derive(Debug)]
pub struct Running {
    stopped: Arc<AtomicBool>,
    load: JoinHandle<Result<Truth>>,
}

impl Running {
    /// Whether something failed.
    pub fn failed(&self) -> bool {
        self.load.is_finished()
    }

    /// Stops it.
    ///
    /// # Errors
    /// As [`Soak::run`].
    pub fn stop(self) -> Result<Truth> {
        self.stopped.store(true, Ordering::Relaxed);
        match self.load.join() {
            Ok(truth) => truth,
            Err(_) => bail!("the load panicked"),
        }
    }
}

/// Chance, the same each time (xorshift64).
#[derive(Debug)]
pub struct Dice(u64);

impl Dice {
    /// From a seed.
    pub fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    /// A number below this.
    pub fn below(&mut self, most: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % most.max(1)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_is_reported_is_compared_one_by_one() {
        let of = |cause| Injected { cause, part: "x" };
        let truth = Truth {
            injected: [
                (FIRST, of("premature-close")),
                (FIRST + 1, of("process-exit")),
                (FIRST + 2, of("premature-close")),
            ]
            .into(),
            processes: [(
                7,
                vec![Life {
                    began: Timestamp::UNIX_EPOCH,
                    ended: Some(Timestamp::UNIX_EPOCH + SignedDuration::from_secs(60)),
                }],
            )]
            .into(),
            ..Truth::default()
        };
        let at = |time: &str, pid: u32, cause: &str, promised: u64| json!({"time": time, "process": {"pid": pid}, "cause": cause, "promised_bytes": promised});
        let finding = |pid, cause, promised| at("1970-01-01T00:00:30.5Z", pid, cause, promised);
        let findings = [
            finding(7, "premature-close", FIRST),
            finding(7, "premature-close", FIRST),
            // Another cause, another length, another process.
            finding(7, "premature-close", FIRST + 1),
            finding(7, "premature-close", 100),
            finding(8, "premature-close", 100),
            // Another process that got the number later.
            at("1970-01-01T00:01:30Z", 7, "premature-close", 100),
            at("1970-01-01T00:01:30Z", 7, "premature-close", FIRST + 2),
        ];
        let verdict = truth.compare(&findings);
        assert_eq!(verdict.right, 1);
        assert_eq!(verdict.doubled, [FIRST]);
        let missed: Vec<_> = verdict.missed.iter().map(|(length, _)| *length).collect();
        assert_eq!(missed, [FIRST + 1, FIRST + 2]);
        assert_eq!(verdict.invented.len(), 2);
    }
}
