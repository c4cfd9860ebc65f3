//! Mixed load in which truncations are injected at random, each with a length of its own, so that
//! it is known again: what is reported can be compared one by one.
//!
//! hyper, Node and nginx serve healthy traffic and are killed and started anew; hyper and Node
//! promise more than they send now and then, servers are killed in the midst of a response, and
//! this process cuts uploads short.

use std::collections::{BTreeMap, HashSet};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use rustix::process::Signal;
use serde_json::Value;

use crate::client::{Conn, Request, RequestBody};
use crate::framework::Framework;
use crate::healthy::{self, Exchange};
use crate::nginx::{self, Nginx};
use crate::server::{self, HyperVersion, Listen, Server};

/// Lengths of this and above are those of injected truncations.
const FIRST: u64 = 3_000_000_000;

/// What was done.
#[derive(Debug, Default)]
pub struct Truth {
    /// Injected truncations: the promised length, and what the cause has to be.
    pub injected: BTreeMap<u64, Injected>,
    /// The processes that took part, this one too.
    pub pids: HashSet<u32>,
    /// Messages that were answered whole.
    pub healthy: u64,
    /// Servers that were killed.
    pub kills: u64,
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
            let ours = u32::try_from(pid).is_ok_and(|pid| self.pids.contains(&pid));
            // Others run on this host too, and other things in this process.
            if !ours || (pid == own && promised < FIRST) {
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
                _ => verdict
                    .invented
                    .push(format!("{} of {promised} bytes by {pid}", finding["cause"])),
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
    until: Instant,
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
        let soak = Self {
            until: Instant::now() + length,
            next: AtomicU64::new(FIRST),
            truth: Mutex::default(),
            forks: Mutex::default(),
        };
        soak.with(|truth| truth.pids.insert(std::process::id()));
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
                .zip(seed + 1..)
                .map(|((name, part), seed)| {
                    let mut dice = Dice(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1);
                    scope.spawn(move || {
                        while Instant::now() < soak.until {
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
        let server =
            self.alone(|| Server::start(HyperVersion::V1_12_0, &server::Options::tcp()))?;
        self.serve(server, &healthy::hyper(), "premature-close", dice, true)
    }

    fn node(&self, dice: &mut Dice) -> Result<()> {
        let server = self.alone(|| Framework::Node.start(Listen::tcp()))?;
        self.serve(
            server,
            &healthy::framework(),
            "premature-shutdown",
            dice,
            false,
        )
    }

    /// The life of one server: it ends by a kill, perhaps in the midst of a response.
    fn serve(
        &self,
        mut server: Server,
        exchanges: &[Exchange],
        lie: &'static str,
        dice: &mut Dice,
        slow: bool,
    ) -> Result<()> {
        self.with(|truth| truth.pids.insert(server.pid()));
        for _ in 0..20 + dice.below(60) {
            if Instant::now() >= self.until {
                break;
            }
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
        self.with(|truth| truth.kills += 1);
        Ok(())
    }

    fn nginx(&self, dice: &mut Dice) -> Result<()> {
        let options = nginx::Options {
            workers: 2,
            ..nginx::Options::default()
        };
        let nginx = self.alone(|| Nginx::start(&options))?;
        let exchanges = healthy::nginx(&nginx)?;
        let workers = nginx.worker_pids()?;
        self.with(|truth| {
            truth
                .pids
                .extend(workers.iter().chain([&nginx.master_pid()]))
        });
        for _ in 0..20 + dice.below(60) {
            if Instant::now() >= self.until {
                break;
            }
            let messages = 1 + dice.below(50);
            healthy::keep_alive(&nginx.tcp(), &exchanges, messages)?;
            self.with(|truth| truth.healthy += messages);
        }
        Ok(())
    }

    /// This process is the client that cuts short.
    fn uploads(&self, dice: &mut Dice) -> Result<()> {
        let server =
            self.alone(|| Server::start(HyperVersion::V1_12_0, &server::Options::tcp()))?;
        self.with(|truth| truth.pids.insert(server.pid()));
        for _ in 0..20 + dice.below(60) {
            if Instant::now() >= self.until {
                break;
            }
            let cut = dice.below(3) == 0;
            let kept = usize::try_from(dice.below(30_000))?;
            self.alone(|| self.upload(&server, cut.then_some(kept)))?;
            thread::sleep(Duration::from_millis(dice.below(20)));
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

/// Chance, the same each time (xorshift64).
struct Dice(u64);

impl Dice {
    fn below(&mut self, most: u64) -> u64 {
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
            pids: [7].into(),
            ..Truth::default()
        };
        let finding = |pid: u32, cause: &str, promised: u64| json!({"process": {"pid": pid}, "cause": cause, "promised_bytes": promised});
        let findings = [
            finding(7, "premature-close", FIRST),
            finding(7, "premature-close", FIRST),
            // Another cause, another length, another process.
            finding(7, "premature-close", FIRST + 1),
            finding(7, "premature-close", 100),
            finding(8, "premature-close", 100),
        ];
        let verdict = truth.compare(&findings);
        assert_eq!(verdict.right, 1);
        assert_eq!(verdict.doubled, [FIRST]);
        let missed: Vec<_> = verdict.missed.iter().map(|(length, _)| *length).collect();
        assert_eq!(missed, [FIRST + 1, FIRST + 2]);
        assert_eq!(verdict.invented.len(), 2);
    }
}
