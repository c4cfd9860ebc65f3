//! Bodies that come in pieces.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::OnceLock;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use futures_util::Stream;
use tokio::time::{Instant, Sleep, sleep};

/// Up to so many bytes share one allocation.
const SHARED: usize = 16 << 20;

/// `len` times the letter x.
pub(crate) fn filler(len: usize) -> Bytes {
    static ALL: OnceLock<Bytes> = OnceLock::new();
    if len > SHARED {
        return Bytes::from(vec![b'x'; len]);
    }
    ALL.get_or_init(|| Bytes::from(vec![b'x'; SHARED]))
        .slice(..len)
}

/// `left` bytes in pieces, and what happens between and after them.
pub struct Pieces {
    left: u64,
    piece: usize,
    /// Before every piece but the first.
    between: Option<Duration>,
    /// Once, before the body says that it is over: time for what was yielded to reach the socket.
    before_end: Option<Duration>,
    /// When it fails instead of going on.
    deadline: Option<Instant>,
    sleep: Option<Pin<Box<Sleep>>>,
}

impl Pieces {
    /// All at once, as fast as they are taken.
    pub(crate) fn new(len: u64, piece: usize) -> Self {
        Self {
            left: len,
            piece,
            between: None,
            before_end: None,
            deadline: None,
            sleep: None,
        }
    }

    pub(crate) fn between(mut self, pause: Duration) -> Self {
        self.between = Some(pause);
        self
    }

    pub(crate) fn before_end(mut self, pause: Duration) -> Self {
        self.before_end = Some(pause);
        self.rest_if_due();
        self
    }

    pub(crate) fn until(mut self, time: Duration) -> Self {
        self.deadline = Some(Instant::now() + time);
        self
    }

    fn rest_if_due(&mut self) {
        let pause = match self.left {
            0 => self.before_end,
            _ => self.between,
        };
        self.sleep = pause.map(|pause| Box::pin(sleep(pause)));
    }
}

impl Stream for Pieces {
    type Item = io::Result<Bytes>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        if let Some(sleep) = &mut self.sleep {
            ready!(sleep.as_mut().poll(cx));
            self.sleep = None;
        }
        if self
            .deadline
            .is_some_and(|deadline| Instant::now() >= deadline)
        {
            return Poll::Ready(Some(Err(io::ErrorKind::TimedOut.into())));
        }
        let len = usize::try_from(self.left).map_or(self.piece, |left| left.min(self.piece));
        if len == 0 {
            return Poll::Ready(None);
        }
        self.left -= len as u64;
        self.rest_if_due();
        Poll::Ready(Some(Ok(filler(len))))
    }
}
