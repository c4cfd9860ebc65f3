//! The three ways to make hyper end a connection in mid-flush, each on a connection of its own.
//!
//! hyper (before 1.11.0) gives up a pending flush once it believes that reading is over. Each
//! trigger brings it there by another path. None of them reads before the server has had its
//! chance to leave, so that the flush is pending for certain and the outcome is not a race.

use std::fmt;
use std::io;
use std::time::Duration;

use super::request::{LAST_CHUNK, chunk};
use super::{Addr, Conn, Outcome, Request, RequestBody};

/// A way to make hyper truncate.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Trigger {
    /// The service drops the request body unread; the body arrives after the response has begun.
    Ignore,
    /// The service reads the request body up to a delimiter and drops it; the rest arrives after
    /// the response has begun.
    Until,
    /// The server asks for a graceful shutdown of the connection while it flushes the response.
    Graceful,
}

impl Trigger {
    /// All three.
    pub const ALL: [Self; 3] = [Self::Ignore, Self::Until, Self::Graceful];

    /// The server's path.
    pub fn path(self) -> &'static str {
        match self {
            Self::Ignore => "/ignore",
            Self::Until => "/until",
            Self::Graceful => "/graceful",
        }
    }
}

impl fmt::Display for Trigger {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.path().trim_start_matches('/'))
    }
}

/// Bytes in the upload of [`Trigger::Ignore`]. More than hyper's first read takes, less than any
/// socket buffer: a fixed hyper writes without reading, and a client that could not finish its
/// upload would wait for it forever.
const UPLOAD: usize = 65_000;

/// How long the first bytes of a response may take. Generous: the server may run under a tracer.
const FIRST_BYTES: Duration = Duration::from_secs(5);

/// How long a server may take to leave once it has a reason to. This is what a connection costs
/// that is *not* truncated; a truncated one goes on at once.
const LEAVE: Duration = Duration::from_millis(30);

/// Makes one connection to a hyper test server and pulls `trigger`.
///
/// # Errors
/// Those of connecting and of sending the request's first bytes. A server that leaves while the
/// rest is being sent is what this is about: see [`Outcome::write_error`].
pub fn trigger(addr: &Addr, trigger: Trigger) -> io::Result<Outcome> {
    let mut conn = Conn::connect(addr)?;
    let (request, first, rest) = script(trigger);
    conn.send(&first)?;
    // Once the response has begun, the service has dropped the request body.
    conn.wait_readable(FIRST_BYTES)?;
    let sent = conn.send(&rest);
    conn.wait_hangup(LEAVE)?;
    let mut outcome = conn.receive(&request);
    outcome.write_error = sent.err().map(|error| error.kind());
    Ok(outcome)
}

/// The request, the bytes to send before the response begins, and the bytes to send after.
fn script(trigger: Trigger) -> (Request, Vec<u8>, Vec<u8>) {
    match trigger {
        Trigger::Ignore => {
            let body = vec![b'u'; UPLOAD];
            let request = Request::post(trigger.path(), RequestBody::Sized(body.clone()));
            let head = request.head();
            (request, head, body)
        }
        Trigger::Until => {
            let request = Request::post(trigger.path(), RequestBody::Chunked(Vec::new()));
            let first = [request.head(), chunk(b"what the service wants\n")].concat();
            let rest = [&chunk(b"what it does not"), LAST_CHUNK].concat();
            (request, first, rest)
        }
        Trigger::Graceful => {
            let request = Request::get(trigger.path()).header("Connection", "close");
            let head = request.head();
            (request, head, Vec::new())
        }
    }
}
