//! What came back for the requests that this side sends: whether its peer speaks HTTP,
//! and whether it gave a final response or only interim ones.
//!
//! The kernel side samples the first response and interim ones; of any other byte it is
//! taken that it is a final response's.

use super::looks::{Look, Looks};
use crate::http::{Framing, Head, Parsed, StartLine, framing, is_response, may_be_response, parse};

/// Longest interim head that is put together from several calls.
const HEAD_LIMIT: usize = 16 << 10;

/// The responses received on one connection.
#[derive(Clone, Debug, Default)]
pub(super) struct Answers {
    /// A response was received, interim or final.
    heard: bool,
    /// A 101 was received: what follows is another protocol's (RFC 9110 section 15.2.2).
    switched: bool,
    /// Where the last response with a status of 200 to 299 was seen to begin.
    accepted: Option<u64>,
    /// Interim heads that follow one another: where the first begins and the last ends.
    interim: Option<(u64, u64)>,
    /// A head whose end has not come: where it begins, and its bytes so far.
    open: Option<(u64, Vec<u8>)>,
}

impl Answers {
    /// Whether the peer answered with HTTP.
    pub(super) fn heard(&self) -> bool {
        self.heard
    }

    /// Whether it switched protocols.
    pub(super) fn switched(&self) -> bool {
        self.switched
    }

    /// Whether a successful response was seen to begin at this offset or later.
    pub(super) fn accepted_since(&self, from: u64) -> bool {
        self.accepted.is_some_and(|at| at >= from)
    }

    /// Whether the bytes received from offset `from` to offset `to` are interim responses
    /// and nothing else, or there are none.
    pub(super) fn only_interim(&self, from: u64, to: u64) -> bool {
        from >= to
            || self
                .interim
                .is_some_and(|(begin, end)| begin <= from && to <= end)
    }

    /// Takes bytes that were received at `offset`: `data` is the beginning of the `moved`
    /// bytes of the call. The answer to the last request begins at `asked`, if that is known:
    /// what looks like a head behind it may be a body's.
    pub(super) fn take(
        &mut self,
        offset: u64,
        moved: u64,
        data: &[u8],
        asked: Option<u64>,
        looks: Looks<'_>,
    ) {
        // Nearly all that servers receive.
        if self.open.is_none() && data.first() != Some(&b'H') {
            return;
        }
        let (mut start, mut bytes) = match self.open.take() {
            Some((start, mut bytes)) if start + bytes.len() as u64 == offset => {
                bytes.extend_from_slice(data);
                (start, bytes)
            }
            _ => (offset, data.to_vec()),
        };
        let seen = offset + data.len() as u64;
        // Each turn moves on by a head.
        while may_be_response(&bytes) {
            if bytes.is_empty() {
                return;
            }
            let parsed = parse(&bytes);
            looks.add(Look::of(&parsed, start, start.max(offset), seen));
            let head = match parsed {
                Parsed::Complete(head) => head,
                Parsed::Partial => {
                    self.heard |= is_response(&bytes) && bytes.contains(&b'\n');
                    if seen == offset + moved && bytes.len() <= HEAD_LIMIT {
                        self.open = Some((start, bytes));
                    }
                    return;
                }
                Parsed::Invalid => return,
            };
            let StartLine::Response { status } = head.start else {
                return;
            };
            self.heard = true;
            if asked.is_none_or(|from| self.only_interim(from, start)) {
                if (200..300).contains(&status) {
                    self.accepted = Some(start);
                }
                self.switched |= framing(&head, None) == Framing::Tunnel;
            }
            if !self.add(start, &head) {
                return;
            }
            start += head.len;
            let length = usize::try_from(head.len).unwrap_or(bytes.len());
            bytes.drain(..length.min(bytes.len()));
        }
    }

    /// Adds a head that begins there; `false` if it is a final one.
    fn add(&mut self, start: u64, head: &Head) -> bool {
        if framing(head, None) != Framing::Interim {
            return false;
        }
        let end = start + head.len;
        self.interim = match self.interim {
            Some((begin, before)) if before == start => Some((begin, end)),
            _ => Some((start, end)),
        };
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CONTINUE: &[u8] = b"HTTP/1.1 100 Continue\r\n\r\n";
    const HINTS: &[u8] = b"HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n";
    const REFUSED: &[u8] = b"HTTP/1.1 413 Too Large\r\nContent-Length: 0\r\n\r\n";

    fn taken(calls: &[&[u8]]) -> (Answers, u64) {
        let mut answers = Answers::default();
        let mut offset = 0;
        for call in calls {
            let moved = call.len() as u64;
            answers.take(offset, moved, call, None, Looks::default());
            offset += moved;
        }
        (answers, offset)
    }

    #[test]
    fn interim_responses_are_no_final_one() {
        for calls in [
            vec![CONTINUE],
            vec![CONTINUE, HINTS],
            vec![&b"HTTP/1.1 1"[..], b"02 Processing\r\n", b"\r\n", CONTINUE],
        ] {
            let (answers, end) = taken(&calls);
            assert!(answers.heard() && answers.only_interim(0, end));
            assert!(!answers.only_interim(0, end + 1));
        }
        let both = [CONTINUE, HINTS].concat();
        let (answers, end) = taken(&[&both]);
        assert!(answers.only_interim(0, end) && answers.only_interim(25, end));
    }

    #[test]
    fn a_final_response_is_one_wherever_it_begins() {
        let both = [CONTINUE, REFUSED].concat();
        for calls in [vec![REFUSED], vec![CONTINUE, REFUSED], vec![&both[..]]] {
            let (answers, end) = taken(&calls);
            assert!(answers.heard() && !answers.only_interim(0, end));
        }
        // The one that comes behind the answer to another request.
        let (answers, end) = taken(&[REFUSED, CONTINUE]);
        let from = REFUSED.len() as u64;
        assert!(answers.only_interim(from, end) && !answers.only_interim(from - 1, end));
    }

    #[test]
    fn what_is_no_response_is_not_heard() {
        for call in [
            &b"220 ready\r\n"[..],
            b"HT",
            b"HTTP/2 200\r\n",
            b"POST / HTTP/1.1\r\n\r\n",
        ] {
            let (answers, end) = taken(&[call]);
            assert!(
                !answers.heard() && !answers.only_interim(0, end),
                "{call:?}"
            );
        }
        let (answers, _) = taken(&[b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\n\r\n"]);
        assert!(answers.heard() && answers.switched());
    }
}
