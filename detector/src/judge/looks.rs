//! Which of a call's bytes the judge read, and as what. A recording keeps
//! these, and no others: judged again, they come to the same.

use std::cell::RefCell;

use crate::{
    capture::Record,
    http::{ChunkPart, Parsed},
};

/// Bytes that were read; offsets are the stream's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Look {
    /// As the head that begins at `start`, or a part of it: from `at` to `end`.
    Head {
        /// Where the head begins, perhaps in an earlier call.
        start: u64,
        /// The first that was read here.
        at: u64,
        /// Behind the last.
        end: u64,
    },
    /// The same, and it is none.
    NoHead {
        /// Where it would begin.
        start: u64,
        /// The first that was read here.
        at: u64,
        /// Behind the last.
        end: u64,
    },
    /// As the PROXY header that begins the stream, or a part of it, and perhaps of what
    /// follows.
    Proxy {
        /// The first that was read here.
        at: u64,
        /// Behind the last.
        end: u64,
    },
    /// To see whether a message may begin there: it may.
    Begins {
        /// The first.
        at: u64,
        /// Behind the last.
        end: u64,
    },
    /// A byte of a chunked body that is no data.
    Chunk {
        /// Where it is.
        at: u64,
        /// What it is.
        part: ChunkPart,
    },
    /// The last four of the call: whether they are line ends.
    LineEnds,
}

impl Look {
    /// Bytes that were parsed as the head that begins at `start`.
    pub(super) fn of(parsed: &Parsed, start: u64, at: u64, end: u64) -> Self {
        match parsed {
            Parsed::Complete(head) => Self::Head {
                start,
                at,
                end: start + head.len,
            },
            Parsed::Partial => Self::Head { start, at, end },
            Parsed::Invalid => Self::NoHead { start, at, end },
        }
    }
}

/// A record whose turn came, and what was read of it: nothing, if it came too
/// late.
pub type Traced = (Record, Vec<Look>);

/// Where it is told, if anybody wants to know.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Looks<'a>(Option<&'a RefCell<Vec<Look>>>);

impl<'a> Looks<'a> {
    pub(super) fn new(looks: Option<&'a RefCell<Vec<Look>>>) -> Self {
        Self(looks)
    }

    pub(super) fn add(self, look: Look) {
        if let Some(looks) = self.0 {
            looks.borrow_mut().push(look);
        }
    }
}
