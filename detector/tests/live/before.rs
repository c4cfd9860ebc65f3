//! Connections that were open before the watch, and end without a call that it sees.

use std::{
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::TcpStream,
    os::unix::net::UnixStream,
    process::{Command, Stdio},
    thread::sleep,
    time::Duration,
};

use anyhow::{Context as _, Result};
use testbed::TempDir;

use crate::servers::{Reaped, assert_clean, truncwatch, watch};

/// Accepts one connection, on TCP or on the path that it is given, and says where. Sends
/// a half of a response and waits; then, if it is told to, it closes.
const SERVER: &str = r"
import socket, sys, time
path = sys.argv[1]
s = socket.socket(socket.AF_UNIX if path else socket.AF_INET)
s.bind(path or ('127.0.0.1', 0))
s.listen(1)
print(s.getsockname() if path else s.getsockname()[1], flush=True)
c, _ = s.accept()
c.recv(4096)
if sys.argv[2] != 'silent':
    c.sendall(b'HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n' + b'x' * 100)
time.sleep(4 if sys.argv[2] == 'close' else 60)
c.close()
time.sleep(60)
";

fn server(path: &str, how: &str) -> Result<(Reaped, String)> {
    let mut child = Command::new("python3")
        .args(["-c", SERVER, path, how])
        .stdout(Stdio::piped())
        .spawn()?;
    let mut line = String::new();
    BufReader::new(child.stdout.take().context("piped")?).read_line(&mut line)?;
    Ok((Reaped(child), line.trim().to_owned()))
}

const GET: &[u8] = b"GET /a HTTP/1.1\r\nHost: x\r\n\r\n";

/// A watch of a server that sent a half before it, and is killed in it, or closes.
fn watched(port: &str, how: &str, more: &[&str]) -> Result<testbed::watcher::Report> {
    let (mut server, place) = server(port, how)?;
    let mut tcp = None;
    let mut unix = None;
    let mut room = [0; 16];
    if port.is_empty() {
        let client = tcp.insert(TcpStream::connect(("127.0.0.1", place.parse()?))?);
        client.write_all(GET)?;
        if how != "silent" {
            client.read_exact(&mut room)?;
        }
    } else {
        let client = unix.insert(UnixStream::connect(port)?);
        client.write_all(GET)?;
        client.read_exact(&mut room)?;
    }
    let watcher = watch(server.0.id(), more)?;
    if how == "close" {
        sleep(Duration::from_millis(4500));
    } else {
        server.0.kill()?;
        server.0.wait()?;
    }
    let report = watcher.stop()?;
    let by = &report.summary["unjudged_by"][0];
    if report.unjudged() > 0 {
        assert_eq!(by["pid"], server.0.id(), "{by}");
        assert_eq!(by["reasons"]["mid-stream"], 1, "{by}");
        let port = place.parse::<u16>().ok();
        assert_eq!(by["port"].is_null(), port.is_none(), "{by}");
    }
    Ok(report)
}

#[test]
fn a_response_half_sent_before_the_watch_is_counted() -> Result<()> {
    let folder = TempDir::new()?;
    let path = folder.path().join("socket");
    let path = path.to_str().context("a path")?;
    for (place, how) in [("", "kill"), ("", "close"), (path, "kill")] {
        let report = watched(place, how, &[])?;
        assert_eq!(report.findings.len(), 0, "{place} {how}");
        assert_eq!(report.unjudged(), 1, "{place} {how}: {}", report.summary);
    }
    Ok(())
}

#[test]
fn one_on_which_nothing_was_sent_is_not_and_none_that_goes_on() -> Result<()> {
    let report = watched("", "silent", &[])?;
    assert_eq!(report.unjudged(), 0, "{}", report.summary);
    // Another port's.
    let report = watched("", "kill", &["--port", "1"])?;
    assert_eq!(report.unjudged(), 0, "{}", report.summary);
    let (server, place) = server("", "kill")?;
    let mut client = TcpStream::connect(("127.0.0.1", place.parse()?))?;
    client.write_all(GET)?;
    client.read_exact(&mut [0; 16])?;
    assert_clean(&watch(server.0.id(), &[])?.stop()?, 0);
    Ok(())
}

/// What it was is in the recording too.
#[test]
fn it_is_recorded() -> Result<()> {
    let folder = TempDir::new()?;
    let path = folder.path().join("watch.rec");
    let name = path.to_str().context("a path")?;
    let (mut server, place) = server("", "kill")?;
    let mut client = TcpStream::connect(("127.0.0.1", place.parse()?))?;
    client.write_all(GET)?;
    client.read_exact(&mut [0; 16])?;
    let pid = server.0.id().to_string();
    let mut recorder = Command::new(truncwatch())
        .args(["record", "--json", "-o", name, "--pid", &pid])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()?;
    let mut line = String::new();
    let mut errors = BufReader::new(recorder.stderr.take().context("piped")?);
    while !line.starts_with("truncwatch: watching") {
        line.clear();
        anyhow::ensure!(errors.read_line(&mut line)? > 0, "it did not begin");
    }
    server.0.kill()?;
    server.0.wait()?;
    // It ends by itself, when the process has.
    let live = recorder.wait_with_output()?;
    let live: serde_json::Value = serde_json::from_slice(&live.stdout)?;
    let again = Command::new(truncwatch())
        .args(["analyze", "--json", name])
        .output()?;
    let again: serde_json::Value = serde_json::from_slice(&again.stdout)?;
    assert_eq!(again, live);
    assert_eq!(again["unjudged"]["mid-stream"], 1, "{again}");
    Ok(())
}
