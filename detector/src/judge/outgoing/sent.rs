//! A call that sent bytes, as far as it was seen.

use detector_common::flag;

use crate::{
    http::{Framing, Parsed, StartLine, framing, may_be_response, parse},
    judge::{
        chunks::Seen,
        flaw::By,
        looks::{Look, Looks},
    },
};

/// Whether the bytes that a connection received were seen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(in crate::judge) enum Reads {
    /// All of them.
    #[default]
    Seen,
    /// Some passed by calls whose memory is not looked at.
    Unseen,
    /// A log does not show that strace was asked for all calls that receive.
    Untraced,
}

impl Reads {
    /// By the flags of a sample.
    pub(in crate::judge) fn of(flags: u32) -> Self {
        if flags & flag::UNTRACED_RECEIVES != 0 {
            Self::Untraced
        } else if flags & flag::UNSEEN_RECEIVES != 0 {
            Self::Unseen
        } else {
            Self::Seen
        }
    }
}

/// A call that sent bytes, or a part of one, as far as it was sampled.
#[derive(Clone, Copy, Debug)]
pub(in crate::judge) struct Sent<'a> {
    /// Offset of its first byte.
    pub(in crate::judge) offset: u64,
    /// Bytes that it sent.
    pub(in crate::judge) moved: u64,
    /// The first of them.
    pub(in crate::judge) data: &'a [u8],
    /// The last of them, where `data` does not hold them.
    pub(in crate::judge) tail: &'a [u8],
    /// Bytes received by then.
    pub(in crate::judge) received: u64,
    /// Bytes went out on this connection that were not looked at.
    pub(in crate::judge) unseen: bool,
    /// Whether what was received before it was seen.
    pub(in crate::judge) reads: Reads,
    /// This side connected the socket, or had it before the watch.
    pub(in crate::judge) connected: bool,
    /// It is the call's beginning.
    pub(in crate::judge) begins_call: bool,
    /// Its head was changed by hand, in a log: a body may have been taken out of it.
    pub(in crate::judge) edited: bool,
    /// Which call it is.
    pub(in crate::judge) by: By,
    /// Where it is told what of it was read.
    pub(in crate::judge) looks: Looks<'a>,
}

impl Sent<'_> {
    pub(in crate::judge) fn end(&self) -> u64 {
        self.offset + self.moved
    }

    /// What was seen of it from this offset on, if that was seen.
    pub(super) fn from(&self, at: u64) -> Option<&[u8]> {
        let part = |start: u64, bytes| {
            let skip = usize::try_from(at.checked_sub(start)?).ok()?;
            <[u8]>::get(bytes, skip..).filter(|seen| !seen.is_empty())
        };
        let tail_at = self.end().saturating_sub(self.tail.len() as u64);
        part(self.offset, self.data).or_else(|| part(tail_at, self.tail))
    }

    /// Whether it begins as a response does, or with the first bytes of such.
    pub(super) fn begins_response(&self) -> bool {
        self.response_at(self.offset, self.data)
    }

    /// Whether these bytes of it begin so.
    pub(super) fn response_at(&self, at: u64, bytes: &[u8]) -> bool {
        if bytes.is_empty() || !may_be_response(bytes) {
            return false;
        }
        let length = match parse(bytes) {
            Parsed::Complete(head) => head.len,
            Parsed::Partial => bytes.len() as u64,
            Parsed::Invalid => return false,
        };
        self.looks.add(Look::Begins {
            at,
            end: at + length,
        });
        true
    }

    /// Whether it begins with the whole head of a response; `interim` ones are
    /// meant too, or not.
    pub(super) fn begins_whole_response(&self, interim: bool) -> bool {
        let Parsed::Complete(head) = parse(self.data) else {
            return false;
        };
        let is = matches!(head.start, StartLine::Response { .. })
            && (interim || framing(&head, None) != Framing::Interim);
        if is {
            self.looks.add(Look::Begins {
                at: self.offset,
                end: self.offset + head.len,
            });
        }
        is
    }

    pub(in crate::judge) fn seen(&self) -> Seen<'_> {
        Seen {
            offset: self.offset,
            end: self.end(),
            start: self.data,
            tail: self.tail,
        }
    }
}
