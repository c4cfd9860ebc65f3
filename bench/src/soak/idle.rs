//! Very many connections that are open and idle.

use std::{
    io::{Read as _, Write as _},
    os::unix::net::UnixStream,
    process::{Child, Command, Stdio},
    thread,
    time::Duration,
};

use anyhow::Result;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Processes that hold so many connections together: each has a limit of
/// descriptors. They end when their input does.
pub(crate) fn start(connections: u64) -> Result<Vec<Holder>> {
    let limit = getrlimit(Resource::Nofile).maximum.unwrap_or(4096);
    // Both ends of a pair are connections, and each has a descriptor.
    let pairs = limit.saturating_sub(100) / 2;
    let mut left = connections / 2;
    let mut holders = Vec::new();
    while left > 0 {
        let share = left.min(pairs);
        left -= share;
        let child = Command::new(std::env::current_exe()?)
            .args(["soak", "--holder", &share.to_string()])
            .stdin(Stdio::piped())
            .spawn()?;
        holders.push(Holder(child));
    }
    Ok(holders)
}

/// A process that holds connections.
pub(crate) struct Holder(Child);

impl Drop for Holder {
    fn drop(&mut self) {
        drop(self.0.stdin.take());
        // It ended by itself, or was killed.
        if self.0.wait().is_err() {}
    }
}

/// So many connections on which a request was answered.
pub(crate) fn hold(pairs: usize) -> Result<()> {
    let limit = getrlimit(Resource::Nofile).maximum;
    setrlimit(
        Resource::Nofile,
        Rlimit {
            current: limit,
            maximum: limit,
        },
    )?;
    let mut held = Vec::with_capacity(pairs);
    const REQUEST: &[u8] = b"GET /idle HTTP/1.1\r\nHost: idle\r\n\r\n";
    const RESPONSE: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nidle";
    for _ in 0..pairs {
        let (mut server, mut client) = UnixStream::pair()?;
        client.write_all(REQUEST)?;
        server.read_exact(&mut [0; REQUEST.len()])?;
        server.write_all(RESPONSE)?;
        client.read_exact(&mut [0; RESPONSE.len()])?;
        held.push((server, client));
        // Not all within the same second.
        thread::sleep(Duration::from_micros(100));
    }
    std::io::stdin().read_to_end(&mut Vec::new())?;
    Ok(())
}
