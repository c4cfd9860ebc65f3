//! The bytes that a call moved, as far as a line shows them.

use super::{
    arguments::{Arguments, counted_field, elements, field, number},
    calls::Data,
    edited::{beginning, fitted, head_length, is_marked},
    unquote::{Quoted, quoted},
};
use crate::http::may_begin_message;

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
    /// A string was changed by hand: its bytes are not where they are shown.
    pub(super) edited: bool,
    /// strace left bytes out (`-s`).
    pub(super) cut: bool,
    /// It shows an address in place of the bytes (`-e raw`).
    pub(super) address: bool,
    /// Or something that strace does not write.
    pub(super) strange: bool,
    /// Bytes that the longest string shows.
    pub(super) longest: usize,
    /// Bytes that a string shows which strace cut, of several the last.
    pub(super) limit: Option<usize>,
    /// Heads whose length is known by the numbers alone: where they begin and end.
    fitted: Vec<(u64, u64)>,
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

    /// Adds the string at an offset of the call, which stands for so many bytes; `None`
    /// where no number tells how many.
    fn string(&mut self, offset: u64, string: Quoted, length: Option<u64>) {
        let Quoted {
            mut bytes,
            cut,
            foreign,
        } = string;
        let shown = bytes.len() as u64;
        self.longest = self.longest.max(bytes.len());
        if cut {
            self.limit = Some(bytes.len());
        }
        let fits = match length {
            Some(length) if cut => shown < length,
            Some(length) => shown == length,
            None => cut,
        };
        if fits && !foreign && !(cut && has_marked_head(&bytes)) {
            self.cut |= cut;
            return self.add(offset, bytes);
        }
        // strace shows all bytes, or says that it does not. Where the counts
        // disagree, somebody else changed the string.
        let dots = [&b"..."[..], b"\xe2\x80\xa6"]
            .into_iter()
            .find(|end| !fits && !cut && bytes.ends_with(end));
        bytes.truncate(bytes.len() - dots.map_or(0, <[u8]>::len));
        self.cut |= cut || length.is_none_or(|length| shown < length);
        let foreign = foreign && !(dots.is_some() && bytes.is_ascii());
        let shortened = !cut && (dots.is_some() || length.is_none());
        if shortened && !foreign && !has_marked_head(&bytes) {
            // The first bytes, as they were.
            self.by_hand = true;
            return self.add(offset, bytes);
        }
        self.edited = true;
        self.edit(
            offset,
            &bytes,
            length.filter(|_| !cut && !shortened),
            length,
        );
    }

    /// Adds what is known of a string that was changed: the head that ended with it,
    /// if `ended` says how many bytes it stands for, or the beginning of one.
    fn edit(&mut self, offset: u64, bytes: &[u8], ended: Option<u64>, length: Option<u64>) {
        if let Some(length) = ended
            && let Some(head) = fitted(bytes, length)
        {
            self.fitted.push((offset, offset + length));
            return self.add(offset, head);
        }
        if may_begin_message(bytes) {
            let start = beginning(bytes, length.unwrap_or(u64::MAX));
            self.add(offset, start.to_vec());
        }
    }

    /// The strings that strace cut are not as long as all others that it cut: they were
    /// changed. What is left is the beginning of a head.
    pub(super) fn distrust(&mut self) {
        self.edited = true;
        let offered = self.offered.unwrap_or(u64::MAX);
        self.seen.truncate(1);
        self.seen.retain_mut(|(offset, bytes)| {
            let length = beginning(bytes, offered.saturating_sub(*offset)).len();
            bytes.truncate(length);
            *offset == 0 && may_begin_message(bytes)
        });
        self.fitted.clear();
    }

    /// Whether it shows a whole head.
    pub(super) fn has_head(&self) -> bool {
        self.seen
            .first()
            .is_some_and(|(start, bytes)| *start == 0 && head_length(bytes).is_some())
    }

    /// Whether a head ended with its string, by the numbers alone.
    pub(super) fn is_fitted(&self) -> bool {
        !self.fitted.is_empty()
    }

    /// Only what is among the first `moved` bytes.
    pub(super) fn keep(&mut self, moved: u64) {
        self.seen.retain_mut(|(offset, bytes)| {
            let left = moved.saturating_sub(*offset);
            bytes.truncate(usize::try_from(left).unwrap_or(usize::MAX));
            !bytes.is_empty()
        });
        let parted = |(start, end): &(u64, u64)| (start + 1..*end).contains(&moved);
        if self.fitted.iter().any(parted)
            && let Some((_, bytes)) = self.seen.last_mut()
        {
            // Which of its bytes these are is not known: it is a beginning of which the
            // last was not seen.
            bytes.pop();
            self.seen.retain(|(_, bytes)| !bytes.is_empty());
        }
        self.fitted.retain(|(_, end)| *end <= moved);
    }
}

/// Whether bytes begin with a whole head in which something was masked.
fn has_marked_head(bytes: &[u8]) -> bool {
    head_length(bytes)
        .and_then(|end| bytes.get(..end))
        .is_some_and(is_marked)
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
    let mut payload = Payload {
        offered,
        ..Payload::default()
    };
    let argument = arguments.at(1);
    match quoted(argument) {
        Some(string) => payload.string(0, string, moved.or(offered)),
        None => {
            // An escape that is none of strace's.
            payload.edited = argument.starts_with(b"\"");
            payload.address = !payload.edited;
            payload.strange = is_strange(argument);
        }
    }
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
            Some(string) => payload.string(offset, string, Some(filled)),
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
pub(super) fn messages(
    arguments: &Arguments<'_>,
    count: u64,
    sends: bool,
) -> Option<Vec<(Payload, u64)>> {
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
        let moved = number(moved)?;
        // A buffer that was received is shown as far as it was filled.
        let filled = (!sends).then_some(moved);
        messages.push((message(header, filled), moved));
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
        let one = messages(&all, 1, true).expect("one");
        assert_eq!((seen(&one[0].0), one[0].1), (vec![(0, "ab")], 2));
        assert!(messages(&all, 2, true).is_none());
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
