//! Message heads: start lines, the fields that frame, where the head ends.
//!
//! Reads what recipients are told to read (RFC 9112 section 2.2: bare LF, empty lines
//! before a message) and what is common in responses: several spaces in the status line,
//! folded lines (section 5.2), white space before the colon (section 5.1), lines that are
//! no field. These are the decisions of httparse 1.10 with the options that hyper's client
//! sets; of a head's length there is no limit here.

use crate::{
    Method, Window,
    class::{
        before, behind, controls, decimal, invisible, is_target, is_text, is_token, line_ending,
        low_byte, lower, lowest, not_digits, not_in_names, run,
    },
};

/// A message head, as far as framing needs it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Head {
    /// Bytes from the first one that was read, empty lines included, to the end of the
    /// empty line behind the fields.
    pub length: u32,
    /// The first line.
    pub start: Start,
    /// What the `Content-Length` fields say.
    pub lengths: Lengths,
    /// What the last `Transfer-Encoding` field says.
    pub coding: Coding,
    /// `Expect: 100-continue`: the body comes when it is asked for, or is missed long
    /// enough (RFC 9110 section 10.1.1).
    pub waits: bool,
}

/// The first line of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Start {
    /// RFC 9112 section 3.
    Request(Method),
    /// RFC 9112 section 4: the status code, 000 to 999.
    Response(u16),
}

/// The `Content-Length` fields of a message: RFC 9110 section 8.6.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lengths {
    /// There is none.
    Absent,
    /// One value, once or repeated.
    One(u64),
    /// Values that differ, or are no numbers below 2^64.
    Invalid,
}

/// The last transfer coding of a message: RFC 9112 section 6.1.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(u8)]
pub enum Coding {
    /// There is no `Transfer-Encoding`.
    #[default]
    None = 0,
    /// It is `chunked`.
    Chunked = 1,
    /// It is another one.
    Other = 2,
}

/// What the bytes so far are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Parsed {
    /// The beginning of a head.
    Partial,
    /// A whole head.
    Complete(Head),
    /// No head.
    Invalid,
}

/// What a byte of a head is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HeadPart {
    /// It stands between the others: a line's end, a colon, a blank.
    Delimiter,
    /// It belongs to a method, or to the `HTTP/` of a status line.
    Method,
    /// It belongs to a target.
    Target,
    /// It belongs to a version.
    Version,
    /// It belongs to a status code.
    Status,
    /// It belongs to a reason phrase.
    Reason,
    /// It belongs to a field name.
    Name,
    /// It belongs to a field value, white space behind it included.
    Value,
    /// It belongs to a line of a response that is not a field.
    Ignored,
    /// It cannot stand there: this is no head.
    Refused,
}

/// Where in a head the next byte stands.
#[repr(transparent)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct State(u8);

impl State {
    /// Before the first line.
    const START: Self = Self(0);
    /// In a method, or in the word with which a status line begins.
    const WORD: Self = Self(1);
    const TARGET: Self = Self(2);
    /// In the version of a request, or behind it.
    const REQUEST_VERSION: Self = Self(3);
    const REQUEST_END: Self = Self(4);
    const REQUEST_LF: Self = Self(5);
    /// In the version of a response, behind `HTTP/`.
    const VERSION: Self = Self(6);
    const VERSION_END: Self = Self(7);
    const STATUS: Self = Self(8);
    const STATUS_END: Self = Self(9);
    const STATUS_LF: Self = Self(10);
    const REASON: Self = Self(11);
    const REASON_LF: Self = Self(12);
    /// At the first byte of a field line, or of the empty line.
    const LINE: Self = Self(13);
    const LAST_LF: Self = Self(14);
    const NAME: Self = Self(15);
    /// In white space before the colon.
    const NAME_END: Self = Self(16);
    /// In white space behind the colon.
    const VALUE_START: Self = Self(17);
    const VALUE_START_LF: Self = Self(18);
    /// Behind the line's end: white space goes on with the value.
    const VALUE_START_FOLD: Self = Self(19);
    const VALUE: Self = Self(20);
    const VALUE_LF: Self = Self(21);
    const VALUE_FOLD: Self = Self(22);
    /// In a line of a response that is no field.
    const IGNORED: Self = Self(23);
    const IGNORED_LF: Self = Self(24);
}

/// A field that frames.
#[repr(transparent)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Field(u8);

impl Field {
    const OTHER: Self = Self(0);
    const CONTENT_LENGTH: Self = Self(1);
    const TRANSFER_ENCODING: Self = Self(2);
    const EXPECT: Self = Self(3);
}

/// A word of at most 24 bytes: eight in each number, the first one lowest.
struct Word([u64; 3], u8);

const fn word(text: &[u8; 24], length: u8) -> Word {
    let (first, rest) = text.split_at(8);
    let (second, third) = rest.split_at(8);
    Word([eight(first), eight(second), eight(third)], length)
}

const fn eight(text: &[u8]) -> u64 {
    match text.first_chunk() {
        Some(eight) => u64::from_le_bytes(*eight),
        None => 0,
    }
}

const CONTENT_LENGTH: Word = word(b"content-length\0\0\0\0\0\0\0\0\0\0", 14);
const TRANSFER_ENCODING: Word = word(b"transfer-encoding\0\0\0\0\0\0\0", 17);
const EXPECT: Word = word(b"expect\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0", 6);
const CHUNKED: Word = word(b"chunked\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0", 7);
const CONTINUE: Word = word(b"100-continue\0\0\0\0\0\0\0\0\0\0\0\0", 12);
const HEAD: Word = word(b"HEAD\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0", 4);
const CONNECT: Word = word(b"CONNECT\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0", 7);
const HTTP: Word = word(b"HTTP/1.\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0", 7);

/// How many bytes of [`HTTP`] tell a response from a request.
const HTTP_SLASH: u8 = 5;

impl Word {
    /// Its first eight bytes.
    #[inline(always)]
    const fn first(&self) -> u64 {
        let Self([first, ..], _) = self;
        *first
    }

    /// Its length in bytes.
    #[inline(always)]
    const fn length(&self) -> u32 {
        self.1 as u32
    }

    /// Whether the first `length` bytes of these are the word.
    #[inline(always)]
    fn is(&self, bytes: [u64; 3], length: u32) -> bool {
        let Self([first, second, third], _) = self;
        let [one, two, three] = bytes;
        length == self.length()
            && before(one, length) == *first
            && before(two, length.saturating_sub(8)) == *second
            && before(three, length.saturating_sub(16)) == *third
    }

    /// The byte at a place; 0 behind the end.
    #[inline(always)]
    const fn at(&self, place: u8) -> u8 {
        let Self([first, second, third], _) = self;
        let part = match place >> 3 {
            0 => *first,
            1 => *second,
            2 => *third,
            _ => 0,
        };
        low_byte(part >> ((place & 7) << 3))
    }
}

/// Bits of [`HeadParser::candidates`]: the words that the bytes may still become.
const IS_FIRST: u8 = 1;
const IS_SECOND: u8 = 2;
const IS_THIRD: u8 = 4;
const IS_ANY: u8 = IS_FIRST | IS_SECOND | IS_THIRD;

/// Progress through a value: what it may still become it is not.
const ANOTHER: u8 = u8::MAX;

/// Tags of the `Content-Length` fields.
const ABSENT: u8 = 0;
const ONE: u8 = 1;
const INVALID: u8 = 2;

/// Progress through an item of a `Content-Length`.
const NO_DIGIT: u8 = 0;
const DIGITS: u8 = 1;
const BEHIND_DIGITS: u8 = 2;

/// Flags of a head.
const RESPONSE: u8 = 1;
const WAITS: u8 = 2;
const CHUNKED_LAST: u8 = 4;
const ANOTHER_LAST: u8 = 8;

/// Reads a head, split anywhere. A `#[repr(C)]` value of 40 bytes that starts as zeros.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct HeadParser {
    /// The length that the fields so far agree on.
    length: u64,
    /// The same with the items of the field that is being read.
    read_length: u64,
    /// The item that is being read.
    item: u64,
    /// Bytes read so far.
    bytes: u32,
    status: u16,
    state: State,
    /// Bytes of the word that is being read, up to 255.
    place: u8,
    candidates: u8,
    field: Field,
    /// How far a value has become what it may be.
    progress: u8,
    tag: u8,
    read_tag: u8,
    flags: u8,
    /// A [`Method`].
    method: u8,
    /// Where in a UTF-8 character of the target.
    utf8: u8,
}

impl HeadParser {
    /// Reads the next bytes. Returns what they and those before are; a whole head may end
    /// before they do ([`Head::length`]).
    #[must_use]
    pub fn feed(&mut self, bytes: &[u8]) -> Parsed {
        let window = crate::Slice(bytes);
        let end = window.len();
        let mut at = 0;
        while at < end {
            let (next, parsed) = self.turn(&window, at, end);
            if parsed != Parsed::Partial {
                return parsed;
            }
            at = next;
        }
        Parsed::Partial
    }

    /// The same, byte by byte; calls `part` with the place of each byte that was read, and
    /// with what it is.
    #[must_use]
    pub fn feed_parts(&mut self, bytes: &[u8], mut part: impl FnMut(usize, HeadPart)) -> Parsed {
        for (place, byte) in bytes.iter().enumerate() {
            let before = self.state;
            let parsed = self.byte(*byte);
            let is = match (parsed, byte) {
                (Parsed::Invalid, _) => HeadPart::Refused,
                (Parsed::Complete(_), _) | (_, b'\r' | b'\n') => HeadPart::Delimiter,
                (Parsed::Partial, b' ') if before == State::STATUS => HeadPart::Delimiter,
                (Parsed::Partial, _) => part_between(before, self.state),
            };
            part(place, is);
            if parsed != Parsed::Partial {
                return parsed;
            }
        }
        Parsed::Partial
    }

    /// Behind the first letters of a method, that are none of a word which is told apart.
    #[inline(always)]
    pub(crate) fn in_word(letters: u8) -> Self {
        Self {
            bytes: letters.into(),
            state: State::WORD,
            place: letters,
            ..Self::default()
        }
    }

    /// Behind this many bytes of empty lines.
    #[inline(always)]
    pub(crate) fn behind_empty_lines(bytes: u8) -> Self {
        Self {
            bytes: bytes.into(),
            ..Self::default()
        }
    }

    /// Whether a byte of a start line was read.
    #[must_use]
    pub fn has_begun(&self) -> bool {
        self.state != State::START
    }

    /// Bytes that were read so far.
    #[must_use]
    pub const fn bytes(&self) -> u32 {
        self.bytes
    }

    /// Reads on from offset `at` of a piece that ends at `end`, one byte at least. Returns
    /// where to go on, and what was read so far. Bounded: at most a line, with 64 bytes of
    /// its name or target and 64 of its value or reason.
    #[inline(always)]
    pub fn turn<W: Window>(&mut self, window: &W, at: u32, end: u32) -> (u32, Parsed) {
        if at >= end {
            return (at, Parsed::Partial);
        }
        let first = window.word(at);
        let mut byte = low_byte(first);
        // Bytes that were read by words. Where there are none, one byte is read.
        let mut passed = 0;
        // Bytes that passed before that one.
        let mut skipped = 0;
        match self.state {
            State::START => passed = self.begin_start_line(window, first, at, end),
            State::LINE | State::VALUE_FOLD | State::VALUE_START_FOLD => {
                if line_ending(first) == 2 && end.wrapping_sub(at) >= 2 {
                    self.commit();
                    self.state = State::LAST_LF;
                    (byte, skipped) = (b'\n', 1);
                } else {
                    passed = self.begin_field_line(window, first, at, end);
                }
            }
            _ => {}
        };
        passed = window.keep(passed);
        skipped = window.keep(skipped);
        if self.state == State::TARGET {
            passed = window.keep(self.pass_target(window, at, passed, end));
        }
        let is_other = self.state == State::VALUE && self.field == Field::OTHER;
        if is_other || self.state == State::REASON {
            passed = window.keep(self.pass_text(window, at, passed, end));
        }
        let at = at.wrapping_add(passed).wrapping_add(skipped);
        self.bytes = self.bytes.saturating_add(passed).saturating_add(skipped);
        if passed > 0 {
            return (at, Parsed::Partial);
        }
        let parsed = self.byte(byte);
        (at.wrapping_add(1), parsed)
    }

    /// Reads a status line up to its reason phrase, or a method of at most seven letters
    /// and the blank behind it. Returns how many bytes; 0 where it has to be read byte by
    /// byte.
    #[inline(always)]
    fn begin_start_line<W: Window>(&mut self, window: &W, first: u64, at: u32, end: u32) -> u32 {
        let left = end.wrapping_sub(at);
        if is_version(first) {
            let second = window.word(at.wrapping_add(8));
            let status = behind(second, 1);
            if left < 13 || low_byte(second) != b' ' || lowest(not_digits(status)) < 3 {
                return 0;
            }
            self.flags |= RESPONSE;
            self.status = u16::try_from(decimal(status, 3)).unwrap_or(0);
            if low_byte(behind(status, 3)) == b' ' {
                self.state = State::REASON;
                return 13;
            }
            (self.place, self.state) = (3, State::STATUS_END);
            return 12;
        }
        let length = lowest(not_in_names(first));
        if length == 0 || length >= left.min(8) || low_byte(behind(first, length)) != b' ' {
            return 0;
        }
        let method = if before(first, length) == HEAD.first() {
            Method::Head
        } else if before(first, length) == CONNECT.first() {
            Method::Connect
        } else {
            Method::Other
        };
        self.method = method as u8;
        (self.place, self.utf8) = (0, utf8::WHOLE);
        self.state = State::TARGET;
        length.wrapping_add(1)
    }

    /// Reads the visible ASCII bytes of a target that are `passed` bytes behind `at`, and
    /// the version and the line's end behind them where they are there. Returns how many
    /// bytes were read, those that had passed included.
    #[inline(always)]
    fn pass_target<W: Window>(&mut self, window: &W, at: u32, passed: u32, end: u32) -> u32 {
        if self.utf8 != utf8::WHOLE {
            return passed;
        }
        let from = at.wrapping_add(passed);
        let length = run::<8, _>(window, from, end, invisible);
        if length > 0 {
            self.place = 1;
        }
        let blank = from.wrapping_add(length);
        let version = blank.wrapping_add(1);
        let ending = line_ending(window.word(version.wrapping_add(8)));
        let whole = length.wrapping_add(9).wrapping_add(ending);
        let is_whole = self.place > 0
            && low_byte(window.word(blank)) == b' '
            && is_version(window.word(version))
            && ending > 0
            && from.wrapping_add(whole) <= end;
        if !is_whole {
            return passed.wrapping_add(length);
        }
        self.state = State::LINE;
        passed.wrapping_add(whole)
    }

    /// Reads the bytes of a reason phrase, or of a value that frames nothing, that are
    /// `passed` bytes behind `at`, and the line's end behind them where it is there.
    /// Returns how many bytes were read, those that had passed included.
    #[inline(always)]
    fn pass_text<W: Window>(&mut self, window: &W, at: u32, passed: u32, end: u32) -> u32 {
        let from = at.wrapping_add(passed);
        let length = run::<8, _>(window, from, end, controls);
        let behind = from.wrapping_add(length);
        let ending = line_ending(window.word(behind));
        let passed = passed.wrapping_add(length);
        if ending == 0 || behind.wrapping_add(ending) > end {
            return passed;
        }
        self.state = match self.state {
            State::REASON => State::LINE,
            _ => State::VALUE_FOLD,
        };
        passed.wrapping_add(ending)
    }

    /// Reads a field's name and colon; of a field that frames the whole line, where that is
    /// short and simple. Returns how many bytes; 0 where it has to be read byte by byte.
    #[inline(always)]
    fn begin_field_line<W: Window>(&mut self, window: &W, first: u64, at: u32, end: u32) -> u32 {
        // A byte that is not a letter or a digit may be white space: the value goes on.
        let name = run::<5, _>(window, at, end, not_in_names);
        let colon = at.wrapping_add(name);
        if name == 0 || colon >= end || low_byte(window.word(colon)) != b':' {
            return 0;
        }
        let second = window.word(at.wrapping_add(8));
        let third = window.word(at.wrapping_add(16));
        let words = [lower(first), lower(second), lower(third)];
        let field = if CONTENT_LENGTH.is(words, name) {
            Field::CONTENT_LENGTH
        } else if TRANSFER_ENCODING.is(words, name) {
            Field::TRANSFER_ENCODING
        } else if EXPECT.is(words, name) {
            return 0;
        } else {
            self.commit();
            self.state = State::VALUE;
            return name.wrapping_add(1);
        };
        let mut value = colon.wrapping_add(1);
        if low_byte(window.word(value)) == b' ' {
            value = value.wrapping_add(1);
        }
        let word = window.word(value);
        let length = match field {
            Field::CONTENT_LENGTH => lowest(not_digits(word)),
            _ if before(lower(word), CHUNKED.length()) == CHUNKED.first() => CHUNKED.length(),
            _ => 0,
        };
        let behind = value.wrapping_add(length);
        let ending = line_ending(window.word(behind));
        let line_end = behind.wrapping_add(ending);
        if length == 0 || ending == 0 || line_end > end {
            return 0;
        }
        self.commit();
        self.begin_value(field);
        match field {
            Field::CONTENT_LENGTH => (self.item, self.progress) = (decimal(word, length), DIGITS),
            _ => self.progress = CHUNKED.1,
        }
        self.state = State::VALUE_FOLD;
        line_end.wrapping_sub(at)
    }

    /// Reads one byte.
    #[inline(always)]
    fn byte(&mut self, byte: u8) -> Parsed {
        self.bytes = self.bytes.saturating_add(1);
        let next = match self.state {
            State::START => self.first(byte),
            State::WORD => self.word(byte),
            State::TARGET => self.target(byte),
            State::REQUEST_VERSION => self.version(byte, State::REQUEST_END),
            State::REQUEST_END => line_end(byte, State::REQUEST_LF),
            State::VERSION => self.version(byte, State::VERSION_END),
            State::VERSION_END => (byte == b' ').then_some(State::STATUS),
            State::STATUS => self.status(byte),
            State::STATUS_END => match byte {
                b' ' => Some(State::REASON),
                _ => line_end(byte, State::STATUS_LF),
            },
            State::REASON => match is_text(byte) {
                true => Some(State::REASON),
                false => line_end(byte, State::REASON_LF),
            },
            State::REQUEST_LF | State::STATUS_LF | State::REASON_LF | State::IGNORED_LF => {
                (byte == b'\n').then_some(State::LINE)
            }
            State::LINE | State::VALUE_FOLD | State::VALUE_START_FOLD => return self.line(byte),
            State::LAST_LF if byte == b'\n' => return self.complete(),
            State::LAST_LF => None,
            State::NAME => self.name(byte),
            State::NAME_END => match byte {
                b' ' | b'\t' => Some(State::NAME_END),
                b':' => Some(self.end_name()),
                _ => self.ignore(byte),
            },
            State::VALUE_START => match byte {
                b' ' | b'\t' => Some(State::VALUE_START),
                b'\r' => Some(State::VALUE_START_LF),
                b'\n' => Some(State::VALUE_START_FOLD),
                _ if is_text(byte) => Some(self.value(byte)),
                _ => self.ignore(byte),
            },
            State::VALUE_START_LF => (byte == b'\n').then_some(State::VALUE_START_FOLD),
            State::VALUE => match byte {
                b'\r' => Some(State::VALUE_LF),
                b'\n' => Some(State::VALUE_FOLD),
                _ if is_text(byte) => Some(self.value(byte)),
                _ => self.ignore(byte),
            },
            State::VALUE_LF => (byte == b'\n').then_some(State::VALUE_FOLD),
            State::IGNORED => self.ignore(byte),
            _ => None,
        };
        match next {
            Some(state) => {
                self.state = state;
                Parsed::Partial
            }
            None => Parsed::Invalid,
        }
    }

    /// Empty lines before a message are passed over (RFC 9112 section 2.2).
    #[inline(always)]
    fn first(&mut self, byte: u8) -> Option<State> {
        if byte == b'\r' || byte == b'\n' {
            return Some(State::START);
        }
        self.begin_word();
        self.word(byte)
    }

    #[inline(always)]
    fn begin_word(&mut self) {
        self.candidates = IS_ANY;
        self.place = 0;
    }

    /// Which of three words the bytes may still be, `byte` being the next one.
    #[inline(always)]
    fn narrow(&mut self, byte: u8, words: [&Word; 3]) {
        let [first, second, third] = words;
        let place = self.place;
        let mut still = self.candidates;
        if first.at(place) != byte {
            still &= !IS_FIRST;
        }
        if second.at(place) != byte {
            still &= !IS_SECOND;
        }
        if third.at(place) != byte {
            still &= !IS_THIRD;
        }
        self.candidates = still;
        self.place = place.saturating_add(1);
    }

    /// Whether the bytes are this word.
    #[inline(always)]
    fn is(&self, candidate: u8, word: &Word) -> bool {
        self.candidates & candidate != 0 && self.place == word.1
    }

    /// The method (RFC 9112 section 3.1), or `HTTP/`.
    #[inline(always)]
    fn word(&mut self, byte: u8) -> Option<State> {
        if byte == b' ' && self.place > 0 {
            let method = if self.is(IS_FIRST, &HEAD) {
                Method::Head
            } else if self.is(IS_SECOND, &CONNECT) {
                Method::Connect
            } else {
                Method::Other
            };
            self.method = method as u8;
            (self.place, self.utf8) = (0, utf8::WHOLE);
            return Some(State::TARGET);
        }
        self.narrow(byte, [&HEAD, &CONNECT, &HTTP]);
        if self.candidates & IS_THIRD != 0 && self.place == HTTP_SLASH {
            self.flags |= RESPONSE;
            return Some(State::VERSION);
        }
        is_token(byte).then_some(State::WORD)
    }

    /// The target (RFC 9112 section 3.2).
    #[inline(always)]
    fn target(&mut self, byte: u8) -> Option<State> {
        if byte == b' ' && self.place > 0 && self.utf8 == utf8::WHOLE {
            (self.candidates, self.place) = (IS_THIRD, 0);
            return Some(State::REQUEST_VERSION);
        }
        if !is_target(byte) {
            return None;
        }
        self.place = 1;
        self.utf8 = utf8::next(self.utf8, byte);
        Some(State::TARGET)
    }

    /// `HTTP/1.0` or `HTTP/1.1` (RFC 9112 section 2.3).
    #[inline(always)]
    fn version(&mut self, byte: u8, behind: State) -> Option<State> {
        if self.place == HTTP.1 {
            self.place = 0;
            return matches!(byte, b'0' | b'1').then_some(behind);
        }
        if HTTP.at(self.place) != byte {
            return None;
        }
        self.place = self.place.saturating_add(1);
        Some(self.state)
    }

    /// The status code (RFC 9112 section 4); spaces may stand before it.
    #[inline(always)]
    fn status(&mut self, byte: u8) -> Option<State> {
        if byte == b' ' && self.place == 0 {
            return Some(State::STATUS);
        }
        if !byte.is_ascii_digit() {
            return None;
        }
        let digit = u16::from(byte.wrapping_sub(b'0'));
        self.status = self.status.wrapping_mul(10).wrapping_add(digit);
        self.place = self.place.saturating_add(1);
        Some(match self.place {
            3.. => State::STATUS_END,
            _ => State::STATUS,
        })
    }

    /// The first byte of a line, behind a field or the start line.
    #[inline(always)]
    fn line(&mut self, byte: u8) -> Parsed {
        if self.flags & RESPONSE != 0 && (byte == b' ' || byte == b'\t') {
            match self.state {
                // A folded line (RFC 9112 section 5.2): white space, whatever it is.
                State::VALUE_FOLD => {
                    self.state = self.value(b' ');
                    return Parsed::Partial;
                }
                State::VALUE_START_FOLD => {
                    self.state = State::VALUE_START;
                    return Parsed::Partial;
                }
                _ => {}
            }
        }
        self.commit();
        let next = match byte {
            b'\r' => Some(State::LAST_LF),
            b'\n' => return self.complete(),
            _ if is_token(byte) => {
                self.begin_word();
                self.name(byte)
            }
            _ => self.ignore(byte),
        };
        match next {
            Some(state) => {
                self.state = state;
                Parsed::Partial
            }
            None => Parsed::Invalid,
        }
    }

    /// A field name (RFC 9112 section 5.1).
    #[inline(always)]
    fn name(&mut self, byte: u8) -> Option<State> {
        if is_token(byte) {
            // Of what may stand in a name, only letters become those of the words.
            self.narrow(byte | 0x20, [&CONTENT_LENGTH, &TRANSFER_ENCODING, &EXPECT]);
            return Some(State::NAME);
        }
        match byte {
            b':' => Some(self.end_name()),
            b' ' | b'\t' if self.flags & RESPONSE != 0 => Some(State::NAME_END),
            _ => self.ignore(byte),
        }
    }

    /// The colon behind a name.
    #[inline(always)]
    fn end_name(&mut self) -> State {
        self.begin_value(if self.is(IS_FIRST, &CONTENT_LENGTH) {
            Field::CONTENT_LENGTH
        } else if self.is(IS_SECOND, &TRANSFER_ENCODING) {
            Field::TRANSFER_ENCODING
        } else if self.is(IS_THIRD, &EXPECT) {
            Field::EXPECT
        } else {
            Field::OTHER
        });
        State::VALUE_START
    }

    #[inline(always)]
    const fn begin_value(&mut self, field: Field) {
        self.field = field;
        (self.read_length, self.read_tag) = (self.length, self.tag);
        (self.item, self.progress) = (0, 0);
    }

    /// A byte of a value.
    #[inline(always)]
    fn value(&mut self, byte: u8) -> State {
        match self.field {
            Field::CONTENT_LENGTH if byte == b',' => self.end_item(),
            Field::CONTENT_LENGTH => self.digit(byte),
            Field::TRANSFER_ENCODING if byte == b',' => self.progress = 0,
            Field::TRANSFER_ENCODING => self.become_word(byte, &CHUNKED),
            Field::EXPECT => self.become_word(byte, &CONTINUE),
            _ => {}
        }
        State::VALUE
    }

    /// A byte of a list's item that may be one word, in any case, between white space.
    #[inline(always)]
    fn become_word(&mut self, byte: u8, word: &Word) {
        let progress = self.progress;
        let white = byte == b' ' || byte == b'\t';
        // Behind the word there is one more place: for white space.
        let whole = word.1;
        let behind = whole.saturating_add(1);
        let is_letter = byte.is_ascii_alphabetic();
        let letter = if is_letter { byte | 0x20 } else { byte };
        self.progress = if white && (progress == 0 || progress == behind) {
            progress
        } else if white && progress == whole {
            behind
        } else if progress < whole && word.at(progress) == letter {
            progress.saturating_add(1)
        } else {
            ANOTHER
        };
    }

    /// A byte of an item of a `Content-Length`: `1*DIGIT` between white space.
    #[inline(always)]
    fn digit(&mut self, byte: u8) {
        let white = byte == b' ' || byte == b'\t';
        self.progress = match self.progress {
            NO_DIGIT if white => NO_DIGIT,
            DIGITS | BEHIND_DIGITS if white => BEHIND_DIGITS,
            NO_DIGIT | DIGITS if byte.is_ascii_digit() => {
                let digit = u64::from(byte.wrapping_sub(b'0'));
                // 2^64 is 18,446,744,073,709,551,616: ten times the item plus a digit.
                const TENTH: u64 = u64::MAX / 10;
                const LAST: u64 = u64::MAX % 10;
                if self.item > TENTH || (self.item == TENTH && digit > LAST) {
                    ANOTHER
                } else {
                    self.item = self.item.wrapping_mul(10).wrapping_add(digit);
                    DIGITS
                }
            }
            _ => ANOTHER,
        };
    }

    #[inline(always)]
    fn end_item(&mut self) {
        let number = matches!(self.progress, DIGITS | BEHIND_DIGITS);
        match self.read_tag {
            ABSENT if number => (self.read_tag, self.read_length) = (ONE, self.item),
            ONE if number && self.read_length == self.item => {}
            _ => self.read_tag = INVALID,
        }
        (self.item, self.progress) = (0, NO_DIGIT);
    }

    /// The field that was read counts, now that it is certain that it is one.
    #[inline(always)]
    fn commit(&mut self) {
        match self.field {
            Field::CONTENT_LENGTH => {
                self.end_item();
                (self.length, self.tag) = (self.read_length, self.read_tag);
            }
            Field::TRANSFER_ENCODING => {
                self.flags &= !(CHUNKED_LAST | ANOTHER_LAST);
                self.flags |= match self.is_whole(&CHUNKED) {
                    true => CHUNKED_LAST,
                    false => ANOTHER_LAST,
                };
            }
            Field::EXPECT if self.is_whole(&CONTINUE) => self.flags |= WAITS,
            _ => {}
        }
        self.field = Field::OTHER;
    }

    #[inline(always)]
    fn is_whole(&self, word: &Word) -> bool {
        self.progress == word.1 || self.progress == word.1.saturating_add(1)
    }

    /// A byte that no field has: in a response the line is passed over.
    #[inline(always)]
    fn ignore(&mut self, byte: u8) -> Option<State> {
        self.field = Field::OTHER;
        if self.flags & RESPONSE == 0 {
            return None;
        }
        match byte {
            b'\r' => Some(State::IGNORED_LF),
            b'\n' => Some(State::LINE),
            0 => None,
            _ => Some(State::IGNORED),
        }
    }

    #[inline(always)]
    fn complete(&self) -> Parsed {
        Parsed::Complete(Head {
            length: self.bytes,
            start: match self.flags & RESPONSE {
                0 => Start::Request(Method::of(self.method)),
                _ => Start::Response(self.status),
            },
            lengths: match self.tag {
                ABSENT => Lengths::Absent,
                ONE => Lengths::One(self.length),
                _ => Lengths::Invalid,
            },
            coding: if self.flags & CHUNKED_LAST != 0 {
                Coding::Chunked
            } else if self.flags & ANOTHER_LAST != 0 {
                Coding::Other
            } else {
                Coding::None
            },
            waits: self.flags & WAITS != 0,
        })
    }
}

/// What a byte is that led from one state to another, and that ends no line.
const fn part_between(before: State, after: State) -> HeadPart {
    match (before, after) {
        (_, State::IGNORED) => HeadPart::Ignored,
        (_, State::NAME) => HeadPart::Name,
        (_, State::VALUE) if !matches!(before, State::VALUE_FOLD) => HeadPart::Value,
        (State::START | State::WORD, State::WORD | State::VERSION) => HeadPart::Method,
        (State::TARGET, State::TARGET) => HeadPart::Target,
        (State::VERSION | State::REQUEST_VERSION, _) => HeadPart::Version,
        (State::STATUS, _) => HeadPart::Status,
        (State::REASON, State::REASON) => HeadPart::Reason,
        _ => HeadPart::Delimiter,
    }
}

/// The end of a line: CR, behind which LF has to come, or LF (RFC 9112 section 2.2).
#[inline(always)]
fn line_end(byte: u8, behind_cr: State) -> Option<State> {
    match byte {
        b'\r' => Some(behind_cr),
        b'\n' => Some(State::LINE),
        _ => None,
    }
}

/// Whether the eight bytes are a version that is read here (RFC 9112 section 2.3).
#[inline(always)]
const fn is_version(word: u64) -> bool {
    before(word, HTTP.length()) == HTTP.first()
        && matches!(low_byte(behind(word, HTTP.length())), b'0' | b'1')
}

/// UTF-8, byte by byte (RFC 3629 section 4).
mod utf8 {
    /// Between two characters.
    pub(super) const WHOLE: u8 = 0;
    /// So many bytes of any kind are to come.
    const ONE: u8 = 1;
    const TWO: u8 = 2;
    const THREE: u8 = 3;
    /// The next one is from A0 on (no shorter form), up to 9F (no surrogate), from 90 on,
    /// up to 8F (no more than U+10FFFF).
    const E0: u8 = 4;
    const ED: u8 = 5;
    const F0: u8 = 6;
    const F4: u8 = 7;
    const BAD: u8 = 8;

    #[inline(always)]
    pub(super) const fn next(state: u8, byte: u8) -> u8 {
        match (state, byte) {
            (WHOLE, 0..=0x7f) => WHOLE,
            (WHOLE, 0xc2..=0xdf) => ONE,
            (WHOLE, 0xe0) => E0,
            (WHOLE, 0xed) => ED,
            (WHOLE, 0xe1..=0xef) => TWO,
            (WHOLE, 0xf0) => F0,
            (WHOLE, 0xf1..=0xf3) => THREE,
            (WHOLE, 0xf4) => F4,
            (ONE, 0x80..=0xbf) => WHOLE,
            (TWO, 0x80..=0xbf) | (E0, 0xa0..=0xbf) | (ED, 0x80..=0x9f) => ONE,
            (THREE, 0x80..=0xbf) | (F0, 0x90..=0xbf) | (F4, 0x80..=0x8f) => TWO,
            _ => BAD,
        }
    }
}
