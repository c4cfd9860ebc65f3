//! Findings are told once; beyond a number they are counted.

use std::{fs, io::Read as _, os::unix::net::UnixDatagram, process::Command, time::Duration};

use anyhow::{Context as _, Result};
use testbed::{
    client::{Conn, Request},
    server::HyperVersion,
};

use super::{Daemon, cut_short, hyper, truncwatch};
use crate::servers::text;

#[test]
fn each_is_told_once_as_a_line_with_the_fields_of_a_watch() -> Result<()> {
    let server = hyper(HyperVersion::V1_12_0)?;
    let mut daemon = Daemon::start("[findings]\noutput = \"stdout\"")?;
    cut_short(&server, 5000, 3000)?;
    assert!(
        Conn::connect(server.addr())?
            .request(&Request::get("/bytes/100"))
            .complete()
    );
    let found = daemon.findings(server.pid(), 1)?;
    let finding = found.first().context("none")?;
    assert_eq!(finding.pointer("/sent_bytes"), Some(&3000.into()));
    assert!(text(finding, "/process/exe").is_some_and(|exe| exe.ends_with("hyper-server")));
    // Known or null, and there.
    assert!(finding.pointer("/process/unit").is_some());
    assert!(finding.pointer("/stack/0").is_some(), "{finding}");
    let (status, errors) = daemon.stop()?;
    assert_eq!(status.code(), Some(0), "{errors:?}");
    Ok(())
}

#[test]
fn beyond_a_number_they_are_counted_and_one_line_says_how_many() -> Result<()> {
    let server = hyper(HyperVersion::V1_12_0)?;
    let config = "[findings]\noutput = \"stdout\"\nin_full = 2\nperiod_seconds = 3";
    let mut daemon = Daemon::start(config)?;
    for _ in 0..6 {
        cut_short(&server, 5000, 3000)?;
    }
    daemon.findings(server.pid(), 2)?;
    let output = daemon.output.clone();
    let pid = server.pid();
    daemon.until("held-back line", || {
        (Daemon::count(&output, "held-back", pid) > 0).then_some(())
    })?;
    let held = daemon.told("held-back", pid);
    assert_eq!(held.len(), 1, "{held:?}");
    assert_eq!(held[0]["count"], 4);
    assert_eq!(held[0]["cause"], "premature-close", "{held:?}");
    Ok(())
}

#[test]
fn what_was_held_back_is_told_at_the_end_too() -> Result<()> {
    let server = hyper(HyperVersion::V1_12_0)?;
    let mut daemon = Daemon::start("[findings]\noutput = \"stdout\"\nin_full = 1")?;
    for _ in 0..3 {
        cut_short(&server, 5000, 3000)?;
    }
    daemon.findings(server.pid(), 1)?;
    let output = daemon.output.clone();
    daemon.stop()?;
    assert_eq!(Daemon::count(&output, "held-back", server.pid()), 1);
    Ok(())
}

#[test]
fn what_is_excluded_is_not_told() -> Result<()> {
    let server = hyper(HyperVersion::V1_12_0)?;
    let comm = fs::read_to_string(format!("/proc/{}/comm", server.pid()))?;
    let config = format!(
        "[findings]\noutput = \"stdout\"\n[exclude]\ncomms = [{:?}, \"tokio-rt-worker\"]",
        comm.trim()
    );
    let daemon = Daemon::start(&config)?;
    cut_short(&server, 5000, 3000)?;
    std::thread::sleep(Duration::from_secs(1));
    assert_eq!(daemon.told("finding", server.pid()).len(), 0);
    Ok(())
}

/// A mount namespace in which `/run/systemd/journal` is another folder.
fn with_journal_in(folder: &std::path::Path, config: &str) -> Result<Daemon> {
    let script = "mkdir -p /run/systemd/journal && mount --bind \"$1\" /run/systemd/journal && exec \"$0\" daemon --config \"$2\"";
    let file = folder.join("c.toml");
    fs::write(&file, config)?;
    let mut daemon = Daemon::spawn("", |command| {
        *command = Command::new("unshare");
        command
            .args(["--mount", "--propagation", "private", "sh", "-c", script])
            .args([truncwatch(), folder, &file])
            .stdout(std::process::Stdio::piped())
            .stderr(std::process::Stdio::piped());
    })?;
    daemon.wait_for("truncwatch: watching")?;
    Ok(daemon)
}

/// What journald would be sent, taken by a socket that stands for it.
#[test]
fn the_journal_is_sent_every_field_by_its_name() -> Result<()> {
    let folder = testbed::TempDir::new()?;
    let journal = UnixDatagram::bind(folder.path().join("socket"))?;
    journal.set_read_timeout(Some(Duration::from_secs(10)))?;
    let server = hyper(HyperVersion::V1_12_0)?;
    let daemon = with_journal_in(folder.path(), "[watch]\nno_stacks = true")?;
    assert!(
        daemon
            .errors
            .all()
            .iter()
            .any(|line| line.contains("go to the journal"))
    );
    cut_short(&server, 5000, 3000)?;
    let own = format!("\nPROCESS_PID={}\n", server.pid());
    let entry = loop {
        let mut bytes = vec![0; 1 << 18];
        let length = journal.recv(&mut bytes)?;
        let entry = String::from_utf8_lossy(&bytes[..length]).into_owned();
        // Others on this host may cut messages short too.
        if entry.contains(&own) {
            break entry;
        }
    };
    for field in [
        "MESSAGE_ID=c7a1b2d94e0f4d7c9f7a3f5b1d0e6a21",
        "PRIORITY=4",
        "SYSLOG_IDENTIFIER=truncwatch",
        "CAUSE=premature-close",
        "FAULT=local",
        "PROMISED_BYTES=5000",
        "SENT_BYTES=3000",
        "MESSAGE_STATUS=200",
        "SOCKET_FAMILY=unix",
        "TYPE=finding",
    ] {
        assert!(entry.lines().any(|line| line == field), "{field}: {entry}");
    }
    assert!(entry.contains("3,000 of 5,000 bytes"), "{entry}");
    assert!(entry.contains("\nTIMELINE=["), "{entry}");
    assert_eq!(daemon.output.all(), Vec::<String>::new());
    Ok(())
}

/// The real one, started in a namespace of its own, if this system has it.
#[test]
fn the_real_journal_takes_them() -> Result<()> {
    let journald = std::path::Path::new("/lib/systemd/systemd-journald");
    if !journald.exists() {
        eprintln!("LEFT OUT: there is no systemd-journald here");
        return Ok(());
    }
    let server = hyper(HyperVersion::V1_12_0)?;
    let folder = testbed::TempDir::new()?;
    let file = folder.path().join("c.toml");
    fs::write(&file, "")?;
    // Everything in one namespace; the shell ends it when its input ends.
    let script = "mount -t tmpfs none /run && mkdir -p /run/systemd/journal \
        && { /lib/systemd/systemd-journald & journald=$!; } \
        && while [ ! -S /run/systemd/journal/socket ]; do sleep 0.1; done \
        && { \"$0\" daemon --config \"$1\" & daemon=$!; } ; read line; kill $daemon; wait $daemon; \
        sleep 0.3; journalctl --sync; \
        journalctl --all --directory=/run/log/journal -o json MESSAGE_ID=c7a1b2d94e0f4d7c9f7a3f5b1d0e6a21; kill $journald; wait";
    let mut daemon = Daemon::spawn("", |command| {
        *command = Command::new("unshare");
        command
            .args(["--mount", "--propagation", "private", "sh", "-c", script])
            .args([truncwatch(), &file])
            .stdin(std::process::Stdio::piped())
            .stdout(std::process::Stdio::piped())
            .stderr(std::process::Stdio::piped());
    })?;
    daemon.wait_for("truncwatch: watching")?;
    cut_short(&server, 5000, 3000)?;
    std::thread::sleep(Duration::from_secs(1));
    drop(daemon.child.stdin.take());
    let (_, errors) = daemon.wait()?;
    let entries = daemon.output.all();
    let entry = entries
        .iter()
        .filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok())
        .find(|entry| entry["PROCESS_PID"] == server.pid().to_string());
    let entry = entry.with_context(|| format!("{entries:?} {errors:?}"))?;
    assert_eq!(entry["CAUSE"], "premature-close");
    assert_eq!(entry["SENT_BYTES"], "3000");
    assert_eq!(entry["SYSLOG_IDENTIFIER"], "truncwatch");
    // A part of the stack, which is longer than a datagram may be at times.
    assert!(
        entry["STACK"]
            .as_str()
            .is_some_and(|stack| stack.starts_with('['))
    );
    Ok(())
}

#[test]
fn a_reader_that_goes_away_ends_nothing() -> Result<()> {
    let server = hyper(HyperVersion::V1_12_0)?;
    let folder = testbed::TempDir::new()?;
    let file = folder.path().join("c.toml");
    fs::write(&file, "[findings]\noutput = \"stdout\"")?;
    let mut child = Command::new(truncwatch())
        .args(["daemon", "--config"])
        .arg(&file)
        .stdout(std::process::Stdio::piped())
        .stderr(std::process::Stdio::piped())
        .spawn()?;
    drop(child.stdout.take());
    let mut errors = child.stderr.take().context("no standard error")?;
    let mut first = [0; 20];
    errors.read_exact(&mut first)?;
    std::thread::sleep(Duration::from_millis(300));
    cut_short(&server, 5000, 3000)?;
    std::thread::sleep(Duration::from_secs(1));
    assert_eq!(child.try_wait()?, None);
    testbed::signal(child.id(), testbed::Signal::TERM)?;
    assert_eq!(child.wait()?.code(), Some(0));
    let mut rest = String::new();
    errors.read_to_string(&mut rest)?;
    assert_eq!(rest.matches("cannot tell a finding").count(), 1, "{rest}");
    Ok(())
}
