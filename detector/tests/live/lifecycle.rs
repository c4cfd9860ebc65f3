//! How a watch begins and ends.

use std::{
    fs,
    io::Read as _,
    process::{Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result};
use testbed::{
    Signal,
    client::{Conn, Request},
    server::{HyperVersion, Options, Server},
    watcher::Watcher,
};

use crate::servers::{Reaped, assert_clean, hyper, only, text, truncwatch, watch};

#[test]
fn a_process_that_ends_ends_the_watch() -> Result<()> {
    let mut server = hyper(HyperVersion::V1_12_0)?;
    let watcher = watch(server.pid(), &[])?;
    server.kill(Signal::TERM)?;
    server.wait()?;
    let report = watcher.finish()?;
    assert!(
        report.errors.contains("no watched process runs any more"),
        "{}",
        report.errors
    );
    assert_eq!(report.status.code(), Some(0));
    Ok(())
}

#[test]
fn the_cpu_of_a_process_that_is_confined_is_left_to_it() -> Result<()> {
    let cpus = |pid: u32| -> Result<String> {
        let status = fs::read_to_string(format!("/proc/{pid}/status"))?;
        let line = status
            .lines()
            .find_map(|line| line.strip_prefix("Cpus_allowed_list:"));
        Ok(line.context("no such line")?.trim().to_owned())
    };
    let own = cpus(std::process::id())?;
    let first = own.split([',', '-']).next().context("no CPU")?.to_owned();
    let confined = Options {
        cpu: Some(first.parse()?),
        ..Options::unix()
    };
    let server = Server::start(HyperVersion::V1_12_0, &confined)?;
    assert_eq!(cpus(server.pid())?, first);
    let watcher = watch(server.pid(), &[])?;
    thread::sleep(Duration::from_millis(200));
    let left = cpus(watcher.pid())?;
    if own == first {
        // There is no other.
        assert_eq!(left, own);
    } else {
        let mut ends = left.split([',', '-']);
        assert!(left != own && ends.all(|cpu| cpu != first), "{left}");
    }
    drop(watcher);

    let free = hyper(HyperVersion::V1_12_0)?;
    let watcher = watch(free.pid(), &[])?;
    thread::sleep(Duration::from_millis(200));
    assert_eq!(cpus(watcher.pid())?, own);
    Ok(())
}

#[test]
fn a_connection_joined_in_mid_stream_is_judged_from_the_next_message_on() -> Result<()> {
    let server = hyper(HyperVersion::V1_12_0)?;
    let mut connection = Conn::connect(server.addr())?;
    assert!(connection.request(&Request::get("/bytes/100")).complete());
    let watcher = watch(server.pid(), &[])?;
    for _ in 0..5 {
        assert!(connection.request(&Request::get("/bytes/100")).complete());
    }
    connection.request(&Request::get("/lie/5000/3000"));
    let report = watcher.stop()?;
    assert_eq!(report.sizes(), vec![(5000, 3000)]);
    assert_eq!(
        report.summary.pointer("/unjudged/mid-stream"),
        Some(&1.into())
    );
    assert_eq!(report.count("messages_judged"), Some(6));
    Ok(())
}

#[test]
fn a_watch_that_came_too_late_for_all_there_was_says_so() -> Result<()> {
    let server = hyper(HyperVersion::V1_12_0)?;
    let mut connection = Conn::connect(server.addr())?;
    let request = Request::get("/bytes/20000000");
    connection.send(&request.message())?;
    assert!(connection.wait_readable(Duration::from_secs(10))?);
    let watcher = watch(server.pid(), &[])?;
    assert!(connection.receive(&request).complete());
    let report = watcher.stop()?;
    assert_eq!(report.count("messages_judged"), Some(0));
    assert!(
        report.errors.contains("no message was judged"),
        "{}",
        report.errors
    );
    assert_eq!(report.status.code(), Some(3));
    Ok(())
}

/// Those too that are gone by the end.
#[test]
fn children_that_come_later_and_are_not_watched_are_counted() -> Result<()> {
    let mut child = Command::new("sh")
        .args(["-c", "read line; (exit) & (exit) & wait; echo; read line"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()?;
    let mut input = child.stdin.take().context("no input")?;
    let mut output = child.stdout.take().context("no output")?;
    let parent = Reaped(child);
    let watcher = watch(parent.0.id(), &[])?;
    std::io::Write::write_all(&mut input, b"go\n")?;
    output.read_exact(&mut [0])?;
    let report = watcher.stop()?;
    assert_eq!(
        report.summary.pointer("/not_seen/0"),
        Some(&"2 children that came later (with --follow they are watched too)".into())
    );
    Ok(())
}

#[test]
fn children_are_followed_those_there_already_and_those_to_come() -> Result<()> {
    let shell = "python3 -m http.server 0 --bind 127.0.0.1 & echo one; read line; \
                 python3 -m http.server 0 --bind 127.0.0.1 & echo two; wait";
    let mut child = Command::new("sh")
        .args(["-c", shell])
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()?;
    let mut input = child.stdin.take().context("no input")?;
    let parent = Reaped(child);
    thread::sleep(Duration::from_millis(700));
    let watcher = watch(parent.0.id(), &["--follow"])?;
    std::io::Write::write_all(&mut input, b"go\n")?;
    let until = Instant::now() + Duration::from_secs(10);
    let children = loop {
        let children = children_of(parent.0.id())?;
        if children.len() == 2 || Instant::now() > until {
            break children;
        }
        thread::sleep(Duration::from_millis(20));
    };
    assert_eq!(children.len(), 2, "{children:?}");
    for child in &children {
        let port = wait_for_port(*child)?;
        let addr = testbed::client::Addr::Tcp(([127, 0, 0, 1], port).into());
        assert!(Conn::connect(&addr)?.request(&Request::get("/")).complete());
    }
    let report = watcher.stop()?;
    for child in children {
        Command::new("kill").arg(child.to_string()).status()?;
    }
    assert_clean(&report, 2);
    Ok(())
}

fn children_of(pid: u32) -> Result<Vec<u32>> {
    let text = std::fs::read_to_string(format!("/proc/{pid}/task/{pid}/children"))?;
    Ok(text
        .split_whitespace()
        .filter_map(|child| child.parse().ok())
        .collect())
}

/// The same, once it has one: an interpreter takes its time.
fn wait_for_port(pid: u32) -> Result<u16> {
    let until = Instant::now() + Duration::from_secs(10);
    loop {
        match listening_port(pid) {
            Err(_) if Instant::now() < until => thread::sleep(Duration::from_millis(20)),
            port => return port,
        }
    }
}

/// The port that the process listens on (proc_net_tcp).
fn listening_port(pid: u32) -> Result<u16> {
    let sockets: Vec<_> = std::fs::read_dir(format!("/proc/{pid}/fd"))?
        .filter_map(|entry| std::fs::read_link(entry.ok()?.path()).ok())
        .map(|link| link.to_string_lossy().into_owned())
        .collect();
    let table = std::fs::read_to_string(format!("/proc/{pid}/net/tcp"))?;
    table
        .lines()
        .skip(1)
        .find_map(|line| {
            let fields: Vec<_> = line.split_whitespace().collect();
            let inode = format!("socket:[{}]", fields.get(9)?);
            (fields.get(3) == Some(&"0A") && sockets.contains(&inode))
                .then(|| u16::from_str_radix(fields.get(1)?.rsplit(':').next()?, 16).ok())?
        })
        .context("it does not listen")
}

#[test]
fn the_whole_host_is_watched_without_a_pid() -> Result<()> {
    let watcher = Watcher::start(truncwatch(), &[])?;
    let server = hyper(HyperVersion::V1_12_0)?;
    Conn::connect(server.addr())?.request(&Request::get("/lie/5001/3001"));
    let report = watcher.stop()?;
    // Other tests run beside this one, and are on this host too.
    let own: Vec<_> = report
        .findings
        .iter()
        .filter(|finding| finding.pointer("/process/pid") == Some(&server.pid().into()))
        .collect();
    assert_eq!(own.len(), 1, "{own:?}");
    assert_eq!(own[0].pointer("/promised_bytes"), Some(&5001.into()));
    Ok(())
}

#[test]
fn a_count_ends_the_watch_and_a_duration_does() -> Result<()> {
    let server = hyper(HyperVersion::V1_12_0)?;
    let watcher = watch(server.pid(), &["--count", "1"])?;
    Conn::connect(server.addr())?.request(&Request::get("/lie/5000/3000"));
    assert_eq!(text(only(&watcher.finish()?)?, "/fault"), Some("local"));
    let watcher = watch(server.pid(), &["--duration", "0.3"])?;
    assert_clean(&watcher.finish()?, 0);
    Ok(())
}

#[test]
fn sigint_and_sigterm_print_the_summary_however_early() -> Result<()> {
    let server = hyper(HyperVersion::V1_12_0)?;
    for signal in ["-INT", "-TERM"] {
        let mut child = Command::new(truncwatch())
            .args(["--pid", &server.pid().to_string()])
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()?;
        let mut stderr = child.stderr.take().context("no standard error")?;
        let mut first = [0; 20];
        stderr.read_exact(&mut first)?;
        Command::new("kill")
            .args([signal, &child.id().to_string()])
            .status()?;
        let output = child.wait_with_output()?;
        let text = String::from_utf8_lossy(&output.stdout);
        assert!(text.contains("0 messages judged"), "{text}");
        assert_eq!(output.status.code(), Some(0));
    }
    Ok(())
}

/// On a terminal a line says how it goes, and changes in place; elsewhere there
/// is none.
#[test]
fn the_status_line_is_for_terminals() -> Result<()> {
    let server = hyper(HyperVersion::V1_12_0)?;
    let pid = server.pid().to_string();
    let arguments = ["--pid", &pid, "--duration", "1.5"];
    let plain = Command::new(truncwatch()).args(arguments).output()?;
    assert!(!String::from_utf8_lossy(&plain.stderr).contains("unjudged"));
    let inner = format!("{} {}", truncwatch().display(), arguments.join(" "));
    // script(1) gives it a terminal.
    let shown = Command::new("script")
        .env("TERM", "xterm")
        .args(["--quiet", "--command", &inner, "/dev/null"])
        .stdin(Stdio::null())
        .output()?;
    let shown = String::from_utf8_lossy(&shown.stdout).into_owned();
    assert!(shown.matches("0 unjudged").count() > 2, "{shown:?}");
    // What is watched, and the summary.
    assert_eq!(shown.matches('\n').count(), 6, "{shown:?}");
    Ok(())
}

#[test]
fn a_reader_that_goes_away_ends_the_watch_quietly() -> Result<()> {
    let server = hyper(HyperVersion::V1_12_0)?;
    let mut child = Command::new(truncwatch())
        .args(["--json", "--pid", &server.pid().to_string()])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()?;
    drop(child.stdout.take());
    let mut stderr = child.stderr.take().context("no standard error")?;
    let mut first = [0; 20];
    stderr.read_exact(&mut first)?;
    thread::sleep(Duration::from_millis(300));
    Conn::connect(server.addr())?.request(&Request::get("/lie/5000/3000"));
    let status = child.wait()?;
    let mut rest = String::new();
    stderr.read_to_string(&mut rest)?;
    assert_eq!(status.code(), Some(1), "{rest}");
    assert!(
        !rest.contains("panicked") && !rest.contains("roken pipe"),
        "{rest}"
    );
    Ok(())
}

#[test]
fn every_program_passes_the_verifier_with_room_to_spare() -> Result<()> {
    let server = hyper(HyperVersion::V1_12_0)?;
    let report = watch(server.pid(), &["--verbose"])?.stop()?;
    let line = report
        .errors
        .lines()
        .find(|line| line.contains("instructions verified"))
        .context("no line about the verifier")?;
    let counts: Vec<u64> = line
        .split(|letter: char| !letter.is_ascii_digit())
        .filter_map(|number| number.parse().ok())
        .filter(|count| *count > 4)
        .collect();
    assert!(counts.len() >= 14, "{line}");
    // A quarter of what it allows.
    assert!(counts.iter().all(|count| *count < 250_000), "{line}");
    Ok(())
}

/// With a ring buffer of one page, records are lost; what they belonged to is
/// not judged.
#[test]
fn losses_are_counted_and_never_become_findings() -> Result<()> {
    let server = hyper(HyperVersion::V1_12_0)?;
    let watcher = watch(server.pid(), &["--ring-bytes", "4096"])?;
    thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                let mut connection = Conn::connect(server.addr())?;
                for _ in 0..2_000 {
                    connection.request(&Request::get("/bytes/3000"));
                }
                Ok::<_, std::io::Error>(())
            });
        }
    });
    let report = watcher.stop()?;
    assert_eq!(report.findings, Vec::<serde_json::Value>::new());
    assert!(report.count("events_lost") > Some(0), "{}", report.summary);
    assert!(
        report
            .summary
            .pointer("/unjudged/lost-events")
            .and_then(serde_json::Value::as_u64)
            > Some(0)
    );
    assert_eq!(report.status.code(), Some(3));
    Ok(())
}

/// A child that is not watched is the last to hold each socket: its end is not
/// seen, and leaves no entry behind.
#[test]
fn sockets_whose_end_is_not_seen_are_let_go() -> Result<()> {
    let server = testbed::calls::Crowd::start("keepers", false)?;
    let watcher = watch(server.pid(), &["--max-connections", "4"])?;
    // The fourth and the fifth find room only if the first were let go.
    for round in 0..2 {
        for _ in 0..3 {
            let outcome = Conn::connect(server.addr())?.request(&Request::get("/300/300"));
            assert!(outcome.complete(), "round {round}: {outcome:?}");
        }
        thread::sleep(Duration::from_secs(7));
    }
    let report = watcher.stop()?;
    assert_clean(&report, 6);
    Ok(())
}

#[test]
fn a_full_connection_map_is_counted() -> Result<()> {
    let server = hyper(HyperVersion::V1_12_0)?;
    let watcher = watch(server.pid(), &["--max-connections", "2"])?;
    let mut open = Vec::new();
    for _ in 0..5 {
        let mut connection = Conn::connect(server.addr())?;
        connection.request(&Request::get("/bytes/10"));
        open.push(connection);
    }
    let report = watcher.stop()?;
    assert_eq!(report.findings, Vec::<serde_json::Value>::new());
    let full = report
        .summary
        .pointer("/unjudged/connections-full")
        .and_then(serde_json::Value::as_u64);
    assert!(full > Some(0), "{}", report.summary);
    assert_eq!(report.status.code(), Some(3));
    Ok(())
}
