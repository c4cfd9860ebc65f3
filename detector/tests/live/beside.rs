//! Bytes that are in no stream, and sockets that are none.

use std::process::Command;

use anyhow::{Context as _, Result};
use serde_json::Value;
use testbed::{
    calls::{self, Launcher},
    client::Request,
};

use crate::servers::{truncwatch, watch};

/// Both ends of a connection over TCP or a Unix socket; `request()` reads one.
const PAIR: &str = r#"
import array, os, socket, sys, time
def pair(family, kind=socket.SOCK_STREAM):
    if family == "tcp":
        listener = socket.create_server(("127.0.0.1", 0))
        client = socket.create_connection(listener.getsockname())
        return listener.accept()[0], client
    return socket.socketpair(socket.AF_UNIX, kind)
def request(server, client):
    client.sendall(b"GET /x HTTP/1.1\r\nHost: a\r\n\r\n")
    server.recv(1000)
def head(promised):
    return b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % promised
"#;

/// The findings and the summary of a watch of this script.
pub(crate) fn watched(
    script: &str,
    arguments: &[&str],
) -> Result<(Vec<Value>, Value, Option<i32>)> {
    let output = Command::new(truncwatch())
        .args(["--json", "--", "python3", "-c", &format!("{PAIR}{script}")])
        .args(arguments)
        .output()?;
    let printed = String::from_utf8_lossy(&output.stdout);
    let mut lines = printed
        .lines()
        .map(|line| Ok(serde_json::from_str(line)?))
        .collect::<Result<Vec<Value>>>()?;
    let summary = lines.pop().context("nothing was printed")?;
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(summary["command_status"], 0, "{said}");
    Ok((lines, summary, output.status.code()))
}

pub(crate) fn unjudged(summary: &Value, reason: &str) -> u64 {
    let count = summary.pointer(&format!("/unjudged/{reason}"));
    count.and_then(Value::as_u64).unwrap_or(0)
}

const OUT_OF_BAND: &str = r#"
family, how = sys.argv[1:]
server, client = pair(family)
request(server, client)
urgent = lambda data=b"!": server.send(data, socket.MSG_OOB)
part, body = lambda data: server.sendmsg([data], [], socket.MSG_OOB), b"x" * 1000
if how == "before":
    urgent()
    server.sendall(head(1000) + body)
elif how == "within":
    server.sendall(head(1000) + body[:500])
    urgent()
    server.sendall(body[500:])
elif how == "instead":
    # 999 bytes are in the stream.
    server.sendall(head(1000) + body[1:])
    urgent()
elif how == "message":
    server.sendall(head(1000) + body[:500])
    part(body[500:])
elif how == "between":
    server.sendall(head(1000) + body)
    urgent()
    request(server, client)
    server.sendall(head(1000) + body)
elif how == "behind":
    server.sendall(head(1000) + body)
    urgent()
elif how == "short":
    server.sendall(head(1000) + body[:500])
    urgent()
elif how == "head":
    urgent(head(1000))
    server.sendall(body)
elif how == "read":
    client.send(b"!", socket.MSG_OOB)
    time.sleep(0.05)
    assert server.recv(1, socket.MSG_OOB) == b"!"
    server.sendall(head(1000) + body[:500])
server.close()
time.sleep(0.1)
"#;

#[test]
fn bytes_out_of_band_leave_a_connection_unjudged() -> Result<()> {
    let ways = [
        "before", "within", "instead", "message", "between", "behind", "short", "head", "read",
    ];
    for family in ["tcp", "unix"] {
        for how in &ways {
            let (findings, summary, status) = watched(OUT_OF_BAND, &[family, how])?;
            assert_eq!(findings, Vec::<Value>::new(), "{family} {how}: {summary}");
            // Where the byte was read, whoever sent it is meant too.
            let ends = if *how == "read" { 2 } else { 1 };
            assert_eq!(
                unjudged(&summary, "out-of-band"),
                ends,
                "{family} {how}: {summary}"
            );
            assert_eq!(status, Some(3), "{family} {how}: {summary}");
        }
    }
    Ok(())
}

/// The same by calls that Python has not.
#[test]
fn bytes_out_of_band_by_every_call() -> Result<()> {
    let mut launcher = Launcher::start(&calls::build()?)?;
    let watcher = watch(launcher.pid(), &["--follow"])?;
    let sends = [
        "urgent-sendmmsg",
        "urgent-uring-send",
        "urgent-uring-sendmsg",
    ];
    let mut runs = 0;
    for tcp in [false, true] {
        for send in sends {
            for (promised, sent) in [(1000, 1000), (1000, 400), (1000, 1001)] {
                let path = format!("/{send}/close/{promised}/{sent}");
                launcher.run_with(tcp, |mut connection| {
                    let outcome = connection.request(&Request::get(&path));
                    connection.drain();
                    (outcome, Some(connection))
                })?;
                runs += 1;
            }
        }
    }
    let report = watcher.stop()?;
    let summary = &report.summary;
    assert_eq!(report.findings, Vec::<Value>::new(), "{summary}");
    assert_eq!(unjudged(summary, "out-of-band"), runs, "{summary}");
    Ok(())
}

/// What the peer sends beside the stream is not among the bytes that are read.
#[test]
fn a_byte_out_of_band_that_nobody_reads_spoils_nothing() -> Result<()> {
    let script = r#"
server, client = pair(sys.argv[1])
client.send(b"!", socket.MSG_OOB)
request(server, client)
server.sendall(head(1000) + b"x" * 400)
server.shutdown(socket.SHUT_WR)
time.sleep(0.3)
"#;
    for family in ["tcp", "unix"] {
        let (findings, summary, _) = watched(script, &[family])?;
        assert_eq!(findings.len(), 1, "{family}: {summary}");
        assert_eq!(findings[0]["sent_bytes"], 400, "{family}: {summary}");
    }
    Ok(())
}

#[test]
fn a_socket_of_packets_is_counted_by_name() -> Result<()> {
    const SCRIPT: &str = r#"
how = sys.argv[1]
if how == "accepted":
    path = f"/tmp/packets-{os.getpid()}"
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    listener.bind(path)
    listener.listen()
    client = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    client.connect(path)
    server = listener.accept()[0]
    os.unlink(path)
else:
    server, client = pair("unix", socket.SOCK_SEQPACKET)
if how == "other":
    client.send(b"\1\2\3\4")
    server.recv(100)
    server.send(b"\1\2\3\4" * 3000)
else:
    request(server, client)
    server.send(head(1000) + b"x" * 400)
if how != "open":
    server.close()
    client.close()
time.sleep(0.1)
"#;
    for how in ["pair", "accepted", "other", "open"] {
        let (findings, summary, status) = watched(SCRIPT, &[how])?;
        assert_eq!(findings, Vec::<Value>::new(), "{how}: {summary}");
        // Each of its ends.
        assert_eq!(unjudged(&summary, "not-stream"), 2, "{how}: {summary}");
        assert_eq!(unjudged(&summary, "not-http"), 0, "{how}: {summary}");
        assert_eq!(summary["messages_judged"], 0, "{how}: {summary}");
        assert_eq!(status, Some(0), "{how}: {summary}");
    }
    Ok(())
}

/// `FastCGI` as nginx sends it: the body of a request by `sendfile`.
#[test]
fn another_protocol_is_named_by_its_first_bytes() -> Result<()> {
    const SCRIPT: &str = r#"
server, client = pair(sys.argv[1])
first = {
    "fastcgi": b"\1\1\0\1\0\x08\0\0\0\1\0\0\0\0\0\0\1\4\0\1\0\x20\0\0" + b"p" * 32,
    "text": b"EHLO example.org\r\nDATA\r\n",
    "head": b"POST /a HTTP/1.1\r\nContent-",
    "none": b"",
}[sys.argv[2]]
if first:
    client.sendall(first)
body = os.memfd_create("body")
os.write(body, b"b" * 60000)
os.sendfile(client.fileno(), body, 0, 60000)
client.close()
time.sleep(0.1)
"#;
    for family in ["tcp", "unix"] {
        for (first, other) in [("fastcgi", 1), ("text", 1), ("none", 0)] {
            let (findings, summary, _) = watched(SCRIPT, &[family, first])?;
            assert_eq!(findings, Vec::<Value>::new(), "{family} {first}: {summary}");
            let named = (
                unjudged(&summary, "not-http"),
                unjudged(&summary, "not-observed"),
            );
            assert_eq!(named, (other, 1 - other), "{family} {first}: {summary}");
        }
        let (_, summary, _) = watched(SCRIPT, &[family, "head"])?;
        // One of a pair may be anybody's output: it is a request only with an answer.
        let other = u64::from(family == "unix");
        assert_eq!(unjudged(&summary, "not-http"), other, "{family}: {summary}");
    }
    Ok(())
}

/// The reset comes while the first bytes are sent: where the socket was is still known.
#[test]
fn a_socket_that_was_reset_has_its_address() -> Result<()> {
    const SCRIPT: &str = r#"
import struct
how = sys.argv[1]
listener = socket.create_server(("127.0.0.1", 0))
client = socket.create_connection(listener.getsockname())
server = listener.accept()[0]
client.sendall(b"GET /x HTTP/1.1\r\nHost: a\r\n\r\n")
server.recv(1000)
if how == "reset":
    client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
client.close()
if how == "reset":
    time.sleep(0.05)
try:
    server.sendall(head(1000) + b"x" * 400)
    time.sleep(0.05)
    server.sendall(b"x" * 100)
except OSError:
    pass
server.close()
print(listener.getsockname()[1], file=sys.stderr)
time.sleep(0.1)
"#;
    let output = Command::new(truncwatch())
        .args(["--json", "--show-peer", "--", "python3", "-c"])
        .args([&format!("{PAIR}{SCRIPT}"), "closed"])
        .output()?;
    let printed = String::from_utf8_lossy(&output.stdout);
    let first = printed.lines().next().context("nothing was printed")?;
    let finding: Value = serde_json::from_str(first)?;
    assert_eq!(finding["cause"], "peer-closed", "{printed}");
    let said = String::from_utf8_lossy(&output.stderr);
    let local = finding["socket"]["local"].as_str().unwrap_or_default();
    let port = local
        .strip_prefix("127.0.0.1:")
        .context(printed.to_string())?;
    assert!(said.contains(port), "{said} {finding:#}");
    Ok(())
}
