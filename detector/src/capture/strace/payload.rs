//! The bytes that a call moved, as far as a line shows them.

use super::{
    arguments::{Arguments, counted_field, elements, field, number},
    calls::Data,
    unquote::quoted,
};

/// The bytes of a call, or of one message of a call that sends several.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Payload {
    /// Bytes that it offered, or had room for; `None` if the line does not
    /// tell.
    pub(super) offered: Option<u64>,
    /// What is seen: where in the call, and the bytes. In order, apart.
    pub(super) seen: Vec<(u64, Vec<u8>)>,
    /// The line was shortened by hand.
    pub(super) by_hand: bool,
    /// strace left bytes out (`-s`).
    pub(super) cut: bool,
    /// It shows an address in place of the bytes (`-e raw`).
    pub(super) address: bool,
    /// Or something that strace does not write.
    pub(super) strange: bool,
}

impl Payload {
    fn add(&mut self, offset: u64, bytes: Vec<u8>) {
        if bytes.is_empty() {
            return;
        }
        match self.seen.last_mut() {
            Some((start, before)) if *start + before.len() as u64 == offset => {
                before.extend_from_slice(&bytes);
            }
            _ => self.seen.push((offset, bytes)),
        }
    }

    /// Only what is among the first `moved` bytes.
    pub(super) fn keep(&mut self, moved: u64) {
        self.seen.retain_mut(|(offset, bytes)| {
            let left = moved.saturating_sub(*offset);
            bytes.truncate(usize::try_from(left).unwrap_or(usize::MAX));
            !bytes.is_empty()
        });
    }
}

/// The bytes of a call. `moved`: what it returned, for those that received.
pub(super) fn payload(data: Data, arguments: &Arguments<'_>, moved: Option<u64>) -> Payload {
    let mut payload = match data {
        Data::Buffer => buffer(arguments, moved),
        Data::Iovec => iovec(arguments.at(1), moved),
        Data::Msghdr => message(arguments.at(1), moved),
        Data::Mmsghdr => Payload::default(),
        Data::File => Payload {
            offered: number(arguments.at(3)),
            ..Payload::default()
        },
        Data::Splice => Payload {
            offered: number(arguments.at(4)),
            ..Payload::default()
        },
    };
    payload.by_hand |= arguments.elided();
    payload
}

fn buffer(arguments: &Arguments<'_>, moved: Option<u64>) -> Payload {
    let offered = number(arguments.at(2));
    let Some(string) = quoted(arguments.at(1)) else {
        return Payload {
            offered,
            address: true,
            strange: is_strange(arguments.at(1)),
            ..Payload::default()
        };
    };
    let (mut bytes, mut cut) = (string.bytes, string.cut);
    let mut by_hand = false;
    // strace shows all bytes, or says that it does not. Where the counts
    // disagree, somebody else shortened the string.
    let whole = match moved {
        Some(moved) => Some(moved),
        None => offered,
    };
    if !cut && whole != Some(bytes.len() as u64) {
        by_hand = true;
        cut = true;
        for dots in [&b"..."[..], b"\xe2\x80\xa6"] {
            if bytes.ends_with(dots) {
                bytes.truncate(bytes.len() - dots.len());
                break;
            }
        }
    }
    let mut payload = Payload {
        offered,
        by_hand,
        cut,
        ..Payload::default()
    };
    payload.add(0, bytes);
    payload
}

/// Whether an argument is no string of strace's and no address either, nor left out by
/// hand.
fn is_strange(argument: &[u8]) -> bool {
    let known = argument.is_empty()
        || matches!(argument.first(), Some(b'"' | b'0'..=b'9' | b'.'))
        || argument.starts_with(b"NULL")
        || argument.starts_with("\u{2026}".as_bytes());
    !known
}

fn message(header: &[u8], moved: Option<u64>) -> Payload {
    match field(header, "msg_iov").or_else(|| counted_field(header, "msg_iov")) {
        Some(vector) => iovec(vector, moved),
        None => Payload {
            address: true,
            ..Payload::default()
        },
    }
}

fn iovec(vector: &[u8], moved: Option<u64>) -> Payload {
    let mut payload = Payload::default();
    let mut offset = 0_u64;
    let mut known = vector.starts_with(b"[");
    payload.address = !known;
    for element in elements(vector) {
        let (base, length) = buffer_of(element);
        let Some(length) = length else {
            // `...`: more elements than strace shows.
            known = false;
            payload.cut = true;
            break;
        };
        // A buffer that was received is shown as far as it was filled.
        let filled = moved.map_or(length, |moved| length.min(moved.saturating_sub(offset)));
        match base.and_then(quoted) {
            Some(string) => {
                let short = (string.bytes.len() as u64) < filled;
                payload.by_hand |= short && !string.cut;
                payload.cut |= short;
                payload.add(offset, string.bytes);
            }
            None => {
                payload.cut |= filled > 0;
                payload.address |= filled > 0;
                payload.strange |= base.is_some_and(is_strange);
            }
        }
        offset = offset.saturating_add(length);
    }
    payload.offered = known.then_some(offset);
    payload
}

/// A buffer of an iovec, and its length; before 4.13 without names: `{"ab", 2}`.
fn buffer_of(element: &[u8]) -> (Option<&[u8]>, Option<u64>) {
    let named = field(element, "iov_len");
    if named.is_some() {
        return (field(element, "iov_base"), named.and_then(number));
    }
    let mut parts = elements(element);
    let (base, length) = (parts.next(), parts.next());
    (base, length.and_then(number))
}

/// The messages of `sendmmsg` or `recvmmsg`, of which `count` were moved: the
/// bytes of each, and how many it moved.
pub(super) fn messages(arguments: &Arguments<'_>, count: u64) -> Option<Vec<(Payload, u64)>> {
    let mut messages = Vec::new();
    for element in elements(arguments.at(1)) {
        if messages.len() as u64 == count {
            break;
        }
        let (header, moved) = match field(element, "msg_hdr") {
            Some(header) => (header, field(element, "msg_len")?),
            // Before 4.13: `{{msg_name(0)=NULL, …}, 12}`.
            None => {
                let mut parts = elements(element);
                (parts.next()?, parts.next()?)
            }
        };
        messages.push((message(header, None), number(moved)?));
    }
    (messages.len() as u64 == count).then_some(messages)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::capture::strace::arguments::arguments;

    fn of(data: Data, text: &str, moved: Option<u64>) -> Payload {
        let (arguments, _) = arguments(text.as_bytes()).expect(text);
        payload(data, &arguments, moved)
    }

    fn seen(payload: &Payload) -> Vec<(u64, &str)> {
        payload
            .seen
            .iter()
            .map(|(offset, bytes)| (*offset, std::str::from_utf8(bytes).expect("text")))
            .collect()
    }

    #[test]
    fn a_buffer() {
        let whole = of(Data::Buffer, r#"7, "hello", 5, 0, NULL, 0)"#, None);
        assert_eq!(
            (seen(&whole), whole.offered, whole.cut, whole.by_hand),
            (vec![(0, "hello")], Some(5), false, false)
        );
        let cut = of(Data::Buffer, r#"7, "he"..., 5)"#, None);
        assert_eq!(
            (seen(&cut), cut.cut, cut.by_hand),
            (vec![(0, "he")], true, false)
        );
        let address = of(Data::Buffer, "7, 0x7f12, 5)", None);
        assert_eq!((seen(&address), address.offered), (vec![], Some(5)));
        let received = of(Data::Buffer, r#"7, "hello", 8192, 0, NULL, NULL)"#, Some(5));
        assert!(!received.by_hand && !received.cut);
    }

    #[test]
    fn a_line_that_was_shortened_by_hand_is_noticed() {
        let published = of(Data::Buffer, r#"42, "HTTP/1.1 200 OK\r\n...", ...)"#, None);
        assert!(published.by_hand && published.cut);
        assert_eq!(
            (seen(&published), published.offered),
            (vec![(0, "HTTP/1.1 200 OK\r\n")], None)
        );
        let nothing = of(Data::Buffer, r#"42, "...", 292352)"#, None);
        assert_eq!(
            (seen(&nothing), nothing.offered, nothing.by_hand),
            (vec![], Some(292_352), true)
        );
        // Three dots that were sent.
        let dots = of(Data::Buffer, r#"42, "...", 3)"#, None);
        assert_eq!((seen(&dots), dots.by_hand), (vec![(0, "...")], false));
    }

    #[test]
    fn vectors_are_one_after_the_other() {
        let text = r#"7, [{iov_base="ab", iov_len=2}, {iov_base="cd"..., iov_len=4}, {iov_base="ef", iov_len=2}], 3)"#;
        let vector = of(Data::Iovec, text, None);
        assert_eq!(
            (seen(&vector), vector.offered),
            (vec![(0, "abcd"), (6, "ef")], Some(8))
        );
        let text = r#"7, {msg_name=NULL, msg_namelen=0, msg_iov=[{iov_base="ab", iov_len=3000}], msg_iovlen=1}, 0)"#;
        let received = of(Data::Msghdr, text, Some(2));
        assert_eq!(
            (seen(&received), received.by_hand),
            (vec![(0, "ab")], false)
        );
        let more = of(
            Data::Iovec,
            r#"7, [{iov_base="ab", iov_len=2}, ...], 50)"#,
            None,
        );
        assert_eq!((more.offered, more.cut, more.by_hand), (None, true, false));
    }

    #[test]
    fn several_messages() {
        let text = r#"7, [{msg_hdr={msg_iov=[{iov_base="ab", iov_len=2}]}, msg_len=2}, {msg_hdr={msg_iov=[{iov_base="c", iov_len=1}]}}], 2, 0)"#;
        let (all, _) = arguments(text.as_bytes()).expect("arguments");
        let one = messages(&all, 1).expect("one");
        assert_eq!((seen(&one[0].0), one[0].1), (vec![(0, "ab")], 2));
        assert!(messages(&all, 2).is_none());
    }

    #[test]
    fn what_was_not_moved_is_left_out() {
        let mut vector = of(
            Data::Iovec,
            r#"7, [{iov_base="ab", iov_len=2}, {iov_base="cd"..., iov_len=4}, {iov_base="ef", iov_len=2}], 3)"#,
            None,
        );
        vector.keep(3);
        assert_eq!(seen(&vector), [(0, "abc")]);
        vector.keep(0);
        assert_eq!(seen(&vector), []);
    }
}
