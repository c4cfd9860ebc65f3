//! A stream in pieces, and what came of it.

use detector_framing::{Event, Framer, Method, Need, Slice, Turn};

/// How the bytes that need no reading are passed.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Pass {
    /// They are read.
    Read,
    /// They are skipped.
    Skip,
}

/// What is behind the end of a piece where the last one was longer: in the kernel side's
/// scratch memory it may be anything. What reads words must not go on with it.
const STALE: [&[u8]; 8] = [
    b"b: c\r\n\r\na: 1\nHTTP/1.1 200 OK\r\nd: e\n\n",
    b"\r\n\r\nX: y\r\n\r\n",
    b"\n\r\n0\r\n\r\n",
    b"23\r\n0\r\n\r\n",
    b": 5\r\n\r\n",
    b"d\nchunked\r\n\r\n",
    b" HTTP/1.1\r\n\r\n",
    b"TTP/1.1 200 OK\r\n\r\n",
];

/// Gives the framer a piece whose first byte is at offset `begin`. Returns events with the
/// offsets behind them; each turn has to make progress. Stale bytes follow where bytes are
/// skipped.
pub(crate) fn piece(
    framer: &mut Framer,
    bytes: &[u8],
    begin: usize,
    pass: Pass,
    method: Method,
) -> Vec<(usize, Event)> {
    let end = Slice(bytes).len();
    let stale = [bytes, STALE[(begin + bytes.len()) % STALE.len()]].concat();
    let window = Slice(match pass {
        Pass::Read => bytes,
        Pass::Skip => &stale,
    });
    let (mut at, mut events) = (0, Vec::new());
    while at < end {
        let turn = match framer.need() {
            Need::Skip(left) if pass == Pass::Skip => {
                let (passed, event) = framer.skip(left.min(u64::from(end - at)));
                let at = at + u32::try_from(passed).unwrap_or(u32::MAX);
                Turn { at, event }
            }
            _ => framer.turn(&window, at, end, method),
        };
        assert!(
            turn.at > at && turn.at <= end,
            "no progress at {at} of {bytes:?}"
        );
        at = turn.at;
        if turn.event != Event::None {
            events.push((begin + at as usize, turn.event));
        }
    }
    events
}

/// Gives a new framer the bytes in pieces that end at these places.
pub(crate) fn pieces(bytes: &[u8], ends: &[usize], pass: Pass) -> Vec<(usize, Event)> {
    from(Framer::default(), bytes, ends, pass)
}

/// The same, with this framer.
pub(crate) fn from(
    mut framer: Framer,
    bytes: &[u8],
    ends: &[usize],
    pass: Pass,
) -> Vec<(usize, Event)> {
    let (mut begin, mut events) = (0, Vec::new());
    for end in ends.iter().copied().chain([bytes.len()]) {
        let seen = &bytes[begin..end];
        events.extend(piece(&mut framer, seen, begin, pass, Method::Other));
        begin = end;
    }
    events
}
