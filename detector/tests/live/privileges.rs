//! Instead of root, three capabilities are enough; a fourth names programs.

use std::{
    fs,
    io::{self, BufRead as _, BufReader},
    process::{Command, Stdio},
};

use anyhow::{Context as _, Result};
use serde_json::Value;
use testbed::{
    client::{Conn, Request},
    server::HyperVersion,
};

use crate::servers::{Reaped, hyper, truncwatch_for_everybody};

/// What a watch came to.
struct Outcome {
    status: Option<i32>,
    /// On standard error.
    first_line: String,
    finding: Option<Value>,
}

/// Watches root's server as nobody with these capabilities, until one finding.
fn watch_with(capabilities: &str) -> Result<Outcome> {
    let server = hyper(HyperVersion::V1_12_0)?;
    let (folder, copy) = truncwatch_for_everybody()?;
    let report = folder.path().join("report");
    let only = format!("-all,{capabilities}");
    let child = Command::new("setpriv")
        .args(["--reuid", "65534", "--regid", "65534", "--clear-groups"])
        .args(["--inh-caps", &only, "--ambient-caps", &only])
        .args(["--bounding-set", &only])
        .arg(&copy)
        .args(["--json", "--count", "1", "--duration", "10"])
        .args(["--pid", &server.pid().to_string(), "-o"])
        .arg(&report)
        .current_dir("/")
        .stderr(Stdio::piped())
        .spawn()?;
    let mut child = Reaped(child);
    let mut errors = BufReader::new(child.0.stderr.take().context("no standard error")?);
    let mut first_line = String::new();
    errors.read_line(&mut first_line)?;
    if first_line.contains("watching process") {
        Conn::connect(server.addr())?.request(&Request::get("/lie/5000/3000"));
    }
    let status = child.0.wait()?.code();
    let text = fs::read_to_string(&report).unwrap_or_default();
    Ok(Outcome {
        status,
        first_line,
        finding: match text.lines().next() {
            Some(line) => Some(serde_json::from_str(line)?),
            None => None,
        },
    })
}

#[test]
fn three_capabilities_are_enough() -> Result<()> {
    let outcome = watch_with("+bpf,+perfmon,+dac_read_search")?;
    assert_eq!(outcome.status, Some(1), "{}", outcome.first_line);
    let finding = outcome.finding.context("no finding")?;
    assert_eq!(finding.pointer("/sent_bytes"), Some(&3000.into()));
    // Not known, hence not guessed.
    assert_eq!(finding.pointer("/process/exe"), Some(&Value::Null));
    Ok(())
}

#[test]
fn a_fourth_names_the_program() -> Result<()> {
    let outcome = watch_with("+bpf,+perfmon,+dac_read_search,+sys_ptrace")?;
    assert_eq!(outcome.status, Some(1), "{}", outcome.first_line);
    let finding = outcome.finding.context("no finding")?;
    let exe = finding.pointer("/process/exe").and_then(Value::as_str);
    assert!(exe.is_some_and(|exe| exe.ends_with("hyper-server")));
    Ok(())
}

#[test]
fn with_fewer_the_message_says_which() -> Result<()> {
    for (capabilities, missing) in [
        ("+bpf,+perfmon", "CAP_DAC_READ_SEARCH"),
        ("+bpf,+dac_read_search", "CAP_PERFMON"),
        ("+perfmon,+dac_read_search", "CAP_BPF"),
    ] {
        let outcome = watch_with(capabilities)?;
        assert_eq!(outcome.status, Some(2), "{capabilities}");
        assert!(
            outcome.first_line.contains(missing),
            "{}",
            outcome.first_line
        );
    }
    Ok(())
}

/// Which sockets exist is told by `/proc`. Where that hides processes of others, nothing
/// is told to stall, and that is said.
#[test]
fn what_stalls_is_told_where_proc_can_be_read() -> Result<()> {
    for (option, is_told) in [
        ("", true),
        ("hidepid=noaccess", false),
        ("hidepid=invisible", false),
    ] {
        let server = hyper(HyperVersion::V1_12_0)?;
        let (folder, copy) = truncwatch_for_everybody()?;
        let report = folder.path().join("report");
        let only = "-all,+bpf,+perfmon,+dac_read_search";
        let proc = format!("mount -t proc -o 'rw,{option}' proc /proc && exec \"$@\"");
        let child = Command::new("unshare")
            .args(["--mount", "sh", "-c", &proc, "sh"])
            .args([
                "setpriv",
                "--reuid",
                "65534",
                "--regid",
                "65534",
                "--clear-groups",
            ])
            .args(["--inh-caps", only, "--ambient-caps", only])
            .args(["--bounding-set", only])
            .arg(&copy)
            .args(["--json", "--stall", "0.2", "--duration", "3"])
            .args(["--comm", "hyper-server", "-o"])
            .arg(&report)
            .current_dir("/")
            .stderr(Stdio::piped())
            .spawn()?;
        let mut child = Reaped(child);
        let errors = BufReader::new(child.0.stderr.take().context("no standard error")?);
        let mut lines = errors.lines();
        // Where processes are hidden, none has the name: that is said first.
        for line in lines.by_ref() {
            if line?.contains("watching") {
                break;
            }
        }
        // Not read: what the socket does not take is owed.
        let mut conn = Conn::connect(server.addr())?;
        conn.send(&Request::get("/ignore").message())?;
        let rest = lines.collect::<io::Result<Vec<_>>>()?;
        let status = child.0.wait()?;
        let text = fs::read_to_string(&report)?;
        let report = text
            .lines()
            .map(serde_json::from_str)
            .collect::<Result<Vec<Value>, _>>()?;
        let stalled = report.iter().filter(|value| {
            value.pointer("/cause").is_some_and(|it| it == "stalled")
                && value.pointer("/process/pid") == Some(&server.pid().into())
        });
        assert_eq!(stalled.count(), usize::from(is_told), "{option}: {text}");
        let summary = report.last().context("no summary")?;
        let not_seen = summary.pointer("/not_seen").map(ToString::to_string);
        let is_named = not_seen.is_some_and(|named| named.contains("hidepid"));
        assert_eq!(is_named, !is_told, "{option}: {summary}");
        assert!(status.code().is_some(), "{option}: {status}, {rest:?}");
    }
    Ok(())
}

#[test]
fn a_command_does_not_inherit_them() -> Result<()> {
    let (_folder, copy) = truncwatch_for_everybody()?;
    let given = "-all,+bpf,+perfmon,+dac_read_search";
    let output = Command::new("setpriv")
        .args(["--reuid", "65534", "--regid", "65534", "--clear-groups"])
        .args(["--inh-caps", given, "--ambient-caps", given])
        .arg(&copy)
        .args([
            "-o",
            "/dev/null",
            "--",
            "grep",
            "CapEff",
            "/proc/self/status",
        ])
        .current_dir("/")
        .output()?;
    let text = String::from_utf8_lossy(&output.stdout);
    assert_eq!(text.trim(), "CapEff:\t0000000000000000", "{output:?}");
    Ok(())
}
