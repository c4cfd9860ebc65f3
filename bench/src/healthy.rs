//! What is found among messages none of which is cut short. It must be nothing,
//! and every message must be accounted for.

use std::{collections::BTreeMap, fmt, path::Path};

use anyhow::{Context as _, Result, bail};
use serde::Serialize;
use testbed::{
    client::Addr,
    framework::Framework,
    healthy::{self, Exchange},
    nginx::{self, Nginx},
    server::{self, HyperVersion, Listen, Server},
    watcher::{Report, Watcher},
};

/// Connections at once.
const CLIENTS: u64 = 4;

/// Of so many messages one is chunked, on a connection of its own: a chunked
/// body that cannot be followed leaves the rest of its connection in doubt.
const CHUNKED: u64 = 50;

/// The body of those.
const CHUNKED_BYTES: u64 = 100_000;

/// A server, or two, and what it is asked.
#[derive(Clone, Copy)]
enum Subject {
    Hyper(HyperVersion),
    Framework(Framework),
    Files,
    /// nginx in front of a server: it sends requests too.
    Proxy(Framework),
}

impl fmt::Display for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Hyper(version) => write!(f, "{version}"),
            Self::Framework(framework) => write!(f, "{framework}"),
            Self::Files => write!(f, "nginx"),
            Self::Proxy(framework) => write!(f, "nginx before {framework}"),
        }
    }
}

/// All of them.
fn subjects() -> Vec<Subject> {
    let mut subjects: Vec<_> = HyperVersion::ALL.map(Subject::Hyper).into();
    subjects.extend(Framework::ALL.map(Subject::Framework));
    subjects.extend([Subject::Files, Subject::Proxy(Framework::Axum)]);
    subjects
}

/// What came of one server's messages.
#[derive(Serialize)]
struct Row {
    server: String,
    /// Messages that the server sent, by its clients' count.
    sent: u64,
    judged: u64,
    /// By reason; those that did not occur are left out.
    unjudged: BTreeMap<String, u64>,
    findings: usize,
    lost: u64,
}

/// What came of all.
#[derive(Serialize)]
pub(super) struct Healthy {
    sent: u64,
    judged: u64,
    findings: usize,
    lost: u64,
    servers: Vec<Row>,
}

/// How many servers there are to ask.
pub fn servers() -> usize {
    subjects().len()
}

/// Asks one of the servers for so many messages; how many were judged.
///
/// # Errors
/// If a message is reported, lost or not accounted for.
pub fn one(truncwatch: &Path, server: usize, messages: u64) -> Result<u64> {
    let subjects = subjects();
    let subject = *subjects.get(server).context("there is no such server")?;
    let row = run(truncwatch, subject, messages).with_context(|| subject.to_string())?;
    let judged = row.judged;
    let healthy = Healthy::of(vec![row]);
    println!("{healthy}");
    healthy.assert_right()?;
    Ok(judged)
}

pub(super) fn measure(truncwatch: &Path, messages: u64) -> Result<Healthy> {
    let subjects = subjects();
    let share = messages.div_ceil(subjects.len() as u64);
    let mut servers = Vec::new();
    for subject in subjects {
        let row = run(truncwatch, subject, share).with_context(|| subject.to_string())?;
        eprintln!(
            "healthy: {}, {} sent, {} judged",
            row.server, row.sent, row.judged
        );
        servers.push(row);
    }
    Ok(Healthy::of(servers))
}

fn run(truncwatch: &Path, subject: Subject, messages: u64) -> Result<Row> {
    let watch = |pid: u32, more: &[&str]| {
        let pid = pid.to_string();
        Watcher::start(truncwatch, &[&["--pid", &pid], more].concat())
    };
    let row = |sent, watcher: Watcher| Row::new(subject, sent, &watcher.stop()?);
    match subject {
        Subject::Hyper(version) => {
            let server = Server::start(version, &server::Options::unix())?;
            let watcher = watch(server.pid(), &[])?;
            row(
                drive(server.addr(), &healthy::hyper(), "", messages)?,
                watcher,
            )
        }
        Subject::Framework(framework) => {
            let server = framework.start(Listen::tcp())?;
            let watcher = watch(server.pid(), &[])?;
            let sent = drive(server.addr(), &healthy::framework(), "", messages)?;
            row(sent, watcher)
        }
        Subject::Files => {
            let nginx = Nginx::start(&nginx::Options {
                workers: 2,
                ..nginx::Options::default()
            })?;
            let exchanges = healthy::nginx(&nginx)?;
            let watcher = watch(nginx.master_pid(), &["--follow"])?;
            let each = messages.div_ceil(CLIENTS);
            healthy::at_once(&nginx.tcp(), &exchanges, CLIENTS, each)?;
            row(CLIENTS * each, watcher)
        }
        Subject::Proxy(framework) => {
            let server = framework.start(Listen::Unix)?;
            let nginx = Nginx::start(&nginx::Options::proxy(server.addr()))?;
            let exchanges: Vec<_> = healthy::framework()
                .into_iter()
                .map(|exchange| exchange.below("/proxy"))
                .collect();
            let watcher = watch(nginx.master_pid(), &["--follow"])?;
            let answered = drive(&nginx.tcp(), &exchanges, "/proxy", messages.div_ceil(2))?;
            // As many requests to the server.
            row(2 * answered, watcher)
        }
    }
}

/// Sends at least so many messages; how many.
fn drive(addr: &Addr, exchanges: &[Exchange], prefix: &str, messages: u64) -> Result<u64> {
    let chunked = messages / CHUNKED;
    let each = (messages - chunked).div_ceil(CLIENTS);
    healthy::at_once(addr, exchanges, CLIENTS, each)?;
    let path = format!("/chunked/{CHUNKED_BYTES}");
    let exchange = Exchange::get(&path, CHUNKED_BYTES).below(prefix);
    for _ in 0..chunked {
        healthy::keep_alive(addr, std::slice::from_ref(&exchange), 1)?;
    }
    Ok(CLIENTS * each + chunked)
}

impl Row {
    fn new(subject: Subject, sent: u64, report: &Report) -> Result<Self> {
        let count = |name| {
            report
                .count(name)
                .with_context(|| format!("the summary has no {name}: {}", report.summary))
        };
        let unjudged: BTreeMap<String, u64> =
            serde_json::from_value(report.summary["unjudged"].clone())?;
        for finding in &report.findings {
            eprintln!("healthy: {subject}: {finding}");
        }
        Ok(Self {
            server: subject.to_string(),
            sent,
            judged: count("messages_judged")?,
            unjudged: unjudged.into_iter().filter(|(_, it)| *it > 0).collect(),
            findings: report.findings.len(),
            lost: count("events_lost")?,
        })
    }

    fn is_right(&self) -> bool {
        let accounted = self.judged + self.unjudged.values().sum::<u64>();
        self.findings == 0 && self.lost == 0 && accounted == self.sent
    }
}

impl Healthy {
    fn of(servers: Vec<Row>) -> Self {
        Self {
            sent: servers.iter().map(|row| row.sent).sum(),
            judged: servers.iter().map(|row| row.judged).sum(),
            findings: servers.iter().map(|row| row.findings).sum(),
            lost: servers.iter().map(|row| row.lost).sum(),
            servers,
        }
    }

    /// Fails by the servers with a finding, a loss, or a message that is nowhere.
    pub(super) fn assert_right(&self) -> Result<()> {
        let wrong: Vec<_> = self
            .servers
            .iter()
            .filter(|row| !row.is_right())
            .map(|row| row.server.as_str())
            .collect();
        if !wrong.is_empty() {
            bail!(
                "a finding, a loss or a message that is not accounted for: {}",
                wrong.join(", ")
            );
        }
        Ok(())
    }
}

impl fmt::Display for Healthy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            sent,
            judged,
            findings,
            lost,
            servers,
        } = self;
        writeln!(
            f,
            "healthy: {sent} messages, {judged} judged, {findings} findings, {lost} events lost"
        )?;
        write!(
            f,
            "  {:<18}{:>10}{:>10}{:>10}{:>6}  unjudged",
            "", "sent", "judged", "findings", "lost"
        )?;
        for row in servers {
            let unjudged: Vec<_> = row
                .unjudged
                .iter()
                .map(|(reason, count)| format!("{reason} {count}"))
                .collect();
            write!(
                f,
                "\n  {:<18}{:>10}{:>10}{:>10}{:>6}  {}",
                row.server,
                row.sent,
                row.judged,
                row.findings,
                row.lost,
                unjudged.join(", ")
            )?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(judged: u64, chunked: u64, findings: usize, lost: u64) -> Row {
        Row {
            server: "x".to_owned(),
            sent: 10,
            judged,
            unjudged: [("chunked".to_owned(), chunked)].into(),
            findings,
            lost,
        }
    }

    #[test]
    fn only_what_is_accounted_for_is_right() {
        assert!(row(10, 0, 0, 0).is_right());
        assert!(row(8, 2, 0, 0).is_right());
        assert!(!row(9, 0, 0, 0).is_right());
        assert!(!row(11, 0, 0, 0).is_right());
        assert!(!row(10, 0, 1, 0).is_right());
        assert!(!row(10, 0, 0, 1).is_right());
    }
}
