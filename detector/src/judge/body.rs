//! A message with Content-Length that is being sent, or was.

use super::{
    finding::Message,
    flaw::{By, Flaw, Flawed},
    unjudged::Unjudged,
};

/// A message and where its body lies.
#[derive(Clone, Debug)]
pub(super) struct Body {
    pub(super) message: Message,
    /// Offset of its first body byte.
    pub(super) start: u64,
    /// Offset behind its last body byte.
    pub(super) end: u64,
    /// It certainly has a body: it answers no HEAD.
    pub(super) has_body: bool,
    /// Its head was changed by hand, in a log, and showed no body: bytes behind it show
    /// that it has one.
    pub(super) edited: bool,
    /// Bytes received when its head was sent.
    pub(super) received: u64,
    /// A call within it began as the next response would, after another request
    /// was read: its bytes may not all be its own.
    pub(super) suspect: bool,
    /// A call within it began so, and whether a request was read is not known:
    /// what exceeds it may be the next response's.
    pub(super) unclear: bool,
    /// It was told that no byte was accepted for long.
    pub(super) stalled: bool,
}

/// Why a message is not judged that may have no body, or of which a body was taken out.
pub(super) fn bodiless(edited: bool) -> Unjudged {
    if edited {
        Unjudged::HeadCut
    } else {
        Unjudged::MethodUnknown
    }
}

impl Body {
    /// What is wrong with it once bytes up to the offset `sent` were accepted.
    pub(super) fn flawed(&self, flaw: Flaw, sent: u64, by: Option<By>) -> Flawed {
        Flawed {
            flaw,
            message: self.message.clone(),
            promised: Some(self.end - self.start),
            sent: Some(sent.saturating_sub(self.start)),
            sent_with_head: None,
            received: self.received,
            by,
        }
    }
}
