//! A server that makes exactly the system calls it is told to, for one
//! connection: `calls unix:PATH` or `calls tcp`; or `calls launcher`, which
//! starts one for each such address that it reads.
//!
//! The request's path says what to do: `/SEND/END/PROMISED/SENT`. It promises
//! PROMISED body bytes, sends head and SENT body bytes by the call SEND, and
//! ends by END: see `sends.rs` and `ends.rs`. SEND may begin with `chunked-`:
//! the body then goes in chunks, with a last one only if SENT is PROMISED; with
//! `twice-`: a second request is then read and answered whole; with
//! `pipelined-`: a second answer follows, whole and with as many bytes, to a
//! request that was read with the first; or with `long-`: the head is then longer
//! than 100 KiB.

mod ends;
mod raw;
mod sends;
mod uring;

use std::{
    fs::File,
    io::{self, Read as _, Write as _},
    os::fd::{AsRawFd as _, IntoRawFd as _, OwnedFd},
    process::Command,
};

use anyhow::{Context as _, Result, bail};

use crate::{ends::ENDS, sends::SENDS};

fn main() -> Result<()> {
    let address = std::env::args()
        .nth(1)
        .context("usage: calls unix:PATH | tcp | launcher")?;
    if address == "launcher" {
        return launch();
    }
    let mut connection = accept(&address)?;
    let mut bytes = [0; 4096];
    let length = connection.read(&mut bytes)?;
    let request = String::from_utf8_lossy(bytes.get(..length).unwrap_or_default()).into_owned();
    let target = request.split_whitespace().nth(1).context("no request")?;
    let path = target.split('?').next().unwrap_or(target);
    let parts: Vec<_> = path.split('/').skip(1).collect();
    let [send, end, promised, sent] = parts[..] else {
        bail!("the path is /SEND/END/PROMISED/SENT, not {path}");
    };
    let twice = send.strip_prefix("twice-");
    let pipelined = send.strip_prefix("pipelined-");
    let chunked = send.strip_prefix("chunked-");
    let long = send.strip_prefix("long-");
    let name = twice.or(pipelined).or(chunked).or(long).unwrap_or(send);
    let (_, send) = SENDS
        .iter()
        .find(|(known, _)| *known == name)
        .context("no such SEND")?;
    let (_, end) = ENDS
        .iter()
        .find(|(name, _)| *name == end)
        .context("no such END")?;
    let (promised, sent) = (promised.parse()?, sent.parse()?);
    let filler = if long.is_some() { 100 << 10 } else { 0 };
    let (message, head) = if chunked.is_some() {
        in_chunks(promised, sent)
    } else {
        sized(promised, sent, filler)
    };
    send(connection.as_raw_fd(), &message, head)?;
    if twice.is_some() {
        let length = connection.read(&mut bytes)?;
        if length == 0 {
            bail!("no second request");
        }
        let (message, head) = sized(5, 5, 0);
        send(connection.as_raw_fd(), &message, head)?;
    }
    if pipelined.is_some() {
        let (message, head) = sized(promised, promised, 0);
        send(connection.as_raw_fd(), &message, head)?;
    }
    end(connection.into_raw_fd())?;
    Ok(())
}

/// A message whose head has so many bytes more than it needs, and how long the
/// head is.
fn sized(promised: usize, sent: usize, filler: usize) -> (Vec<u8>, usize) {
    let filler = match filler {
        0 => String::new(),
        bytes => format!("X-Filler: {}\r\n", "f".repeat(bytes)),
    };
    let mut message =
        format!("HTTP/1.1 200 OK\r\n{filler}Content-Length: {promised}\r\n\r\n").into_bytes();
    let head = message.len();
    message.resize(head + sent, b'x');
    (message, head)
}

/// The same in chunks.
fn in_chunks(promised: usize, sent: usize) -> (Vec<u8>, usize) {
    let mut message = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n".to_vec();
    let head = message.len();
    for chunk in vec![b'x'; sent].chunks(1500) {
        message.extend(format!("{:x}\r\n", chunk.len()).bytes());
        message.extend(chunk);
        message.extend(b"\r\n");
    }
    if sent == promised {
        message.extend(b"0\r\n\r\n");
    }
    (message, head)
}

/// Starts a server for each address on standard input, one after the other.
fn launch() -> Result<()> {
    let mut out = io::stdout();
    for address in io::stdin().lines() {
        let mut child = Command::new(std::env::current_exe()?)
            .arg(address?)
            .spawn()?;
        child.wait()?;
        writeln!(out, "ended")?;
    }
    Ok(())
}

/// The only connection of this process, with nothing beside it.
fn accept(address: &str) -> Result<File> {
    let mut out = io::stdout();
    writeln!(out, "pid {}", std::process::id())?;
    let connection = if let Some(path) = address.strip_prefix("unix:") {
        let listener = std::os::unix::net::UnixListener::bind(path)?;
        writeln!(out, "listening {path}")?;
        OwnedFd::from(listener.accept()?.0)
    } else {
        let listener = std::net::TcpListener::bind("127.0.0.1:0")?;
        writeln!(out, "listening {}", listener.local_addr()?)?;
        OwnedFd::from(listener.accept()?.0)
    };
    Ok(File::from(connection))
}
