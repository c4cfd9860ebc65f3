//! `truncwatch -- COMMAND`: a command that is watched from its first
//! instruction.

use std::{
    fs,
    os::unix::process::CommandExt as _,
    process::{Command, Output, Stdio},
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result};
use serde_json::Value;
use testbed::watcher::Watcher;

use crate::servers::{only, text, truncwatch, truncwatch_for_everybody};

/// Sends half of what it promises on a socket pair, at once.
const SHORT: &str = r#"
import socket, os, sys
def short():
    a, b = socket.socketpair()
    b.sendall(b"GET /x HTTP/1.1\r\nHost: x\r\n\r\n")
    a.recv(1000)
    a.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n" + b"x" * 50)
    b.recv(1000)
    a.shutdown(socket.SHUT_WR)
"#;

fn run(arguments: &[&str]) -> Result<Output> {
    Ok(Command::new(truncwatch())
        .args(arguments)
        .stdin(Stdio::null())
        .output()?)
}

/// The JSON summary, the last line.
fn summary(output: &Output) -> Result<Value> {
    let printed = String::from_utf8_lossy(&output.stdout);
    let line = printed.lines().last().context("nothing was printed")?;
    Ok(serde_json::from_str(line)?)
}

#[test]
fn its_status_is_ours_where_it_failed_and_in_the_summary_always() -> Result<()> {
    for (script, status) in [
        ("true", 0),
        ("exit 7", 7),
        ("exit 1", 1),
        ("exit 3", 3),
        ("exit 255", 255),
        ("kill -TERM $$", 143),
        ("kill -KILL $$", 137),
    ] {
        let output = run(&["--json", "--", "sh", "-c", script])?;
        assert_eq!(output.status.code(), Some(status), "{script}");
        let summary = summary(&output)?;
        assert_eq!(summary.pointer("/command_status"), Some(&status.into()));
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(said.contains("the command's own"), status != 0, "{said}");
    }
    Ok(())
}

#[test]
fn a_finding_goes_before_its_status() -> Result<()> {
    for status in [0, 7] {
        let program = format!("{SHORT}short()\nsys.exit({status})");
        let output = run(&["--json", "--", "python3", "-c", &program])?;
        assert_eq!(output.status.code(), Some(1));
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        let whose = format!("the command's own is {status}");
        assert!(said.contains(&whose), "{said}");
        assert_eq!(summary(&output)?["command_status"], status);
    }
    Ok(())
}

/// Bytes of other protocols, and of which nothing can be told.
#[test]
fn traffic_that_may_have_been_http_and_was_not_judged_is_no_success() -> Result<()> {
    const TLS: &str = r"b'\x16\x03\x01\x00\x60\x01\x00\x00\x5c\x03\x03' + b'r' * 90";
    const HTTP2: &str = r"b'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n' + b'\0\0\0\4\0\0\0\0\0'";
    const SSH: &str = r"b'SSH-2.0-OpenSSH_10.0\r\n'";
    const WHOLE: &str = r"b'HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok'";
    for (sent, reason, said, status) in [
        (vec![TLS], "encrypted", "encrypted (1)", 3),
        (vec![TLS, SSH], "encrypted", "(not HTTP: 1)", 3),
        (vec![HTTP2], "http2", "HTTP/2 (1)", 3),
        (vec![SSH], "not-http", "", 0),
        (vec![TLS, WHOLE], "encrypted", "", 0),
    ] {
        let program = format!(
            "import socket\nfor data in [{}]:\n a, b = socket.socketpair()\n \
             if b'200 OK' in data:\n  b.sendall(b'GET /x HTTP/1.1\\r\\nHost: x\\r\\n\\r\\n')\n  a.recv(99)\n \
             a.sendall(data)\n a.close()\n b.close()",
            sent.join(", ")
        );
        let output = run(&["--json", "--", "python3", "-c", &program])?;
        let told = String::from_utf8_lossy(&output.stderr).into_owned();
        let summary = summary(&output)?;
        assert!(
            summary["unjudged"][reason].as_u64() > Some(0),
            "{reason}: {summary}"
        );
        assert_eq!(output.status.code(), Some(status), "{summary} {told}");
        assert_eq!(
            told.contains("no message was judged"),
            status == 3,
            "{told}"
        );
        assert!(told.contains(said), "{told}");
    }
    Ok(())
}

/// Where both go to the same place, the report begins a line of its own.
#[test]
fn the_report_does_not_join_a_line_of_its() -> Result<()> {
    let folder = testbed::TempDir::new()?;
    let path = folder.path().join("both");
    for (options, printed, wanted) in [
        (&[][..], "half a line", "half a line\nwatched"),
        (&[], "a line\n", "a line\nwatched"),
        (&["--json"], "half a line", "half a line\n{\"type\""),
        (&["--json"], "", "{\"type\""),
    ] {
        let output = Command::new(truncwatch())
            .args(options)
            .args(["--", "printf", "%s", printed])
            .stdout(fs::File::create(&path)?)
            .output()?;
        let both = fs::read_to_string(&path)?;
        assert!(both.starts_with(wanted), "{both:?}");
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(said.contains("-o FILE keeps them apart"), "{said}");
        let in_file = format!("no finding in {}: 0 messages judged", path.display());
        assert!(said.contains(&in_file), "{said}");
    }
    // Of a pipe nothing is known; JSON lines are not torn apart by it.
    let output = run(&["--", "printf", "half a line"])?;
    let both = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(both.starts_with("half a line\nwatched"), "{both:?}");
    let output = run(&["--json", "--", "true"])?;
    assert!(output.stdout.starts_with(b"{"), "{output:?}");
    Ok(())
}

/// The watch is nice; what it watches is as it would be.
#[test]
fn the_command_is_no_nicer_than_without_a_watch() -> Result<()> {
    let alone = Command::new("nice").output()?;
    let output = run(&["--json", "--", "nice"])?;
    let printed = String::from_utf8_lossy(&output.stdout);
    let alone = String::from_utf8_lossy(&alone.stdout);
    let of_command = printed.lines().find(|line| !line.starts_with('{'));
    assert_eq!(of_command, alone.lines().next(), "{printed}");
    Ok(())
}

/// A chunked body in calls that begin anywhere in it, also within a size line; then a
/// short response, which is found only where the body was followed to its end.
#[test]
fn chunks_are_followed_from_call_to_call() -> Result<()> {
    const CALLS: [(usize, usize); 8] = [
        (65_536, 8192),
        (65_536, 1024),
        (50_000, 1000),
        (5000, 1000),
        (4099, 3000),
        (1009, 1000),
        (300, 1000),
        (777, 3),
    ];
    let program = format!(
        "
import socket, threading
def exchange(call, chunk):
    a, b = socket.socketpair()
    def drain():
        while b.recv(1 << 20): pass
    reader = threading.Thread(target=drain)
    b.sendall(b'GET /c HTTP/1.1\\r\\nHost: x\\r\\n\\r\\n')
    a.recv(1000)
    reader.start()
    chunk = b'%X\\r\\n' % chunk + b'x' * chunk + b'\\r\\n'
    data = b'HTTP/1.1 200 OK\\r\\nTransfer-Encoding: chunked\\r\\n\\r\\n'
    data += chunk * (1000000 // len(chunk)) + b'0\\r\\n\\r\\n'
    while data:
        data = data[a.send(data[:call]):]
    b.sendall(b'GET /s HTTP/1.1\\r\\nHost: x\\r\\n\\r\\n')
    a.recv(1000)
    a.sendall(b'HTTP/1.1 200 OK\\r\\nContent-Length: 100\\r\\n\\r\\n' + b'x' * 50)
    a.shutdown(socket.SHUT_WR)
    reader.join()
for call, chunk in [{}]:
    exchange(call, chunk)",
        CALLS.map(|call| format!("{call:?}")).join(", ")
    );
    let report = Watcher::start(truncwatch(), &["--", "python3", "-c", &program])?.finish()?;
    assert_eq!(report.sizes(), [(100, 50); CALLS.len()]);
    assert_eq!(report.unjudged(), 0, "{}", report.summary);
    Ok(())
}

/// Lines that end with a line feed alone, which some take (RFC 9112 section 2.2): where
/// the chunks are is not known then, and nothing is said of them.
#[test]
fn chunks_with_bare_line_feeds_are_not_accused() -> Result<()> {
    let program = r"
import socket
a, b = socket.socketpair()
b.sendall(b'GET /c HTTP/1.1\r\nHost: x\r\n\r\n')
a.recv(1000)
chunk = b'1f40\n' + b'x' * 8000 + b'\n'
head = b'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n'
a.sendall(head + 2 * chunk + b'0\n\n')
a.close()";
    let report = Watcher::start(truncwatch(), &["--", "python3", "-c", program])?.finish()?;
    assert_eq!(report.sizes(), []);
    assert_eq!(report.findings.len(), 0, "{:?}", report.findings);
    Ok(())
}

/// Its records find no room while the watch is stopped: connections of which nothing is
/// told are counted all the same.
#[test]
fn what_is_lost_is_counted_by_connection() -> Result<()> {
    const PAIRS: u64 = 40_000;
    let program = format!(
        "{SHORT}
import signal
watch = os.getppid()
os.kill(watch, signal.SIGSTOP)
for _ in range({PAIRS}):
    a, b = socket.socketpair()
    b.sendall(b'GET /x HTTP/1.1\\r\\nHost: x\\r\\n\\r\\n')
    a.recv(1000)
    a.sendall(b'HTTP/1.1 200 OK\\r\\nContent-Length: 2\\r\\n\\r\\nok')
    b.recv(1000)
    a.close()
    b.close()
os.kill(watch, signal.SIGCONT)"
    );
    let output = run(&["--json", "--", "python3", "-c", &program])?;
    let summary = summary(&output)?;
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(3), "{summary} {said}");
    let count = |field| summary.pointer(field).and_then(Value::as_u64).unwrap_or(0);
    assert!(count("/events_lost") > 0, "{summary}");
    let connections = count("/connections");
    assert_eq!(connections, 2 * PAIRS, "{summary}");
    // Each connection has one message, a request or a response.
    let lost = count("/unjudged/lost-events");
    let judged = count("/messages_judged");
    assert!((1..connections).contains(&judged), "{summary}");
    assert!(lost + judged >= connections, "{summary}");
    assert!(lost <= connections, "{summary}");
    assert!(said.contains("events were lost"), "{said}");
    Ok(())
}

/// It ends at once, before its program could be read again.
#[test]
fn the_program_before_an_exec_is_not_taken_for_it() -> Result<()> {
    let program = format!("{SHORT}\nshort()\nos.kill(os.getpid(), 9)");
    let shell = [
        "--json",
        "--",
        "sh",
        "-c",
        "exec python3 -c \"$0\"",
        &program,
    ];
    let output = run(&shell)?;
    let printed = String::from_utf8_lossy(&output.stdout);
    let finding = printed.lines().next().context("nothing was printed")?;
    let finding: Value = serde_json::from_str(finding)?;
    assert_eq!(text(&finding, "/cause"), Some("premature-shutdown"));
    let exe = finding.pointer("/process/exe").and_then(Value::as_str);
    assert!(exe.is_none_or(|exe| exe.contains("python")), "{exe:?}");
    // Nor is it said that what came later was not mapped.
    let why = text(&finding, "/stack_incomplete");
    assert!(why.is_none_or(|why| why.contains("gone")), "{why:?}");
    Ok(())
}

#[test]
fn its_first_connection_is_judged_and_its_childrens_are() -> Result<()> {
    let program = format!(
        "{SHORT}
short()
if os.fork() == 0:
    short()
    os._exit(0)
os.wait()"
    );
    let arguments = ["--", "python3", "-c", &program];
    let report = Watcher::start(truncwatch(), &arguments)?.finish()?;
    assert_eq!(report.sizes(), [(100, 50), (100, 50)]);
    assert_eq!(report.unjudged(), 0, "{}", report.summary);
    assert_eq!(report.status.code(), Some(1));
    let pids: Vec<_> = report
        .findings
        .iter()
        .map(|finding| finding.pointer("/process/pid"))
        .collect();
    assert_ne!(pids[0], pids[1]);
    Ok(())
}

#[test]
fn a_program_that_it_becomes_is_watched_too() -> Result<()> {
    let program = format!("{SHORT}short()");
    let arguments = ["--", "sh", "-c", "exec python3 -c \"$0\"", &program];
    let report = Watcher::start(truncwatch(), &arguments)?.finish()?;
    assert_eq!(text(only(&report)?, "/process/comm"), Some("python3"));
    Ok(())
}

#[test]
fn it_runs_as_the_user_behind_sudo() -> Result<()> {
    let output = Command::new(truncwatch())
        .args(["-o", "/dev/null", "--", "sh", "-c"])
        .arg("id -u; id -g; id -G; echo $USER $HOME")
        .env("SUDO_UID", "65534")
        .env("SUDO_GID", "65534")
        .output()?;
    let printed = String::from_utf8_lossy(&output.stdout);
    assert!(
        printed.starts_with("65534\n65534\n65534\nnobody "),
        "{printed}"
    );
    Ok(())
}

/// Nothing of ours that is open or blocked is its.
#[test]
fn it_inherits_no_descriptor_and_no_blocked_signal() -> Result<()> {
    let look = "grep SigBlk /proc/self/status; ls /proc/self/fd | tr '\\n' ' '";
    let plain = Command::new("sh").args(["-c", look]).output()?;
    let output = run(&["-o", "/dev/null", "--", "sh", "-c", look])?;
    let text = |output: Output| String::from_utf8_lossy(&output.stdout).into_owned();
    assert_eq!(text(output), text(plain));
    Ok(())
}

#[test]
fn signals_are_passed_on_and_it_is_waited_for() -> Result<()> {
    for (signal, status) in [("INT", 41), ("TERM", 42), ("HUP", 43), ("USR1", 44)] {
        let script =
            format!("trap 'exit {status}' {signal}; echo ready >&2; while :; do sleep 0.05; done");
        // A shell does not trap what it finds ignored, as under nohup(1).
        let arguments = ["--", "env", "--default-signal", "sh", "-c", &script];
        let mut watcher = Watcher::start(truncwatch(), &arguments)?;
        watcher.wait_for("ready")?;
        let pid = watcher.pid().to_string();
        Command::new("kill").args(["-s", signal, &pid]).status()?;
        let report = watcher.finish()?;
        let found = report.summary.pointer("/command_status");
        assert_eq!(found, Some(&status.into()), "{signal}");
    }
    Ok(())
}

/// Ctrl-C: the terminal sends it to both, and the command gets it once.
#[test]
fn a_terminal_interrupts_it_once() -> Result<()> {
    let folder = testbed::TempDir::new()?;
    let log = folder.path().join("log");
    let command = "trap 'echo INT >>$0' INT; echo ready >>$0; \
                   for i in 1 2 3 4 5 6 7 8; do sleep 0.1; done; exit 5";
    // A shell that stayed would be interrupted too.
    let inner = format!(
        "exec {} --json -o {} -- sh -c \"{}\" {}",
        truncwatch().display(),
        folder.path().join("report").display(),
        command.replace('$', "\\$"),
        log.display()
    );
    // script(1) gives it a terminal, and passes on what is written to it.
    let mut terminal = Command::new("script")
        .args(["--quiet", "--return", "--command", &inner, "/dev/null"])
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .spawn()?;
    let mut keys = terminal.stdin.take().context("no input")?;
    let until = Instant::now() + Duration::from_secs(20);
    while !fs::read_to_string(&log).is_ok_and(|text| text.contains("ready")) {
        anyhow::ensure!(Instant::now() < until, "the command did not begin");
        std::thread::sleep(Duration::from_millis(20));
    }
    std::io::Write::write_all(&mut keys, b"\x03")?;
    let ended = terminal.wait()?;
    drop(keys);
    // Without findings, its own status.
    assert_eq!(ended.code(), Some(5), "{ended}");
    assert_eq!(fs::read_to_string(&log)?, "ready\nINT\n");
    let report = fs::read_to_string(folder.path().join("report"))?;
    let summary: Value = serde_json::from_str(report.trim())?;
    assert_eq!(summary.pointer("/command_status"), Some(&5.into()));
    Ok(())
}

#[test]
fn a_limit_ends_it() -> Result<()> {
    let program = format!("{SHORT}short()\nimport time\ntime.sleep(60)");
    for limit in [["--duration", "4"], ["--count", "1"]] {
        let arguments: Vec<_> = limit
            .into_iter()
            .chain(["--", "python3", "-c", &program])
            .collect();
        let report = Watcher::start(truncwatch(), &arguments)?.finish()?;
        let status = report.summary.pointer("/command_status");
        assert_eq!(status, Some(&143.into()), "{limit:?}");
        assert_eq!(report.status.code(), Some(1), "{limit:?}");
    }
    Ok(())
}

/// It did what was asked of it: that is no failure.
#[test]
fn a_command_that_a_limit_ends_has_not_failed() -> Result<()> {
    let output = run(&["--json", "--duration", "0.3", "--", "sleep", "60"])?;
    assert_eq!(summary(&output)?["command_status"], 143);
    assert_eq!(output.status.code(), Some(0));
    let refuses = "trap 'exit 9' TERM; while :; do sleep 0.05; done";
    let output = run(&["--json", "--duration", "0.3", "--", "sh", "-c", refuses])?;
    assert_eq!(output.status.code(), Some(9));
    Ok(())
}

#[test]
fn without_us_it_does_not_run() -> Result<()> {
    // Not root: the watch cannot begin.
    let (folder, copy) = truncwatch_for_everybody()?;
    let mark = folder.path().join("mark");
    let output = Command::new(&copy)
        .args(["--", "touch"])
        .arg(&mark)
        .uid(65534)
        .gid(65534)
        .current_dir("/")
        .output()?;
    assert_eq!(output.status.code(), Some(2));
    assert!(!mark.exists());
    Ok(())
}
