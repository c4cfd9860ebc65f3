//! Which request a response answers, from the bytes received.
//!
//! A finding must not rest on a guess here: a response to HEAD promises a
//! length and sends no body. So a method is given only where every request
//! before it is accounted for.

use std::{borrow::Cow, collections::VecDeque};

use super::{
    chunks::{Followed, Progress, Seen, follow},
    looks::{Look, Looks},
};
use crate::http::{
    Framing, Parsed, ProxyHeader, StartLine, framing, may_be_request, parse, parse_seen,
    proxy_header,
};

/// Most requests that are kept unanswered; a client that pipelines more has
/// its further methods unknown.
const PIPELINE: usize = 256;

/// Longest head that is put together from several calls, as in the kernel side.
pub(super) const HEAD_LIMIT: usize = 128 << 10;

/// A request head that was received.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Request {
    pub(super) method: String,
    pub(super) target: String,
    /// No request was missed before it: it is the one that is answered in its
    /// turn.
    pub(super) certain: bool,
}

/// Where the next request begins.
#[derive(Clone, Debug)]
enum Place {
    /// At this offset.
    At(u64),
    /// It began here; the bytes of its head so far.
    Head(u64, Vec<u8>),
    /// After this chunked body, whose next byte is at this offset.
    Chunks(u64, Progress),
    /// Not known: bytes were not seen.
    Unknown,
}

/// The requests of one connection.
#[derive(Clone, Debug)]
pub(super) struct Requests {
    place: Place,
    unanswered: VecDeque<Request>,
    /// Every byte is accounted for since the first: no request was missed.
    exact: bool,
    /// A request may have been missed while others were unanswered: methods
    /// are not told any more.
    doubtful: bool,
    /// There was certainly no request for a response.
    excess: bool,
    heads: u64,
    /// Heads of any kind that were parsed.
    parsed: u64,
    /// What may be a request was received, or bytes that were not seen.
    asked: bool,
    /// Where the body begins of the last request, if that waits until it is asked for it.
    waits: Option<u64>,
}

impl Requests {
    pub(super) fn new(from_start: bool) -> Self {
        Self {
            place: if from_start {
                Place::At(0)
            } else {
                Place::Unknown
            },
            unanswered: VecDeque::new(),
            exact: from_start,
            doubtful: false,
            excess: false,
            heads: 0,
            parsed: 0,
            asked: !from_start,
            waits: None,
        }
    }

    /// Whether bytes of a request that was begun are certainly still to come. Not of one
    /// whose peer may wait to be asked for its body.
    pub(super) fn is_due(&self, received: u64) -> bool {
        if self.waits == Some(received) {
            return false;
        }
        match self.place {
            Place::At(at) => at > received,
            Place::Chunks(..) => true,
            Place::Head(..) | Place::Unknown => false,
        }
    }

    /// Whether a request may have been received: only then are bytes that look like a
    /// response one.
    pub(super) fn asked(&self) -> bool {
        self.asked
    }

    /// Whether no request was missed so far.
    pub(super) fn certain(&self) -> bool {
        self.exact && !self.doubtful
    }

    /// Requests that were received and not answered, where that is known.
    pub(super) fn unanswered(&self) -> Option<usize> {
        self.certain().then_some(self.unanswered.len())
    }

    /// How many bytes may be received before another request can begin, if all
    /// that did are answered and none was missed.
    pub(super) fn next_begins(&self) -> Option<u64> {
        match self.place {
            Place::At(at) if self.unanswered() == Some(0) => Some(at),
            _ => None,
        }
    }

    /// Whether a request ends at this offset, or it is not known that none
    /// does.
    pub(super) fn rest_at(&self, received: u64) -> bool {
        match self.place {
            Place::At(at) => at == received,
            Place::Unknown => true,
            Place::Head(..) | Place::Chunks(..) => false,
        }
    }

    /// Whether there was certainly no request for a response.
    pub(super) fn excess(&self) -> bool {
        self.excess
    }

    /// A response may have gone out that was not seen: which requests are
    /// answered is not known any more.
    pub(super) fn response_missed(&mut self) {
        self.doubtful = true;
        self.unanswered.clear();
    }

    /// Request heads received so far.
    pub(super) fn heads(&self) -> u64 {
        self.heads
    }

    /// The request that the next final response answers, where known.
    pub(super) fn answer(&mut self) -> Option<Request> {
        let request = self.unanswered.pop_front();
        // An answer to nothing: which request the next one answers is not
        // known any more.
        self.excess |= request.is_none() && self.certain();
        self.doubtful |= request.is_none();
        if self.doubtful { None } else { request }
    }

    /// Takes bytes that were received at `offset`: `data` is the beginning of
    /// the `moved` bytes of the call.
    pub(super) fn take(&mut self, offset: u64, moved: u64, data: &[u8], looks: Looks<'_>) {
        let end = offset + moved;
        // A log may show less than a method of it.
        let cut = (data.len() as u64) < moved;
        let begun = data.iter().all(u8::is_ascii_uppercase);
        self.asked |= (cut && begun) || may_be_request(data);
        let seen = Seen {
            offset,
            end,
            start: data,
            tail: &[],
        };
        // A call is parsed once: what follows a loss in its middle is not
        // looked at, or requests would be counted twice.
        let parsed = self.parsed;
        loop {
            if matches!(self.place, Place::Unknown) && self.parsed > parsed {
                return;
            }
            match &mut self.place {
                Place::At(at) => {
                    let at = *at;
                    if at >= end {
                        return;
                    }
                    let Some(rest) = at
                        .checked_sub(offset)
                        .and_then(|skip| data.get(usize::try_from(skip).ok()?..))
                        .filter(|rest| !rest.is_empty())
                    else {
                        self.lose();
                        continue;
                    };
                    if !self.head(at, Cow::Borrowed(rest), end, at, looks) {
                        return;
                    }
                }
                Place::Head(start, bytes) => {
                    let (start, mut bytes) = (*start, std::mem::take(bytes));
                    if start + bytes.len() as u64 != offset {
                        self.lose();
                        continue;
                    }
                    bytes.extend_from_slice(data);
                    if bytes.len() > HEAD_LIMIT {
                        self.lose();
                        self.doubtful = true;
                        return;
                    }
                    // Without the end of a line it is no more a head than it
                    // was.
                    if moved == data.len() as u64 && !data.contains(&b'\n') {
                        looks.add(Look::Head {
                            start,
                            at: offset,
                            end,
                        });
                        self.place = Place::Head(start, bytes);
                        return;
                    }
                    if !self.head(start, Cow::Owned(bytes), end, offset, looks) {
                        return;
                    }
                }
                Place::Chunks(at, decoder) => {
                    let (at, mut decoder) = (*at, *decoder);
                    match follow(at, &mut decoder, seen, looks) {
                        Followed::Ended(after) => self.place = Place::At(after),
                        Followed::Within => {
                            self.place = Place::Chunks(end, decoder);
                            return;
                        }
                        Followed::Lost | Followed::Refuted | Followed::Broken => self.lose(),
                    }
                }
                Place::Unknown => {
                    let Parsed::Complete(head) = parse(data) else {
                        return;
                    };
                    if !self.unanswered.is_empty() {
                        looks.add(Look::Begins {
                            at: offset,
                            end: offset + head.len,
                        });
                        // A pipelined request, or a body that looks like one.
                        self.doubtful = true;
                        return;
                    }
                    if !self.head(offset, Cow::Borrowed(data), end, offset, looks) {
                        return;
                    }
                }
            }
        }
    }

    fn push(&mut self, line: StartLine, certain: bool) {
        let StartLine::Request { method, target } = line else {
            return;
        };
        self.heads += 1;
        if self.unanswered.len() < PIPELINE {
            self.unanswered.push_back(Request {
                method,
                target,
                certain,
            });
        } else {
            self.doubtful = true;
        }
    }

    fn lose(&mut self) {
        self.place = Place::Unknown;
        self.exact = false;
    }

    /// Parses a head that begins at `start`, whose bytes from `at` on are the
    /// call's; `true` if another may follow in the same call, which ended at
    /// `end`.
    fn head(
        &mut self,
        start: u64,
        bytes: Cow<'_, [u8]>,
        end: u64,
        at: u64,
        looks: Looks<'_>,
    ) -> bool {
        let seen = start + bytes.len() as u64;
        let seen_whole = seen == end;
        if start == 0 {
            match proxy_header(&bytes) {
                ProxyHeader::Whole(length) => {
                    looks.add(Look::Proxy { at, end: seen });
                    self.place = Place::At(length as u64);
                    return true;
                }
                ProxyHeader::Partial if seen_whole => {
                    looks.add(Look::Proxy { at, end: seen });
                    self.place = Place::Head(start, bytes.into_owned());
                    return false;
                }
                ProxyHeader::Partial | ProxyHeader::None => {}
            }
        }
        self.asked |= may_be_request(&bytes);
        let parsed = parse(&bytes);
        looks.add(Look::of(&parsed, start, at, seen));
        match parsed {
            Parsed::Complete(head) => {
                self.parsed += 1;
                let certain = self.certain();
                let after = start + head.len;
                self.waits = head.framing.waits.then_some(after);
                self.place = match framing(&head, None) {
                    Framing::NoBody => Place::At(after),
                    Framing::ContentLength(length) => {
                        after.checked_add(length).map_or(Place::Unknown, Place::At)
                    }
                    Framing::Chunked => Place::Chunks(after, Progress::default()),
                    _ => Place::Unknown,
                };
                self.exact &= !matches!(self.place, Place::Unknown);
                self.push(head.start, certain);
                !matches!(self.place, Place::Unknown)
            }
            Parsed::Partial if seen_whole => {
                self.place = Place::Head(start, bytes.into_owned());
                false
            }
            Parsed::Partial
                if self.certain()
                    && let Some(head) = parse_seen(&bytes) =>
            {
                // Its first line was seen, its end not.
                self.parsed += 1;
                self.push(head.start, true);
                self.lose();
                false
            }
            Parsed::Partial | Parsed::Invalid => {
                // Bytes that no request begins with: what follows them, and
                // how many requests were in them, is not known.
                self.lose();
                self.doubtful |= !self.unanswered.is_empty();
                false
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answered(calls: &[&str]) -> Vec<Option<String>> {
        let mut requests = Requests::new(true);
        let mut offset = 0;
        for call in calls {
            requests.take(offset, call.len() as u64, call.as_bytes(), Looks::default());
            offset += call.len() as u64;
        }
        std::iter::from_fn(|| {
            (!requests.unanswered.is_empty())
                .then(|| requests.answer().map(|request| request.method))
        })
        .collect()
    }

    fn methods(names: &[&str]) -> Vec<Option<String>> {
        names.iter().map(|name| Some((*name).to_owned())).collect()
    }

    #[test]
    fn pipelined_in_one_call() {
        let call = "GET / HTTP/1.1\r\n\r\nPOST /b HTTP/1.1\r\nContent-Length: 2\r\n\r\nhiHEAD / HTTP/1.1\r\n\r\n";
        assert_eq!(answered(&[call]), methods(&["GET", "POST", "HEAD"]));
    }

    #[test]
    fn a_request_behind_a_proxy_header_is_found() {
        let get = "GET /a HTTP/1.1\r\nHost: x\r\n\r\n";
        let line = "PROXY TCP6 2001:db8::1 2001:db8::2 40312 80\r\n";
        let local = "\r\n\r\n\0\r\nQUIT\n\x20\0\0\0";
        let four = "\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0cabcdabcdabcd";
        for header in [line, local, four] {
            let both = format!("{header}{get}");
            assert_eq!(answered(&[&both]), methods(&["GET"]), "{header:?}");
            assert_eq!(answered(&[header, get]), methods(&["GET"]), "{header:?}");
            for cut in 1..both.len() {
                let (one, other) = both.split_at(cut);
                assert_eq!(answered(&[one, other]), methods(&["GET"]), "{one:?}");
            }
        }
        // What is not there again is none.
        let post = "POST / HTTP/1.1\r\nContent-Length: 45\r\n\r\n";
        assert_eq!(answered(&[post, line]), methods(&["POST"]));
    }

    #[test]
    fn a_head_over_several_calls() {
        assert_eq!(
            answered(&["HE", "AD / HT", "TP/1.1\r\n\r\n"]),
            methods(&["HEAD"])
        );
    }

    #[test]
    fn an_upload_that_looks_like_a_request_is_none() {
        let post = "POST / HTTP/1.1\r\nContent-Length: 18\r\n\r\n";
        assert_eq!(
            answered(&[post, "HEAD / HTTP/1.1\r\n\r"]),
            methods(&["POST"])
        );
    }

    #[test]
    fn a_call_of_which_only_the_first_message_was_seen_comes_to_an_end() {
        let mut requests = Requests::new(false);
        let response = "HTTP/1.1 200 OK\r\nContent-Length: 20\r\n\r\nxxxxxxxxxxxxxxxxxxxx";
        let both = response.repeat(2);
        requests.take(
            0,
            both.len() as u64,
            &both.as_bytes()[..response.len()],
            Looks::default(),
        );
        assert_eq!(requests.answer(), None);
    }

    #[test]
    fn a_request_behind_a_chunked_upload_is_found() {
        let post = "POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n";
        let head = "HEAD / HTTP/1.1\r\n\r\n";
        let one = format!("{post}2\r\nhi\r\n0\r\n\r\n{head}");
        assert_eq!(answered(&[&one]), methods(&["POST", "HEAD"]));
        assert_eq!(
            answered(&[post, "2\r\nhi\r\n0\r\n\r\n", head]),
            methods(&["POST", "HEAD"])
        );
    }

    #[test]
    fn an_upload_that_was_not_seen_whole_leaves_no_certainty() {
        let mut requests = Requests::new(true);
        let post = b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n";
        requests.take(0, post.len() as u64, post, Looks::default());
        assert!(requests.certain());
        assert_eq!(
            requests.answer().map(|request| request.method).as_deref(),
            Some("POST")
        );
        // The upload was read by calls that were not sampled.
        let head = b"HEAD / HTTP/1.1\r\n\r\n";
        requests.take(
            post.len() as u64 + 5000,
            head.len() as u64,
            head,
            Looks::default(),
        );
        assert_eq!(
            requests.answer().map(|request| request.method).as_deref(),
            Some("HEAD")
        );
        assert!(!requests.certain());
    }
}
