//! The same traffic, captured by eBPF and by strace at once: the same findings.

use std::{
    io::{BufRead as _, BufReader},
    path::Path,
    process::{Command, Stdio},
};

use anyhow::{Context as _, Result, bail};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use testbed::{
    BIG_BODY, TempDir,
    client::{Trigger, trigger},
    healthy,
    server::{self, HyperVersion, Server},
};

use crate::servers::{Reaped, truncwatch, watch};

/// Connections per trigger.
const EACH: usize = 10;

/// Healthy messages before each trigger.
const HEALTHY: u64 = 14;

/// Attaches strace to a process; it writes to this file.
fn strace(pid: u32, log: &Path) -> Result<Reaped> {
    let mut child = Command::new("strace")
        .args(["-f", "-tt", "-yy", "-s", "8192"])
        .args([
            "-e",
            "trace=%net,%desc,%process,close_range,unshare",
            "-p",
            &pid.to_string(),
        ])
        .arg("-o")
        .arg(log)
        .stderr(Stdio::piped())
        .spawn()
        .context("strace is needed")?;
    let stderr = child.stderr.take().context("no standard error")?;
    let strace = Reaped(child);
    let mut said = String::new();
    BufReader::new(stderr).read_line(&mut said)?;
    if !said.contains("attached") {
        bail!("strace did not attach: {said}");
    }
    Ok(strace)
}

/// Ends strace, which lets go of the process and completes its log.
fn end(mut strace: Reaped) -> Result<()> {
    let pid = i32::try_from(strace.0.id()).ok().and_then(Pid::from_raw);
    kill_process(pid.context("no process number")?, Signal::INT)?;
    strace.0.wait()?;
    Ok(())
}

/// The findings and the summary of the log.
fn analyze(log: &Path) -> Result<(Vec<Value>, Value)> {
    let output = Command::new(truncwatch())
        .args(["analyze", "--json"])
        .arg(log)
        .output()?;
    let mut objects = String::from_utf8(output.stdout)?
        .lines()
        .map(serde_json::from_str)
        .collect::<Result<Vec<Value>, _>>()?;
    let summary = objects.pop().context("no summary")?;
    assert_eq!(output.status.code(), Some(1), "{summary}");
    Ok((objects, summary))
}

/// What a finding says of the message, and not of the way it was captured.
fn facts(findings: &[Value]) -> Vec<String> {
    const PATHS: [&str; 19] = [
        "/cause",
        "/fault",
        "/promised_bytes",
        "/sent_bytes",
        "/missing_bytes",
        "/stranded_bytes",
        "/message/role",
        "/message/framing",
        "/message/status",
        "/message/method",
        "/message/target",
        "/message/head_offset",
        "/message/head_bytes",
        "/process/tid",
        "/socket/family",
        "/socket/fd",
        "/socket/inode",
        "/ending/kind",
        "/ending/call",
    ];
    let mut facts: Vec<_> = findings
        .iter()
        .map(|finding| {
            let values = PATHS.map(|path| format!("{path} {:?}", finding.pointer(path)));
            values.join(", ")
        })
        .collect();
    facts.sort();
    facts
}

/// Promised and accepted body bytes.
fn sizes(findings: &[Value]) -> Vec<(Option<u64>, Option<u64>)> {
    let number = |finding: &Value, name| finding.get(name).and_then(Value::as_u64);
    let mut sizes: Vec<_> = findings
        .iter()
        .map(|finding| {
            (
                number(finding, "promised_bytes"),
                number(finding, "sent_bytes"),
            )
        })
        .collect();
    sizes.sort_unstable();
    sizes
}

#[test]
fn what_is_found_live_is_found_in_a_log_of_the_same_traffic() -> Result<()> {
    let folder = TempDir::new()?;
    for (name, vectored) in [("writev", true), ("sendto", false)] {
        let mut options = server::Options::unix();
        options.vectored = vectored;
        let server = Server::start(HyperVersion::V1_8_1, &options)?;
        let log = folder.path().join(name);
        let strace = strace(server.pid(), &log)?;
        let watcher = watch(server.pid(), &[])?;
        let mut seen = Vec::new();
        for cause in Trigger::ALL {
            for _ in 0..EACH {
                healthy::keep_alive(server.addr(), &healthy::hyper(), HEALTHY)?;
                let outcome = trigger(server.addr(), cause)?;
                assert!(outcome.truncated(), "{cause} did not trigger: {outcome:?}");
                seen.push((Some(BIG_BODY), Some(outcome.received)));
            }
        }
        let live = watcher.stop()?;
        end(strace)?;
        let (findings, summary) = analyze(&log)?;
        seen.sort_unstable();
        assert_eq!(sizes(&live.findings), seen, "{name}, live");
        assert_eq!(sizes(&findings), seen, "{name}, of the log");
        assert_eq!(facts(&live.findings), facts(&findings), "{name}");
        for (what, summary) in [("live", &live.summary), ("of the log", &summary)] {
            assert_eq!(
                summary.get("messages_judged").and_then(Value::as_u64),
                Some(3 * EACH as u64 * (HEALTHY + 1)),
                "{name}, {what}: {summary}"
            );
            let unjudged = summary.get("unjudged").and_then(Value::as_object);
            assert!(
                unjudged.is_some_and(|reasons| reasons.values().all(|count| count == 0)),
                "{name}, {what}: {summary}"
            );
        }
    }
    Ok(())
}
