//! The main job, end to end: real servers, the real kernel, the real binary.

use std::{
    io::{self, Write as _},
    path::Path,
    process::{Child, Stdio},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, bail};
use host::root;
use serde_json::Value;
use testbed::{
    Signal,
    client::{Conn, Outcome, Request, Trigger, trigger},
    server::{self, HyperVersion, Server},
    watcher::{Report, Watcher, command},
};

/// Healthy requests on one connection, before and after each trigger.
const HEALTHY: usize = 5;

/// Shows the bug being caught on the buggy version and nothing on the fixed.
pub(crate) fn run() -> Result<()> {
    if !root::is_root() && !root::has("sudo") {
        bail!("watching needs root, and there is no sudo: run this as root");
    }
    eprintln!(
        "building truncwatch and two versions of a hyper server (the first time takes minutes)"
    );
    let truncwatch = root::build_truncwatch()?;
    let mut lines = Vec::new();
    let mut agreed = true;
    for version in HyperVersion::ALL {
        let binary = server::build(version)?;
        let (line, agrees) = show(version, &binary, &truncwatch)?;
        lines.push(line);
        agreed &= agrees;
    }
    println!();
    for line in lines {
        println!("{line}");
    }
    if !agreed {
        bail!("the report and the clients disagree");
    }
    Ok(())
}

/// One server watched while its clients count; the line that compares.
fn show(version: HyperVersion, binary: &Path, truncwatch: &Path) -> Result<(String, bool)> {
    let mut server = Server::start_binary(binary, &server::Options::unix())?;
    let pid = server.pid().to_string();
    println!(
        "\n$ sudo truncwatch --pid {pid}          # {version} on {}",
        server.addr()
    );
    io::stdout().flush()?;
    // Two watches at once: one for the eyes, one to compare.
    let mut shown = Shown(
        command(truncwatch)
            .args(["--pid", &pid])
            .stdin(Stdio::null())
            .spawn()
            .context("cannot start truncwatch")?,
    );
    let watcher = Watcher::start(truncwatch, &["--pid", &pid])?;
    // The other one says that it watches by itself; it began before.
    thread::sleep(Duration::from_millis(500));
    let outcomes = drive(&server)?;
    // Both watches end by themselves when the process does.
    thread::sleep(Duration::from_millis(500));
    server.kill(Signal::TERM)?;
    server.wait()?;
    let report = watcher.finish()?;
    shown.wait()?;
    compare(version, &outcomes, &report)
}

/// Healthy requests and each trigger, one after another.
fn drive(server: &Server) -> Result<Vec<Outcome>> {
    let mut outcomes = Vec::new();
    for cause in Trigger::ALL {
        let mut connection = Conn::connect(server.addr())?;
        for _ in 0..HEALTHY {
            outcomes.push(connection.request(&Request::get("/bytes/1000000")));
        }
        outcomes.push(trigger(server.addr(), cause)?);
    }
    Ok(outcomes)
}

fn compare(version: HyperVersion, outcomes: &[Outcome], report: &Report) -> Result<(String, bool)> {
    let truncated: Vec<_> = outcomes
        .iter()
        .filter(|outcome| !outcome.complete())
        .map(|outcome| (outcome.promised.unwrap_or(u64::MAX), outcome.received))
        .collect();
    let judged = report
        .count("messages_judged")
        .context("the summary has no messages_judged")?;
    let reported = report.sizes();
    let agrees = reported == truncated && judged == outcomes.len() as u64 && report.unjudged() == 0;
    if let Some(finding) = report.findings.iter().find(|finding| !names_hyper(finding)) {
        bail!("a finding's stack does not lead through hyper: {finding}");
    }
    let line = format!(
        "{version}: clients received {} responses, {} truncated; truncwatch judged {judged} and reported {}: {}",
        outcomes.len(),
        truncated.len(),
        reported.len(),
        if agrees {
            "the same ones, to the byte".to_owned()
        } else {
            format!(
                "THEY DISAGREE: clients {truncated:?}, truncwatch {reported:?}, {}",
                report.summary
            )
        }
    );
    Ok((line, agrees))
}

/// Whether the stack of a finding has a function of hyper's HTTP/1.
fn names_hyper(finding: &Value) -> bool {
    let frames = finding.get("stack").and_then(Value::as_array);
    frames.is_some_and(|frames| {
        frames
            .iter()
            .filter_map(|frame| frame.get("file")?.as_str())
            .any(|file| file.contains("/hyper-") && file.contains("/src/proto/h1/"))
    })
}

/// A truncwatch that prints to the terminal. Killed if it is still there when
/// this goes away.
struct Shown(Child);

impl Shown {
    fn wait(&mut self) -> Result<()> {
        let until = Instant::now() + Duration::from_secs(10);
        while self.0.try_wait()?.is_none() {
            if Instant::now() > until {
                bail!("truncwatch did not end with the process it watched");
            }
            thread::sleep(Duration::from_millis(10));
        }
        Ok(())
    }
}

impl Drop for Shown {
    fn drop(&mut self) {
        if matches!(self.0.try_wait(), Ok(None)) && self.0.kill().is_ok() && self.0.wait().is_err()
        {
            eprintln!("truncwatch could not be ended");
        }
    }
}
