//! The header of the PROXY protocol, which a proxy sends ahead of the first message
//! (HAProxy's doc/proxy-protocol.txt, sections 2.1 and 2.2).

use crate::{
    HeadParser,
    class::{before, low_byte},
};

/// What the bytes of a connection begin with, where such a header may stand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProxyHeader {
    /// A header of so many bytes.
    Whole(usize),
    /// The beginning of one.
    Partial,
    /// Something else.
    None,
}

/// What a byte brought.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Proxied {
    /// It may be a header's.
    Maybe,
    /// The header is whole but for so many bytes, which may pass unread.
    Whole(u16),
    /// There is no header.
    None,
}

/// Longest header of version 1, its line end included.
const LINE_LIMIT: u8 = 107;

/// How a header of version 1 begins.
const LINE_START: u64 = u64::from_le_bytes(*b"PROXY \0\0");
const LINE_START_LENGTH: u8 = 6;

/// How a header of version 2 begins, eight bytes in each number.
const SIGNATURE: [u64; 2] = [
    u64::from_le_bytes(*b"\r\n\r\n\0\r\nQ"),
    u64::from_le_bytes(*b"UIT\n\0\0\0\0"),
];
const SIGNATURE_LENGTH: u8 = 12;

/// Bytes at the start of the signature that are empty lines too, which may stand before any
/// message.
const EMPTY_LINES: u8 = 4;

/// Where the length of a header of version 2 stands, the high byte first.
const HIGH_BYTE: u8 = 14;
const LOW_BYTE: u8 = 15;

#[repr(transparent)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct State(u8);

impl State {
    const START: Self = Self(0);
    /// In a header of version 1.
    const LINE: Self = Self(1);
    /// The same, behind a CR.
    const LINE_LF: Self = Self(2);
    /// In a header of version 2.
    const BINARY: Self = Self(3);
}

/// Reads the first bytes of a connection, split anywhere. A `#[repr(C)]` value of 4 bytes
/// that starts as zeros.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct ProxyParser {
    state: State,
    /// Bytes read so far.
    place: u8,
    /// The high byte of a header's length.
    high: u8,
    padding: u8,
}

impl ProxyParser {
    /// Whether a header may go on with a `word` of which `left` bytes are there, as far as
    /// the first bytes of a connection tell at once.
    #[inline(always)]
    pub(crate) const fn may_go_on(&self, word: u64, left: u32) -> bool {
        let length = LINE_START_LENGTH as u32;
        self.place > 0 || left < length || before(word, length) == LINE_START || {
            let [signature, _] = SIGNATURE;
            low_byte(word) == low_byte(signature)
        }
    }

    /// Reads one byte.
    #[inline(always)]
    pub(crate) fn byte(&mut self, byte: u8) -> Proxied {
        let place = self.place;
        self.place = place.saturating_add(1);
        let state = match (self.state, byte) {
            (State::START, b'P') => State::LINE,
            (State::START, b'\r') => State::BINARY,
            (State::LINE, _) if place < LINE_START_LENGTH => {
                match byte == eighth(LINE_START, place) {
                    true => State::LINE,
                    false => return Proxied::None,
                }
            }
            (State::LINE_LF, b'\n') => return Proxied::Whole(0),
            (State::LINE | State::LINE_LF, _) if self.place >= LINE_LIMIT => return Proxied::None,
            (State::LINE | State::LINE_LF, b'\r') => State::LINE_LF,
            (State::LINE | State::LINE_LF, _) => State::LINE,
            (State::BINARY, _) if place < SIGNATURE_LENGTH => {
                let [first, second] = SIGNATURE;
                let part = if place < 8 { first } else { second };
                match byte == eighth(part, place & 7) {
                    true => State::BINARY,
                    false => return Proxied::None,
                }
            }
            (State::BINARY, _) => {
                match place {
                    HIGH_BYTE => self.high = byte,
                    LOW_BYTE => return Proxied::Whole(u16::from_be_bytes([self.high, byte])),
                    _ => {}
                }
                State::BINARY
            }
            _ => return Proxied::None,
        };
        self.state = state;
        Proxied::Maybe
    }

    /// Returns the parser of a head that begins with the bytes that were read, if one may:
    /// they are letters of a method, or empty lines.
    #[inline(always)]
    pub(crate) fn as_head(self) -> Option<HeadParser> {
        match self.state {
            State::START => Some(HeadParser::default()),
            State::LINE if self.place < LINE_START_LENGTH => Some(HeadParser::in_word(self.place)),
            State::BINARY if self.place <= EMPTY_LINES => {
                Some(HeadParser::behind_empty_lines(self.place))
            }
            _ => None,
        }
    }

    /// Whether more bytes were read than empty lines have.
    #[inline(always)]
    pub(crate) const fn has_begun(self) -> bool {
        match self.state {
            State::START => false,
            State::BINARY => self.place > EMPTY_LINES,
            _ => true,
        }
    }
}

/// A byte of eight.
#[inline(always)]
const fn eighth(word: u64, place: u8) -> u8 {
    low_byte(word >> ((place & 7) << 3))
}

/// Looks for a header, of either version, at the start of a connection.
#[must_use]
pub fn proxy_header(bytes: &[u8]) -> ProxyHeader {
    let mut parser = ProxyParser::default();
    let mut read: usize = 0;
    for byte in bytes {
        read = read.saturating_add(1);
        match parser.byte(*byte) {
            Proxied::Maybe => {}
            Proxied::Whole(left) => return ProxyHeader::Whole(read.saturating_add(left.into())),
            Proxied::None => return ProxyHeader::None,
        }
    }
    match parser.has_begun() {
        true => ProxyHeader::Partial,
        false => ProxyHeader::None,
    }
}
