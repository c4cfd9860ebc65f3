//! Responses that were accepted whole, and that a reset takes back: at the close, or when
//! what the peer still had to send comes to a socket that is closed.

use std::{
    io::{BufRead as _, BufReader, Error, Read as _, Write as _},
    net::{SocketAddr, TcpStream},
    os::fd::{FromRawFd as _, OwnedFd},
    process::{Command, Stdio},
    thread,
    time::Duration,
};

use anyhow::{Context as _, Result};
use serde_json::Value;
use testbed::watcher::Report;

use crate::servers::{Reaped, text, watch};

/// A large response and a small one.
const LARGE: usize = 600_000;
const SMALL: usize = 4000;

/// What a server does with a connection `c`, of which it has read a request's `head`.
/// `answer` sends a response with so many bytes.
/// Its address too.
struct Server {
    process: Reaped,
    addr: SocketAddr,
}

impl Server {
    /// `family` and `protocol` as Python's `socket` names them.
    fn start(family: &str, protocol: u16, script: &str) -> Result<Self> {
        let host = if family == "AF_INET" {
            "127.0.0.1"
        } else {
            "::1"
        };
        let program = format!(
            "\
import os, socket, struct, sys, time
def head():
    data = b''
    while not data.endswith(b'\\r\\n\\r\\n'): data += c.recv(1)
def answer(size):
    c.sendall(b'HTTP/1.1 413 Content Too Large\\r\\nContent-Length: %d\\r\\n\\r\\n' % size + b'x' * size)
def linger(): c.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack('ii', 1, 0))
l = socket.socket(socket.{family}, socket.SOCK_STREAM, {protocol})
l.bind(({host:?}, 0))
l.listen()
print(l.getsockname()[1], flush=True)
c, _ = l.accept()
head()
{script}
time.sleep(5)
"
        );
        let mut child = Command::new("python3")
            .args(["-c", &program])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .context("python3 is needed")?;
        let stdout = child.stdout.take().context("no output")?;
        let mut line = String::new();
        BufReader::new(stdout).read_line(&mut line)?;
        let addr = SocketAddr::new(host.parse()?, line.trim().parse()?);
        Ok(Self {
            process: Reaped(child),
            addr,
        })
    }
}

/// What a client sends at first, and later.
#[derive(Clone, Copy)]
struct Upload {
    head: &'static str,
    at_once: usize,
    later: usize,
}

const SIZED: Upload = Upload {
    head: "POST /a HTTP/1.1\r\nHost: x\r\nContent-Length: 5000000\r\n\r\n",
    at_once: 0,
    later: 5_000_000,
};

/// Connects by this protocol: to a client that does not ask for MPTCP the server's socket
/// is one of TCP.
fn connect(addr: SocketAddr, protocol: u16) -> Result<TcpStream> {
    let family = if addr.is_ipv4() {
        libc::AF_INET
    } else {
        libc::AF_INET6
    };
    // SAFETY: no pointers.
    let fd = unsafe { libc::socket(family, libc::SOCK_STREAM, protocol.into()) };
    if fd < 0 {
        return Err(Error::last_os_error()).context("no such socket");
    }
    // SAFETY: a new descriptor, and nobody else's.
    let socket = unsafe { OwnedFd::from_raw_fd(fd) };
    let connected = match addr {
        SocketAddr::V4(addr) => {
            // SAFETY: zeros are an address.
            let mut to: libc::sockaddr_in = unsafe { std::mem::zeroed() };
            to.sin_family = libc::sa_family_t::try_from(family)?;
            to.sin_port = addr.port().to_be();
            to.sin_addr.s_addr = u32::from_ne_bytes(addr.ip().octets());
            // SAFETY: an address and its size.
            unsafe { libc::connect(fd, (&raw const to).cast(), 16) }
        }
        SocketAddr::V6(addr) => {
            // SAFETY: zeros are an address.
            let mut to: libc::sockaddr_in6 = unsafe { std::mem::zeroed() };
            to.sin6_family = libc::sa_family_t::try_from(family)?;
            to.sin6_port = addr.port().to_be();
            to.sin6_addr.s6_addr = addr.ip().octets();
            // SAFETY: an address and its size.
            unsafe { libc::connect(fd, (&raw const to).cast(), 28) }
        }
    };
    if connected != 0 {
        return Err(Error::last_os_error()).context("cannot connect");
    }
    Ok(TcpStream::from(socket))
}

/// One upload to one server under a watch with these options: the report, and how many
/// bytes the client received.
fn run(
    (family, protocol): (&str, u16),
    script: &str,
    upload: Upload,
    options: &[&str],
) -> Result<(Report, usize)> {
    let server = Server::start(family, protocol, script)?;
    let watcher = watch(server.process.0.id(), options)?;
    let mut client = connect(server.addr, protocol)?;
    client.write_all(upload.head.as_bytes())?;
    client.write_all(&vec![b'u'; upload.at_once])?;
    thread::sleep(Duration::from_millis(500));
    // It may be told to stop.
    let piece = [b'u'; 50_000];
    for _ in 0..upload.later / piece.len() {
        if client.write_all(&piece).is_err() {
            break;
        }
    }
    thread::sleep(Duration::from_millis(100));
    client.set_read_timeout(Some(Duration::from_secs(2)))?;
    let mut received = 0;
    let mut buffer = vec![0; 65_536];
    while let Ok(bytes @ 1..) = client.read(&mut buffer) {
        received += bytes;
    }
    Ok((watcher.stop()?, received))
}

const TCP: (&str, u16) = ("AF_INET", 6);
const TCP6: (&str, u16) = ("AF_INET6", 6);
const MPTCP: (&str, u16) = ("AF_INET", 262);
const MPTCP6: (&str, u16) = ("AF_INET6", 262);

/// The one finding: fault, and how many bytes were not sent.
fn at_risk<'a>(report: &'a Report, what: &str) -> (&'a Value, String, Option<u64>) {
    assert_eq!(
        report.findings.len(),
        1,
        "{what}: {:#?} {}",
        report.findings,
        report.summary
    );
    let finding = &report.findings[0];
    assert_eq!(
        text(finding, "/cause"),
        Some("delivery-at-risk"),
        "{what}: {finding:#}"
    );
    let fault = text(finding, "/fault").unwrap_or_default().to_owned();
    let status = i32::from(fault == "local");
    assert_eq!(report.status.code(), Some(status), "{what}");
    assert_eq!(
        report.count("messages_judged"),
        Some(1),
        "{}",
        report.summary
    );
    let unsent = finding
        .pointer("/ending/unsent_bytes")
        .and_then(Value::as_u64);
    (finding, fault, unsent)
}

/// Nothing is found, and so much is `reset-not-seen`.
fn silent(report: &Report, not_seen: u64, what: &str) {
    assert!(report.findings.is_empty(), "{what}: {:#?}", report.findings);
    assert_eq!(report.unjudged(), not_seen, "{what}: {}", report.summary);
    let counted = report.summary.pointer("/unjudged/reset-not-seen");
    assert_eq!(
        counted.and_then(Value::as_u64).unwrap_or(0),
        not_seen,
        "{what}"
    );
    assert_eq!(report.status.code(), Some(0), "{what}");
}

#[test]
fn an_upload_that_goes_on_behind_the_refusal_takes_it_back() -> Result<()> {
    const CHUNKED: Upload = Upload {
        head: "POST /a HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n100000\r\n",
        ..SIZED
    };
    const SECOND: Upload = Upload {
        head: "GET /first HTTP/1.1\r\nHost: x\r\n\r\n\
            POST /a HTTP/1.1\r\nHost: x\r\nContent-Length: 5000000\r\n\r\n",
        ..SIZED
    };
    let second = format!("answer(10)\nhead()\nanswer({LARGE})\nc.close()");
    let chunked = format!("c.recv(8)\nanswer({LARGE})\nc.close()");
    let close = format!("answer({LARGE})\nc.close()");
    let shut = format!("answer({LARGE})\nc.shutdown(socket.SHUT_WR)\nc.close()");
    let both = format!("answer({LARGE})\nc.shutdown(socket.SHUT_RDWR)\ntime.sleep(2)\nc.close()");
    // A child's: the watch goes on.
    let exit = format!("if os.fork() == 0:\n    answer({LARGE})\n    os._exit(0)\nc.close()");
    for (kind, script, upload) in [
        (TCP, &close, SIZED),
        (TCP6, &close, SIZED),
        (TCP, &shut, SIZED),
        (TCP, &both, SIZED),
        (TCP, &exit, SIZED),
        (TCP, &chunked, CHUNKED),
        (TCP6, &chunked, CHUNKED),
    ] {
        let options: &[&str] = if script == &exit { &["--follow"] } else { &[] };
        let (report, received) = run(kind, script, upload, options)?;
        let what = format!("{kind:?} {script}");
        let (finding, fault, unsent) = at_risk(&report, &what);
        assert_eq!(fault, "local", "{what}: {finding:#}");
        let unsent = usize::try_from(unsent.context("not told")?)?;
        assert!(
            unsent > 0 && received + unsent <= LARGE + 100,
            "{what}: {received} {unsent}"
        );
        assert_eq!(text(finding, "/message/target"), Some("/a"));
    }
    let (report, _) = run(TCP, &second, SECOND, &[])?;
    assert_eq!(report.findings.len(), 1, "{}", report.summary);
    assert_eq!(text(&report.findings[0], "/fault"), Some("local"));
    assert_eq!(
        report.count("messages_judged"),
        Some(2),
        "{}",
        report.summary
    );
    Ok(())
}

#[test]
fn a_refusal_that_nothing_follows_is_none() -> Result<()> {
    const STOPS: Upload = Upload { later: 0, ..SIZED };
    const WAITS: Upload = Upload {
        head: "POST /a HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 5000000\r\n\r\n",
        ..STOPS
    };
    let close = format!("answer({LARGE})\nc.close()");
    let small = format!("answer({SMALL})\nc.close()");
    for (script, upload) in [(&close, STOPS), (&close, WAITS), (&small, STOPS)] {
        let (report, received) = run(TCP, script, upload, &[])?;
        silent(&report, 0, script);
        assert!(received > SMALL, "{received}");
    }
    // One that reads the rest, and then closes.
    let whole = Upload {
        head: "POST /a HTTP/1.1\r\nHost: x\r\nContent-Length: 50000\r\n\r\n",
        at_once: 0,
        later: 50_000,
    };
    let reads = format!(
        "answer({LARGE})\nc.shutdown(socket.SHUT_WR)\nn = 0\nwhile n < 50000: n += len(c.recv(65536))\nc.close()"
    );
    let (report, received) = run(TCP, &reads, whole, &[])?;
    silent(&report, 0, &reads);
    assert!(received > LARGE, "{received}");
    Ok(())
}

#[test]
fn where_resets_are_not_told_it_is_counted() -> Result<()> {
    const STOPS: Upload = Upload { later: 0, ..SIZED };
    const WAITS: Upload = Upload {
        head: "POST /a HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 5000000\r\n\r\n",
        ..STOPS
    };
    const GET: Upload = Upload {
        head: "GET /a HTTP/1.1\r\nHost: x\r\n\r\n",
        ..STOPS
    };
    let hidden = ["--hide", "tcp_send_reset"];
    let close = format!("answer({LARGE})\nc.close()");
    for (kind, upload, count) in [
        (TCP, SIZED, 1),
        (TCP6, STOPS, 1),
        (TCP, WAITS, 0),
        (TCP, GET, 0),
        (MPTCP, STOPS, 1),
    ] {
        let (report, _) = run(kind, &close, upload, &hidden)?;
        silent(&report, count, &format!("{kind:?} {}", upload.head));
        let lacks = report.summary["not_seen"].to_string();
        assert!(lacks.contains("tcp_send_reset"), "{lacks}");
        assert_eq!(report.count("messages_judged"), Some(1 - count));
    }
    Ok(())
}

/// By a close with unread input or with `SO_LINGER` 0: what was not sent is lost for
/// certain, what was the peer may have.
#[test]
fn a_reset_at_the_close_is_local_only_where_bytes_were_unsent() -> Result<()> {
    const UNREAD: Upload = Upload {
        at_once: 20_000,
        later: 0,
        ..SIZED
    };
    const GET: Upload = Upload {
        head: "GET /a HTTP/1.1\r\nHost: x\r\n\r\n",
        at_once: 0,
        later: 0,
    };
    for kind in [TCP, TCP6, MPTCP, MPTCP6] {
        for (size, wanted) in [(LARGE, "local"), (SMALL, "unknown")] {
            for (end, upload) in [("c.close()", UNREAD), ("linger()\nc.close()", GET)] {
                // The rest of the request is there when it closes.
                let script = format!("time.sleep(0.1)\nanswer({size})\n{end}");
                let (report, received) = run(kind, &script, upload, &[])?;
                let what = format!("{kind:?} {script}");
                let (finding, fault, unsent) = at_risk(&report, &what);
                assert_eq!(fault, wanted, "{what}: {finding:#}");
                let unsent = usize::try_from(unsent.context("not told")?)?;
                assert_eq!(unsent > 0, wanted == "local", "{what}: {finding:#}");
                assert!(
                    received + unsent <= size + 100,
                    "{what}: {received} {unsent}"
                );
                let linger = finding.pointer("/socket/linger_reset");
                assert_eq!(linger, Some(&end.starts_with("linger").into()), "{what}");
                let unread = finding
                    .pointer("/socket/unread_bytes")
                    .and_then(Value::as_u64);
                let known = kind.1 == 6;
                let bytes = if upload.at_once > 0 { 20_000 } else { 0 };
                assert_eq!(unread, known.then_some(bytes), "{what}: {finding:#}");
            }
        }
    }
    Ok(())
}

/// Healthy closes over MPTCP, and what is short there.
#[test]
fn mptcp_is_judged_as_tcp_is() -> Result<()> {
    const GET: Upload = Upload {
        head: "GET /a HTTP/1.1\r\nHost: x\r\n\r\n",
        at_once: 0,
        later: 0,
    };
    for size in [SMALL, LARGE] {
        let (report, received) = run(MPTCP, &format!("answer({size})\nc.close()"), GET, &[])?;
        silent(&report, 0, "whole");
        assert!(received > size, "{received}");
    }
    let short = "c.sendall(b'HTTP/1.1 200 OK\\r\\nContent-Length: 100\\r\\n\\r\\nxyz')\nc.close()";
    let (report, _) = run(MPTCP, short, GET, &[])?;
    assert_eq!(report.sizes(), [(100, 3)], "{}", report.summary);
    assert_eq!(text(&report.findings[0], "/cause"), Some("premature-close"));
    assert_eq!(text(&report.findings[0], "/fault"), Some("local"));
    let unread = report.findings[0].pointer("/socket/unread_bytes");
    assert_eq!(unread, Some(&Value::Null), "nothing was read of it");
    Ok(())
}
