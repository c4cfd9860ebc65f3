//! Which of the bytes that a call moved are shown to the judge.
//!
//! | what the call moved | what is sampled |
//! | --- | --- |
//! | what may begin a message head, or go on with one | all of it up to the end of the head, at least [`SAMPLE_LEN`] bytes |
//! | the offset that the judge asked for (`detector_common::hint`) | the same from there on |
//! | bytes before that offset | nothing |
//! | anything else, sent after a head was seen | all up to [`SAMPLE_LEN`] bytes; of more, the first [`EDGE_START`] and the last [`EDGE_END`] |
//!
//! The last row is what the judge has to go by until it has read the head: a
//! few records, for it reads twenty times a second.

use core::ffi::c_void;

use aya_ebpf::{
    helpers::{bpf_probe_read_user, generated::bpf_for_each_map_elem},
    macros::map,
    maps::Array,
};
use detector_common::{Connection, EDGE_END, EDGE_START, Kind, SAMPLE_LEN, Sample, Stat, flag};

use crate::{
    maps::{CONNECTIONS, Way, boundary, count, scratch},
    memory::{Piece, SystemCall, forget},
    ring::{Moment, header, output},
};

/// A head longer than this is followed no further; the judge says so.
const HEAD_LIMIT: u64 = 128 << 10;

/// Samples that may follow the first of a call.
const WINDOWS_LEFT: u32 = 31;

/// Bytes that a call moved.
#[derive(Clone, Copy)]
pub(crate) struct Moved {
    pub(crate) cookie: u64,
    /// Where the first is in its direction of the stream.
    pub(crate) offset: u64,
    pub(crate) bytes: u32,
    pub(crate) way: Way,
}

impl Direction for Connection {
    #[inline(always)]
    fn flags(&mut self, way: Way) -> &mut u32 {
        match way {
            Way::Send => &mut self.send_flags,
            Way::Receive => &mut self.receive_flags,
        }
    }

    #[inline(always)]
    fn head(&mut self, way: Way) -> &mut u64 {
        match way {
            Way::Send => &mut self.send_head,
            Way::Receive => &mut self.receive_head,
        }
    }
}

/// The fields of a connection that each direction has.
trait Direction {
    fn flags(&mut self, way: Way) -> &mut u32;
    fn head(&mut self, way: Way) -> &mut u64;
}

/// Looks at the bytes that a call moved, whose first piece is `first`.
#[inline(always)]
pub(crate) fn look(
    connection: &mut Connection,
    call: &SystemCall,
    moved: Moved,
    first: Piece,
    moment: Moment,
) {
    let known = first.length.min(u64::from(moved.bytes)) as u32;
    let Some(start) = start_of_bytes(first, known) else {
        *connection.flags(moved.way) |= flag::UNREADABLE;
        return;
    };
    if moved.offset == 0 {
        match moved.way {
            Way::Send => connection.first_sent = start.to_le_bytes(),
            Way::Receive => connection.first_received = start.to_le_bytes(),
        }
    }
    let flags = *connection.flags(moved.way);
    let begins = may_begin_message(start, known, moved.way);
    let within = moved.offset.wrapping_sub(*connection.head(moved.way));
    if begins || (flags & flag::HEAD_OPEN != 0 && within < HEAD_LIMIT) {
        let line = if begins {
            *connection.head(moved.way) = moved.offset;
            0
        } else {
            (flags >> flag::LINE_SHIFT) & 3
        };
        head(connection, call, moved, 0, line, moment);
        return;
    }
    if moved.way == Way::Receive || flags & flag::HEAD_SEEN == 0 {
        return;
    }
    let next = boundary(moved.cookie);
    let end = moved.offset + u64::from(moved.bytes);
    if next >= end {
        return;
    }
    if next > moved.offset {
        // The judge's boundary is within: what is there may be a head.
        let skip = (next - moved.offset) as u32;
        *connection.head(moved.way) = next;
        head(connection, call, moved, skip, 0, moment);
    } else if moved.bytes <= SAMPLE_LEN as u32 {
        if let Some(length) = gather(connection, call, moved.way, 0, moved.bytes) {
            emit(connection, call, moved, 0, moved.bytes, length, 0, moment);
        }
    } else {
        edges(connection, call, moved, moment);
    }
}

/// Samples a call from the byte `skip` on, where a head begins or goes on,
/// until it ends. `line`: how the bytes before end ([`flag::LINE_SHIFT`]).
#[inline(always)]
fn head(
    connection: &mut Connection,
    call: &SystemCall,
    moved: Moved,
    skip: u32,
    line: u32,
    moment: Moment,
) {
    *connection.flags(moved.way) |= flag::HEAD_SEEN;
    let mut windows = Windows {
        call: *call,
        moved,
        moment,
        at: skip,
        line,
    };
    if windows.next(connection) {
        // SAFETY: a map of this program, a callback of the form that the
        // helper asks for, and a context that outlives the call.
        unsafe {
            bpf_for_each_map_elem(
                (&raw const WINDOWS).cast_mut().cast(),
                window as *mut c_void,
                (&raw mut windows).cast(),
                0,
            )
        };
    }
}

/// One entry per sample that may follow the first, for its length only: a loop,
/// as in `maps::WORDS`.
#[map]
static WINDOWS: Array<u32> = Array::with_max_entries(WINDOWS_LEFT, 0);

/// A walk over a call's bytes, sample by sample.
struct Windows {
    call: SystemCall,
    moved: Moved,
    moment: Moment,
    /// The next byte.
    at: u32,
    line: u32,
}

impl Windows {
    /// Takes the next sample; `true` if another is to follow.
    #[inline(always)]
    fn next(&mut self, connection: &mut Connection) -> bool {
        let (moved, at) = (self.moved, self.at);
        let left = moved.bytes.wrapping_sub(at);
        let length = left.min(SAMPLE_LEN as u32);
        let Some(length) = gather(connection, &self.call, moved.way, at, length) else {
            *connection.flags(moved.way) &= !flag::HEAD_OPEN;
            return false;
        };
        let mut scan = Scan {
            way: moved.way as u32,
            length,
            line: self.line,
            ended: 0,
        };
        scan.run();
        let more = scan.ended == 0 && left > length;
        let flags = connection.flags(moved.way);
        *flags &= !(flag::HEAD_OPEN | (3 << flag::LINE_SHIFT));
        if scan.ended == 0 {
            *flags |= flag::HEAD_OPEN | (scan.line << flag::LINE_SHIFT);
        }
        let tells = if more { length } else { left };
        // The last bytes of a call that goes on behind its head.
        let end = EDGE_END as u32;
        let behind = !more && left.wrapping_sub(length) >= end && left > length;
        let last = u64::from(moved.bytes.wrapping_sub(end));
        let tail = if behind && self.call.gather(moved.way, last, end, length) {
            end
        } else {
            0
        };
        emit(
            connection,
            &self.call,
            moved,
            at,
            tells,
            length,
            tail,
            self.moment,
        );
        self.at = at.wrapping_add(length);
        self.line = scan.line;
        more
    }
}

unsafe extern "C" fn window(
    _map: *mut c_void,
    key: *const u32,
    _value: *mut c_void,
    windows: *mut Windows,
) -> i64 {
    // SAFETY: the helper passes the key of the element and our context.
    let (index, windows) = unsafe { (*key, &mut *windows) };
    let Some(connection) = CONNECTIONS.get_ptr_mut(&windows.moved.cookie) else {
        return 1;
    };
    // SAFETY: a live map value, as in traffic.rs.
    let connection = unsafe { &mut *connection };
    if index + 1 == WINDOWS_LEFT || !windows.next(connection) {
        return 1;
    }
    0
}

/// Samples the first and the last bytes of a call.
#[inline(always)]
fn edges(connection: &mut Connection, call: &SystemCall, moved: Moved, moment: Moment) {
    let (start, end) = (EDGE_START as u32, EDGE_END as u32);
    if !call.gather(moved.way, 0, start, 0)
        || !call.gather(moved.way, u64::from(moved.bytes - end), end, start)
    {
        unreadable(connection, moved.way);
        return;
    }
    emit(connection, call, moved, 0, moved.bytes, start, end, moment);
}

#[inline(always)]
fn unreadable(connection: &mut Connection, way: Way) {
    count(Stat::Unreadable);
    *connection.flags(way) |= flag::UNREADABLE;
}

/// Copies `length` bytes from the byte `skip` on into the scratch.
#[inline(always)]
fn gather(
    connection: &mut Connection,
    call: &SystemCall,
    way: Way,
    skip: u32,
    length: u32,
) -> Option<u32> {
    if call.gather(way, u64::from(skip), length, 0) {
        return Some(length);
    }
    unreadable(connection, way);
    None
}

/// Sends the sample that was gathered: `length` bytes from the byte `skip` of
/// the call on, and behind them the call's last `tail` bytes. It tells of
/// `tells` bytes from there on.
#[inline(always)]
#[expect(clippy::too_many_arguments, reason = "the fields of the record")]
fn emit(
    connection: &mut Connection,
    call: &SystemCall,
    moved: Moved,
    skip: u32,
    tells: u32,
    length: u32,
    tail: u32,
    moment: Moment,
) {
    let Some(scratch) = scratch(moved.way) else {
        return;
    };
    let sending = moved.way == Way::Send;
    let sample = Sample {
        header: header(Kind::Sample, moved.cookie, connection, moment),
        offset: moved.offset + u64::from(skip),
        opposite: if sending {
            connection.received
        } else {
            connection.sent
        },
        moved: tells,
        len: length,
        sending: u32::from(sending),
        flags: *connection.flags(moved.way) | if skip > 0 { flag::WITHIN } else { 0 },
        fresh: connection.fresh,
        tail,
        fd: call.fd(),
        number: call.number,
    };
    // SAFETY: this CPU's scratch, of the program that runs.
    unsafe { (*scratch).sample = sample };
    let bytes = forget(length.wrapping_add(tail)) as usize;
    if bytes > SAMPLE_LEN + EDGE_END {
        return;
    }
    let total = size_of::<Sample>() + bytes;
    // SAFETY: the scratch is the fixed part and twice SAMPLE_LEN bytes.
    let record = unsafe { core::slice::from_raw_parts(scratch.cast_const().cast::<u8>(), total) };
    output(record, moment);
}

/// Looks for the empty line that ends a head in what was gathered (RFC 9112
/// section 2.1; a bare line feed counts, section 2.2), eight bytes at a time.
struct Scan {
    way: u32,
    length: u32,
    /// How the bytes before end, and then these ([`flag::LINE_SHIFT`]).
    line: u32,
    ended: u32,
}

/// Bytes that are looked at in one turn.
const BLOCK: u32 = 64;

/// One entry per block, for its length only: a loop, as in `maps::WORDS`.
#[map]
static BLOCKS: Array<u32> = Array::with_max_entries(SAMPLE_LEN as u32 / BLOCK, 0);

impl Scan {
    #[inline(always)]
    fn run(&mut self) {
        let way = if self.way == Way::Send as u32 {
            Way::Send
        } else {
            Way::Receive
        };
        let Some(scratch) = scratch(way) else {
            return;
        };
        let length = forget(self.length) as usize;
        if length == 0 || length > SAMPLE_LEN {
            return;
        }
        // SAFETY: at most SAMPLE_LEN (checked above) of twice that, less ten.
        let data = unsafe { (&raw mut (*scratch).data).cast::<u8>() };
        // An empty line that begins in the sample before.
        // SAFETY: as above.
        let (first, second) = unsafe { (*data, *data.add(1)) };
        let feeds = first == b'\n' || (first == b'\r' && length > 1 && second == b'\n');
        if (self.line == 1 && feeds) || (self.line == 2 && first == b'\n') {
            self.ended = 1;
            return;
        }
        // What lies behind is from other samples.
        // SAFETY: as above.
        unsafe { core::ptr::write_unaligned(data.add(length).cast::<u64>(), 0) };
        // SAFETY: as above; before the first byte lies another field.
        let last = unsafe { *data.add(length - 1) };
        let before = if length > 1 {
            // SAFETY: as above.
            unsafe { *data.add(length - 2) == b'\n' }
        } else {
            self.line == 1
        };
        self.line = match last {
            b'\n' => 1,
            b'\r' if before => 2,
            _ => 0,
        };
        // SAFETY: as in head.
        unsafe {
            bpf_for_each_map_elem(
                (&raw const BLOCKS).cast_mut().cast(),
                scan_block as *mut c_void,
                (&raw mut *self).cast(),
                0,
            )
        };
    }
}

/// A high bit for each byte of the word that is `byte`.
#[inline(always)]
fn equal(word: u64, byte: u8) -> u64 {
    const LOW: u64 = 0x7f7f_7f7f_7f7f_7f7f;
    let other = word ^ (0x0101_0101_0101_0101 * byte as u64);
    !(((other & LOW).wrapping_add(LOW)) | other | LOW)
}

unsafe extern "C" fn scan_block(
    _map: *mut c_void,
    key: *const u32,
    _value: *mut c_void,
    scan: *mut Scan,
) -> i64 {
    // SAFETY: the helper passes the key of the element and our context.
    let (block, scan) = unsafe { (*key, &mut *scan) };
    let start = (block & (SAMPLE_LEN as u32 / BLOCK - 1)) * BLOCK;
    let way = if scan.way == Way::Send as u32 {
        Way::Send
    } else {
        Way::Receive
    };
    let Some(scratch) = scratch(way) else {
        return 1;
    };
    // SAFETY: start and the 64 bytes from it on are below SAMPLE_LEN.
    let bytes = unsafe {
        (&raw const (*scratch).data)
            .cast::<u8>()
            .add(start as usize)
    };
    let length = scan.length;
    for at in (0..BLOCK).step_by(8) {
        if start + at >= length {
            return 1;
        }
        // SAFETY: as above; two bytes more are within the array.
        let word = |behind: usize| unsafe {
            core::ptr::read_unaligned(bytes.add(at as usize + behind).cast::<u64>())
        };
        let feeds = equal(word(0), b'\n');
        if feeds == 0 {
            continue;
        }
        let (next, after) = (word(1), word(2));
        if feeds & (equal(next, b'\n') | (equal(next, b'\r') & equal(after, b'\n'))) != 0 {
            scan.ended = 1;
            return 1;
        }
    }
    0
}

/// The first eight bytes that the call moved, as far as its first piece holds
/// them (`known`); zeros behind.
#[inline(always)]
fn start_of_bytes(first: Piece, known: u32) -> Option<u64> {
    if known == 0 {
        return Some(0);
    }
    // SAFETY: the helper checks the address.
    if let Ok(start) = unsafe { bpf_probe_read_user(first.base as *const u64) } {
        return Some(if known >= 8 {
            start
        } else {
            start & ((1 << (known * 8)) - 1)
        });
    }
    // Fewer than eight bytes may be mapped there.
    // SAFETY: the helper checks the address.
    if let Ok(start) = unsafe { bpf_probe_read_user(first.base as *const u8) } {
        return Some(u64::from(start));
    }
    count(Stat::Unreadable);
    None
}

/// Whether bytes that start so may be a message's. What matters is that no head
/// is missed; what only looks like one is told apart by the judge, by its
/// offset.
#[inline(always)]
fn may_begin_message(start: u64, known: u32, way: Way) -> bool {
    let start = start as u32;
    // Heads written in small pieces: what is there has to fit.
    let mask = match known {
        0 => 0,
        1 => 0xff,
        2 => 0xffff,
        3 => 0xff_ffff,
        _ => 0xffff_ffff,
    };
    let begins = |bytes: [u8; 4]| (start ^ u32::from_le_bytes(bytes)) & mask == 0;
    if way == Way::Receive {
        // What a client reads, and nobody asks for.
        if known >= 4 && begins(*b"HTTP") {
            return false;
        }
        // Any method: RFC 9110 section 9.1 asks for a token, and those that
        // are registered are of capitals (and M-SEARCH's kind of a dash).
        let [a, b, c, _] = start.to_le_bytes();
        let capital = |byte: u8| byte.is_ascii_uppercase() || byte == b'-' || byte == 0;
        return capital(a) && capital(b) && capital(c);
    }
    // Bodies go this way as a rule: only what servers and clients do send.
    begins(*b"HTTP")
        || begins(*b"GET ")
        || begins(*b"POST")
        || begins(*b"HEAD")
        || begins(*b"PUT ")
        || begins(*b"DELE")
        || begins(*b"OPTI")
        || begins(*b"PATC")
        || begins(*b"CONN")
        || begins(*b"TRAC")
        || begins(*b"PROP")
        || begins(*b"REPO")
        || begins(*b"MKCO")
        || begins(*b"COPY")
        || begins(*b"MOVE")
        || begins(*b"LOCK")
        || begins(*b"UNLO")
        || begins(*b"SEAR")
        || begins(*b"QUER")
        || begins(*b"PURG")
}
