//! The setting in which hyper truncates some responses and not others.

use std::io;
use std::thread;
use std::time::Duration;

use super::request::{LAST_CHUNK, chunk};
use super::{Addr, Conn, Outcome, Request, RequestBody};

/// Time between the head and the last chunk: enough for the server to have read the head and to
/// wait for the body. Without it at most 4 of 200 were truncated.
const BEFORE_BODY: Duration = Duration::from_millis(1);

/// How long the client is busy elsewhere before it reads: as long as the service works before it
/// answers, so that the first read and the flush meet.
const BEFORE_READING: Duration = Duration::from_millis(5);

/// Makes one connection whose response may or may not be truncated.
///
/// The last chunk and the terminator leave in two writes, one right after the other.
///
/// For measuring whether an observer changes what it observes: nothing here is drawn by lot, what
/// the scheduler does around the client's last two writes decides.
/// The server is one started with [`crate::server::Options::race`], and the caller has pinned
/// itself to the same CPU with [`crate::cpu::pin_to_cpu`].
///
/// # Errors
/// Those of connecting and of sending all but the terminator. A server that has left before that
/// one is an outcome, see [`Outcome::write_error`]: it happens when the client is held up for
/// longer than the service works.
pub fn race(addr: &Addr) -> io::Result<Outcome> {
    let mut conn = Conn::connect(addr)?;
    let request = Request::post("/until", RequestBody::Chunked(Vec::new()));
    conn.send(&request.head())?;
    thread::sleep(BEFORE_BODY);
    conn.send(&chunk(b"what the service wants\n"))?;
    let sent = conn.send(LAST_CHUNK);
    thread::sleep(BEFORE_READING);
    let mut outcome = conn.receive(&request);
    outcome.write_error = sent.err().map(|error| error.kind());
    Ok(outcome)
}
