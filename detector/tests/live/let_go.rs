//! A descriptor that one thread closes while a call of another holds the socket: the
//! connection ends when that call returns.

use std::{path::Path, process::Command};

use anyhow::{Context as _, Result};
use serde_json::Value;

use crate::servers::{text, truncwatch};

/// `FAMILY CALL HOW PROMISED SENT`: a response by CALL in a thread, which is let go of by
/// HOW while it is in progress. The client reads what comes, and prints how much.
const SCRIPT: &str = r#"
import os, select, signal, socket, sys, threading, time
family, call, how, promised, sent = *sys.argv[1:4], int(sys.argv[4]), int(sys.argv[5])
signal.signal(signal.SIGUSR1, lambda *_: None)
if family == "tcp":
    listener = socket.create_server(("127.0.0.1", 0))
    client = socket.create_connection(listener.getsockname())
    server, _ = listener.accept()
else:
    server, client = socket.socketpair()
fd = server.detach()
client.sendall(b"GET /x HTTP/1.1\r\nHost: a\r\n\r\n")
os.read(fd, 1000)
head = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % promised
body = b"x" * sent
ready = threading.Event()
def each():
    os.write(fd, head)
    ready.set()
    for at in range(0, sent, 65536):
        os.write(fd, body[at:at + 65536])
def message():
    s = socket.socket(fileno=fd)
    ready.set()
    try:
        s.sendmsg([head, body])
    finally:
        s.detach()
def file():
    m = os.memfd_create("body")
    os.write(m, body)
    os.write(fd, head)
    ready.set()
    os.sendfile(fd, m, 0, sent)
def answered():
    os.write(fd, head + body)
    ready.set()
def polls():
    p = select.poll()
    p.register(fd, select.POLLIN)
    p.poll(2000)
calls = {
    "write": lambda: (ready.set(), os.write(fd, head + body)),
    "writes": each,
    "writev": lambda: (ready.set(), os.writev(fd, [head, body])),
    "sendmsg": message,
    "sendfile": file,
    "read": lambda: (answered(), os.read(fd, 100)),
    "poll": lambda: (answered(), polls()),
}
def run():
    try:
        calls[call]()
    except OSError:
        pass
thread = threading.Thread(target=run)
thread.start()
ready.wait()
time.sleep(0.2)
half, other = socket.socketpair()
other.close()
more, child = None, 0
if how.startswith("dup-"):
    more = os.dup(fd)
if how.startswith("fork-"):
    child = os.fork()
    if child == 0:
        time.sleep(0.6)
        os._exit(0)
if how.startswith("rights-"):
    here, there = socket.socketpair()
    socket.send_fds(here, [b"d"], [fd])
if "replace" in how:
    os.dup2(half.fileno(), fd)
elif "range" in how:
    os.closerange(fd, fd + 1)
else:
    os.close(fd)
if "signal" in how:
    signal.pthread_kill(thread.ident, signal.SIGUSR1)
    time.sleep(0.2)
got = 0
if call in ("read", "poll") or more or how.startswith("rights-"):
    client.settimeout(0.4)
try:
    while data := client.recv(65536):
        got += len(data)
except OSError:
    pass
if call == "read":
    client.shutdown(socket.SHUT_WR)
thread.join(5)
if "replace" in how:
    os.close(fd)
if more:
    os.close(more)
if child:
    os.waitpid(child, 0)
time.sleep(0.1)
print(got - len(head))
"#;

/// What was found, the summary, and what the client received of the body.
fn run(family: &str, call: &str, how: &str, sizes: (u64, u64)) -> Result<Run> {
    let (promised, sent) = (sizes.0.to_string(), sizes.1.to_string());
    let folder = testbed::TempDir::new()?;
    let report = folder.path().join("report");
    let output = Command::new(truncwatch())
        .args(["--json", "-o"])
        .arg(&report)
        .args(["--", "python3", "-c", SCRIPT, family, call, how])
        .args([&promised, &sent])
        .output()?;
    let mut findings = lines(&report)?;
    let summary = findings.pop().context("no summary")?;
    let printed = String::from_utf8_lossy(&output.stdout);
    let received = printed.trim().parse();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    Ok(Run {
        findings,
        summary,
        received: received.with_context(|| format!("{printed} {said}"))?,
        what: format!("{family} {call} {how} {sizes:?}"),
    })
}

fn lines(report: &Path) -> Result<Vec<Value>> {
    let text = std::fs::read_to_string(report)?;
    text.lines()
        .map(|line| Ok(serde_json::from_str(line)?))
        .collect()
}

#[derive(Debug)]
struct Run {
    findings: Vec<Value>,
    summary: Value,
    received: u64,
    what: String,
}

impl Run {
    fn unjudged(&self, reason: &str) -> u64 {
        let count = self.summary.pointer(&format!("/unjudged/{reason}"));
        count.and_then(Value::as_u64).unwrap_or(0)
    }

    /// Cut short by this call of the thread that does not write, to the byte.
    fn is_short(&self, promised: u64, ending: &str) {
        let Self { what, summary, .. } = self;
        assert_eq!(self.findings.len(), 1, "{what}: {self:#?}");
        let finding = &self.findings[0];
        let number = |name: &str| finding.get(name).and_then(Value::as_u64);
        assert_eq!(text(finding, "/cause"), Some("premature-close"), "{what}");
        assert_eq!(text(finding, "/fault"), Some("local"), "{what}");
        assert_eq!(number("promised_bytes"), Some(promised), "{what}");
        assert_eq!(number("sent_bytes"), Some(self.received), "{what}");
        let call = text(finding, "/ending/call").unwrap_or_default();
        assert!(call.starts_with(ending), "{what}: {call}");
        // That of the main thread, not of the one that was in the call.
        let pid = finding.pointer("/process/pid");
        assert_eq!(finding.pointer("/process/tid"), pid, "{what}");
        assert_eq!(self.unjudged("shared"), 0, "{what} {summary}");
    }

    fn is_clean(&self) {
        let Self { what, summary, .. } = self;
        assert_eq!(self.findings, Vec::<Value>::new(), "{what} {summary}");
        assert_eq!(self.unjudged("shared"), 0, "{what} {summary}");
        // The client's request and the response.
        assert_eq!(summary["messages_judged"], 2, "{what} {summary}");
    }
}

const LARGE: u64 = 20_000_000;
const FAMILIES: [&str; 2] = ["tcp", "unix"];

/// As the JDK's channels are closed.
#[test]
fn a_descriptor_is_replaced_while_a_send_is_blocked() -> Result<()> {
    for family in FAMILIES {
        for call in ["write", "writes", "writev", "sendmsg", "sendfile"] {
            let run = run(family, call, "replace-signal", (LARGE, LARGE))?;
            assert!(run.received < LARGE, "{run:?}");
            run.is_short(LARGE, "dup2 ");
        }
    }
    Ok(())
}

#[test]
fn a_descriptor_is_closed_while_a_send_is_blocked() -> Result<()> {
    for family in FAMILIES {
        for (how, ending) in [("close-signal", "close("), ("range-signal", "close_range ")] {
            let run = run(family, "write", how, (LARGE, LARGE))?;
            assert!(run.received < LARGE, "{run:?}");
            run.is_short(LARGE, ending);
        }
    }
    Ok(())
}

/// Without a signal the call goes on until its bytes are taken, and no other follows it.
#[test]
fn a_send_that_is_let_go_of_may_take_all_that_it_was_given() -> Result<()> {
    for family in FAMILIES {
        for call in ["write", "sendmsg", "sendfile"] {
            run(family, call, "close", (LARGE, LARGE))?.is_clean();
            let run = run(family, call, "replace", (2 * LARGE, LARGE))?;
            assert_eq!(run.received, LARGE);
            run.is_short(2 * LARGE, "dup2 ");
        }
        let run = run(family, "writes", "replace", (LARGE, LARGE))?;
        run.is_short(LARGE, "dup2 ");
    }
    Ok(())
}

#[test]
fn a_descriptor_is_closed_while_another_thread_reads() -> Result<()> {
    for family in FAMILIES {
        for how in ["replace-signal", "close-signal", "close"] {
            run(family, "read", how, (1000, 1000))?.is_clean();
            let short = run(family, "read", how, (1000, 400))?;
            assert_eq!(short.received, 400);
            let ending = if how.starts_with("replace") {
                "dup2 "
            } else {
                "close("
            };
            if how == "close" {
                // The client's half-close comes first.
                assert_eq!(short.findings.len(), 1, "{short:#?}");
                assert_eq!(text(&short.findings[0], "/fault"), Some("unknown"));
            } else {
                short.is_short(1000, ending);
            }
        }
    }
    Ok(())
}

/// What another descriptor or process holds goes on.
#[test]
fn what_others_hold_does_not_end_with_the_call() -> Result<()> {
    for family in FAMILIES {
        // Its own other descriptor is closed last.
        run(family, "write", "dup-close-signal", (LARGE, LARGE))?.is_short(LARGE, "close(");
        for how in ["rights-close-signal", "rights-replace-signal"] {
            // Closed by the kernel with the socket that it was sent through.
            let run = run(family, "write", how, (LARGE, LARGE))?;
            assert_eq!(run.findings, Vec::<Value>::new(), "{run:#?}");
            assert_eq!(run.unjudged("shared"), 1, "{run:#?}");
        }
        // The child is the last.
        let run = run(family, "write", "fork-close-signal", (LARGE, LARGE))?;
        assert_eq!(run.findings.len(), 1, "{run:#?}");
        let finding = &run.findings[0];
        assert_eq!(text(finding, "/cause"), Some("process-exit"), "{run:#?}");
        assert_eq!(finding["sent_bytes"], run.received, "{run:#?}");
    }
    Ok(())
}
