//! Response bodies: one known at once, one that comes in pieces.

use std::convert::Infallible;
use std::future::Future;
use std::pin::Pin;
use std::sync::OnceLock;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{Either, Full};
use hyper::body::{Body, Frame};
use tokio::time::{Sleep, sleep};

/// Either a `Full<Bytes>` (hyper sets Content-Length) or pieces (chunked, unless a header says
/// otherwise).
pub type AnyBody = Either<Full<Bytes>, Pieces>;

/// Bytes in the body of the three triggers: the size in the log of the incident.
pub const BIG: usize = 14_991_808;

/// `len` times the letter x; up to [`BIG`] bytes share one allocation.
pub fn filler(len: usize) -> Bytes {
    static SHARED: OnceLock<Bytes> = OnceLock::new();
    if len > BIG {
        return Bytes::from(vec![b'x'; len]);
    }
    SHARED
        .get_or_init(|| Bytes::from(vec![b'x'; BIG]))
        .slice(..len)
}

/// When a [`Pieces`] body rests.
#[derive(Clone, Copy)]
pub enum Rest {
    Never,
    /// Before every piece but the first.
    Between(Duration),
    /// Once, before the body says that it is over: time for what was yielded to reach the socket.
    BeforeEnd(Duration),
}

/// A body of unknown length, `left` bytes in frames of at most `piece` bytes.
pub struct Pieces {
    left: u64,
    piece: usize,
    rest: Rest,
    sleep: Option<Pin<Box<Sleep>>>,
}

impl Pieces {
    pub fn new(len: u64, piece: usize, rest: Rest) -> Self {
        let mut pieces = Self {
            left: len,
            piece,
            rest,
            sleep: None,
        };
        if matches!(rest, Rest::BeforeEnd(_)) {
            // A body without bytes is at its end from the start, and its head has to get out too.
            pieces.rest_if_due();
        }
        pieces
    }

    fn next_piece(&mut self) -> Option<Bytes> {
        let len = usize::try_from(self.left).map_or(self.piece, |left| left.min(self.piece));
        if len == 0 {
            return None;
        }
        self.left -= len as u64;
        self.rest_if_due();
        Some(filler(len))
    }

    fn rest_if_due(&mut self) {
        let pause = match (self.rest, self.left) {
            (Rest::Between(pause), 1..) | (Rest::BeforeEnd(pause), 0) => Some(pause),
            _ => None,
        };
        self.sleep = pause.map(|pause| Box::pin(sleep(pause)));
    }
}

impl Body for Pieces {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        if let Some(sleep) = &mut self.sleep {
            ready!(sleep.as_mut().poll(cx));
            self.sleep = None;
        }
        Poll::Ready(self.next_piece().map(|piece| Ok(Frame::data(piece))))
    }
}
