//! Requests that are cut short: the same bug, mirrored. The watched process is
//! the client.

use std::{
    io::{BufRead as _, BufReader, Write as _},
    process::{Command, Stdio},
};

use anyhow::{Context as _, Result};
use serde_json::Value;
use testbed::{
    client::Addr,
    server::{self, HyperVersion, Server},
};

use crate::servers::{Reaped, assert_clean, only, text, watch};

/// A client in Python that promises 100,000 bytes, sends so many, and ends so;
/// it begins when it is told to, with what comes `first`.
fn client(addr: &Addr, first: &str, sent: usize, end: &str) -> Result<Reaped> {
    let connect = match addr {
        Addr::Unix(path) => format!(
            "s = socket.socket(socket.AF_UNIX); s.connect({:?})",
            path.display().to_string()
        ),
        Addr::Tcp(addr) => format!(
            "s = socket.create_connection(({:?}, {}))",
            addr.ip().to_string(),
            addr.port()
        ),
    };
    let script = format!(
        "\
import os, signal, socket, sys, time
print('ready', flush=True)
sys.stdin.readline()
{connect}
{first}
{connect}
s.sendall(b'POST /bytes/10 HTTP/1.1\\r\\nHost: x\\r\\nContent-Length: 100000\\r\\n\\r\\n')
s.sendall(b'u' * {sent})
{end}
"
    );
    let mut child = Command::new("python3")
        .args(["-c", &script])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .context("python3 is needed")?;
    let stdout = child.stdout.take().context("no output")?;
    let mut line = String::new();
    BufReader::new(stdout).read_line(&mut line)?;
    assert_eq!(line.trim(), "ready");
    Ok(Reaped(child))
}

/// Another exchange, whose answer tells that the peer speaks HTTP.
const ANSWERED: &str = r"
s.sendall(b'GET /bytes/10 HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n')
while s.recv(4096): pass
s.close()";

const STAY: &str = "time.sleep(0.5)";

#[test]
fn an_upload_that_the_client_cuts_short() -> Result<()> {
    let ends = [
        ("s.shutdown(socket.SHUT_WR)", "premature-shutdown"),
        ("s.close()", "premature-close"),
        ("os._exit(3)", "process-exit"),
        ("os.kill(os.getpid(), signal.SIGKILL)", "process-exit"),
    ];
    for options in [server::Options::unix(), server::Options::tcp()] {
        let server = Server::start(HyperVersion::V1_12_0, &options)?;
        for (end, cause) in ends {
            let mut client = client(server.addr(), ANSWERED, 3000, &format!("{end}\n{STAY}"))?;
            let watcher = watch(client.0.id(), &[])?;
            let mut stdin = client.0.stdin.take().context("no input")?;
            writeln!(stdin)?;
            // The watch ends with the client.
            client.0.wait()?;
            let report = watcher.finish()?;
            let finding = only(&report)?;
            assert_eq!(text(finding, "/cause"), Some(cause), "{finding:#}");
            assert_eq!(text(finding, "/fault"), Some("local"));
            assert_eq!(text(finding, "/message/role"), Some("request"));
            assert_eq!(text(finding, "/message/method"), Some("POST"));
            assert_eq!(finding.pointer("/message/status"), Some(&Value::Null));
            assert_eq!(report.sizes(), vec![(100_000, 3000)]);
        }
    }
    Ok(())
}

#[test]
fn a_whole_upload_is_none() -> Result<()> {
    for options in [server::Options::unix(), server::Options::tcp()] {
        let server = Server::start(HyperVersion::V1_12_0, &options)?;
        let end = "s.shutdown(socket.SHUT_WR)\nwhile s.recv(4096): pass\ns.close()";
        let mut client = client(server.addr(), "s.close()", 100_000, end)?;
        let watcher = watch(client.0.id(), &[])?;
        let mut stdin = client.0.stdin.take().context("no input")?;
        writeln!(stdin)?;
        client.0.wait()?;
        assert_clean(&watcher.finish()?, 1);
    }
    Ok(())
}
