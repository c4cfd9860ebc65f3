//! How a server is to be started.

use std::net::SocketAddr;
use std::time::Duration;

/// Where a server listens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Listen {
    /// A Unix stream socket in a fresh temporary directory.
    Unix,
    /// A TCP address; port 0 takes a free one.
    Tcp(SocketAddr),
}

/// The server's flags, and the CPU it may use.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Options {
    /// Where it listens.
    pub listen: Listen,
    /// Worker threads; 1 is tokio's current-thread runtime, 0 what `#[tokio::main]` builds: one
    /// for each CPU that the server may run on.
    pub threads: usize,
    /// Whether hyper sees a stream that can do vectored writes: `writev` of head and body if so,
    /// else `sendto` of both in one buffer.
    pub vectored: bool,
    /// Blocking work in `/until` between dropping the request body and answering.
    /// Whole milliseconds.
    pub block: Duration,
    /// The only CPU that the server may run on.
    pub cpu: Option<usize>,
    /// Whether the server says on standard error how its connections end.
    pub verbose: bool,
}

impl Listen {
    /// A free TCP port of 127.0.0.1.
    pub fn tcp() -> Self {
        Self::Tcp(SocketAddr::from(([127, 0, 0, 1], 0)))
    }
}

impl Options {
    /// One thread, on a Unix socket: where the bug is reproduced to the byte.
    pub fn unix() -> Self {
        Self::new(Listen::Unix)
    }

    /// One thread, on a free TCP port of 127.0.0.1.
    pub fn tcp() -> Self {
        Self::new(Listen::tcp())
    }

    /// The setting in which [`crate::client::race`] truncates now and then: a Unix socket, no
    /// vectored writes, 5 ms of blocking work, everything on `cpu`.
    ///
    /// The runtime is tokio's default, which has one worker on one CPU. Measured on Linux 6.18: 65
    /// to 94 of 200 were truncated; with one thread 50 to 76, with two workers 83 to 186.
    pub fn race(cpu: usize) -> Self {
        Self {
            threads: 0,
            vectored: false,
            block: Duration::from_millis(5),
            cpu: Some(cpu),
            ..Self::unix()
        }
    }

    fn new(listen: Listen) -> Self {
        Self {
            listen,
            threads: 1,
            vectored: true,
            block: Duration::ZERO,
            cpu: None,
            verbose: false,
        }
    }

    /// The flags, all but the address.
    pub(super) fn flags(&self) -> Vec<String> {
        let mut flags = vec![
            format!("--threads={}", self.threads),
            format!("--block-ms={}", self.block.as_millis()),
        ];
        if !self.vectored {
            flags.push("--no-vectored".to_owned());
        }
        if self.verbose {
            flags.push("--verbose".to_owned());
        }
        flags
    }
}
