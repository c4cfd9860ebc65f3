//! Connections that another process accepted and handed on, or that begin without a call
//! that shows it: they are judged where nothing had been moved before.

use std::{
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::TcpStream,
    os::unix::net::UnixStream,
    process::{Child, Command, Stdio},
    time::Duration,
};

use anyhow::{Context as _, Result};
use serde_json::Value;
use testbed::{TempDir, watcher::Report};

use crate::servers::{Reaped, text, watch};

/// Starts this in Python; gives its first line and its process.
fn python(script: &str) -> Result<(Reaped, String)> {
    let mut child: Child = Command::new("python3")
        .args(["-c", script])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .context("python3 is needed")?;
    let stdout = child.stdout.take().context("no output")?;
    let mut line = String::new();
    BufReader::new(stdout).read_line(&mut line)?;
    Ok((Reaped(child), line.trim().to_owned()))
}

const SHORT: &str =
    "c.sendall(b'HTTP/1.1 200 OK\\r\\nContent-Length: 100\\r\\n\\r\\nabc')\nc.close()";

/// A master that accepts, does `before` with the connection, and hands it on as `how`
/// says to a worker, which alone is watched; the report.
fn handed_on(unix: bool, how: &str, before: &str) -> Result<Report> {
    let folder = TempDir::new()?;
    let path = folder.path().join("master.sock");
    let listen = if unix {
        format!(
            "l = socket.socket(socket.AF_UNIX); l.bind({:?})",
            path.display().to_string()
        )
    } else {
        "l = socket.socket(); l.bind(('127.0.0.1', 0))".to_owned()
    };
    let work = format!("c.recv(4096)\n{SHORT}\ntime.sleep(3)").replace('\n', "\n    ");
    let script = format!(
        "\
import os, socket, sys, time
{listen}
l.listen()
ours, theirs = socket.socketpair()
def work(c):
    {work}
if {how:?} == 'rights':
    worker = os.fork()
    if not worker:
        l.close()
        _, fds, _, _ = socket.recv_fds(theirs, 1, 1)
        theirs.recv(1)
        work(socket.socket(fileno=fds[0]))
        os._exit(0)
    print(worker, l.getsockname()[1], flush=True)
    c, _ = l.accept()
    {before}
    socket.send_fds(ours, [b'd'], [c.fileno()])
    c.close()
    ours.send(b'x')
else:
    ready, go = os.pipe()
    print('later', l.getsockname()[1], flush=True)
    c, _ = l.accept()
    {before}
    worker = os.fork()
    if not worker:
        os.read(ready, 1)
        work(c)
        os._exit(0)
    c.close()
    print(worker, flush=True)
    sys.stdin.readline()
    os.write(go, b'x')
os.waitpid(worker, 0)
"
    );
    let mut child = Reaped(
        Command::new("python3")
            .args(["-c", &script])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .context("python3 is needed")?,
    );
    let mut lines = BufReader::new(child.0.stdout.take().context("no output")?).lines();
    let mut next = || -> Result<String> { Ok(lines.next().context("no line")??) };
    let first = next()?;
    let (worker, port) = first.split_once(' ').context("two words")?;
    let connect = || -> Result<Box<dyn Stream>> {
        Ok(if unix {
            Box::new(UnixStream::connect(&path)?)
        } else {
            Box::new(TcpStream::connect(("127.0.0.1", port.parse::<u16>()?))?)
        })
    };
    let request = b"GET /a HTTP/1.1\r\nHost: x\r\n\r\n";
    let (watcher, mut client) = if worker == "later" {
        // The connection is open, and unused, before the watch begins.
        let client = connect()?;
        let watcher = watch(next()?.parse()?, &[])?;
        let mut client = client;
        client.write_all(request)?;
        let mut stdin = child.0.stdin.take().context("no input")?;
        writeln!(stdin)?;
        (watcher, client)
    } else {
        let watcher = watch(worker.parse()?, &[])?;
        let mut client = connect()?;
        client.write_all(request)?;
        (watcher, client)
    };
    let mut answer = Vec::new();
    client.read_to_end(&mut answer)?;
    watcher.stop()
}

trait Stream: std::io::Read + std::io::Write {}

impl Stream for TcpStream {}
impl Stream for UnixStream {}

fn is_short(report: &Report, what: &str) {
    assert_eq!(report.sizes(), [(100, 3)], "{what}: {}", report.summary);
    let finding = &report.findings[0];
    assert_eq!(text(finding, "/cause"), Some("premature-close"), "{what}");
    assert_eq!(text(finding, "/fault"), Some("local"), "{what}");
    assert_eq!(text(finding, "/message/target"), Some("/a"), "{what}");
    assert_eq!(report.unjudged(), 0, "{what}: {}", report.summary);
}

#[test]
fn a_descriptor_that_was_passed_unused_is_judged() -> Result<()> {
    for unix in [false, true] {
        let report = handed_on(unix, "rights", "pass")?;
        is_short(&report, &format!("unix: {unix}"));
    }
    Ok(())
}

/// The same of one that a child inherits, though it was open before the watch: of TCP the
/// socket tells that nothing was moved.
#[test]
fn a_connection_that_is_open_and_unused_is_judged() -> Result<()> {
    is_short(&handed_on(false, "fork", "pass")?, "TCP");
    let report = handed_on(true, "fork", "pass")?;
    assert!(report.findings.is_empty(), "{:#?}", report.findings);
    let joined = report
        .summary
        .pointer("/unjudged/mid-stream")
        .and_then(Value::as_u64);
    assert_eq!(joined, Some(1), "{}", report.summary);
    // Whom to watch is said: the process that forked it runs the same program.
    assert!(
        report.errors.contains("--follow --pid "),
        "{}",
        report.errors
    );
    Ok(())
}

/// What was read or sent before, by whom nobody watches, is not known.
#[test]
fn what_was_used_before_it_was_handed_on_is_not() -> Result<()> {
    for unix in [false, true] {
        for before in ["c.recv(5)", "c.sendall(b'x')"] {
            let report = handed_on(unix, "rights", before)?;
            let what = format!("unix: {unix}, {before}");
            assert!(report.findings.is_empty(), "{what}: {:#?}", report.findings);
            let joined = report
                .summary
                .pointer("/unjudged/mid-stream")
                .and_then(Value::as_u64);
            assert_eq!(joined, Some(1), "{what}: {}", report.summary);
        }
    }
    Ok(())
}

/// A client that connects as it sends (tcp(7), MSG_FASTOPEN and TCP_FASTOPEN_CONNECT): it is
/// judged without an answer too, as one that was seen to connect.
#[test]
fn a_client_that_connects_as_it_sends_is_judged() -> Result<()> {
    let head = "b'POST /a HTTP/1.1\\r\\nHost: x\\r\\nContent-Length: 100\\r\\n\\r\\nabc'";
    for (family, host) in [("AF_INET", "127.0.0.1"), ("AF_INET6", "::1")] {
        for connect in [
            format!("s.sendto({head}, socket.MSG_FASTOPEN, a)"),
            format!("s.sendmsg([{head}], [], socket.MSG_FASTOPEN, a)"),
            // Nothing is taken before it is connected.
            format!(
                "s.setblocking(False)
try: s.sendto({head}, socket.MSG_FASTOPEN, a); print(1 / 0)
except BlockingIOError: pass
s.setblocking(True)
select.select([], [s], [])
s.sendall({head})"
            ),
            format!("s.setsockopt(6, 30, 1)\ns.connect(a)\ns.sendall({head})"),
        ] {
            for answered in [true, false] {
                connects_as_it_sends(family, host, &connect, answered)
                    .with_context(|| format!("{family} {connect} {answered}"))?;
            }
        }
    }
    Ok(())
}

fn connects_as_it_sends(family: &str, host: &str, connect: &str, answered: bool) -> Result<()> {
    let script = format!(
        "\
import os, select, socket, sys, time
l = socket.socket(socket.{family})
l.setsockopt(6, socket.TCP_FASTOPEN, 5)
l.bind(({host:?}, 0)); l.listen()
a = l.getsockname()
for turn in 1, 2:
    if turn == 2: print(os.getpid(), flush=True); sys.stdin.readline()
    s = socket.socket(socket.{family})
    {connect}
    c, _ = l.accept()
    c.recv(4096)
    if {answered}:
        c.sendall(b'HTTP/1.1 100 Continue\\r\\n\\r\\n')
        s.recv(4096)
    s.close(); c.close()
time.sleep(3)
",
        connect = connect.replace('\n', "\n    "),
        answered = if answered { "True" } else { "False" },
    );
    let (mut process, pid) = python(&script)?;
    let watcher = watch(pid.parse()?, &[])?;
    let mut stdin = process.0.stdin.take().context("no input")?;
    writeln!(stdin)?;
    std::thread::sleep(Duration::from_millis(300));
    let report = watcher.stop()?;
    let found: Vec<_> = report
        .findings
        .iter()
        .filter(|finding| text(finding, "/message/role") == Some("request"))
        .filter_map(|finding| text(finding, "/fault"))
        .collect();
    let fault = if answered { "local" } else { "unknown" };
    anyhow::ensure!(
        found == [fault],
        "{found:?} {:#?} {}",
        report.findings,
        report.summary
    );
    let joined = report
        .summary
        .pointer("/unjudged/mid-stream")
        .and_then(Value::as_u64);
    anyhow::ensure!(joined == Some(0), "{}", report.summary);
    Ok(())
}
