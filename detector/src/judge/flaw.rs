//! What may be wrong with a message, before it is asked whose doing it was.

use super::finding::Message;

/// What is wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Flaw {
    /// Fewer bytes than promised when the connection ended.
    Short,
    /// A chunked body without its end when the connection ended.
    Unterminated,
    /// Fewer bytes than promised when the next message began.
    Desync,
    /// More bytes than promised.
    Overrun,
    /// Fewer bytes than promised, and none for long.
    Stalled,
    /// All bytes, and then an end that takes them back.
    AtRisk,
}

/// The call that showed it, where that is not the end of the connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct By {
    pub(super) pid: u32,
    pub(super) tid: u32,
    pub(super) time_ns: u64,
    /// As in `detector_common::CallEntry`.
    pub(super) number: u16,
    pub(super) fd: i32,
}

/// A message with something wrong.
#[derive(Clone, Debug)]
pub(super) struct Flawed {
    pub(super) flaw: Flaw,
    pub(super) message: Message,
    /// Content-Length; `None` where it is chunked.
    pub(super) promised: Option<u64>,
    /// Body bytes sent, where they can be counted.
    pub(super) sent: Option<u64>,
    /// Bytes of head and body, where they cannot be told apart.
    pub(super) sent_with_head: Option<u64>,
    /// Bytes received when its head was sent.
    pub(super) received: u64,
    pub(super) by: Option<By>,
}
