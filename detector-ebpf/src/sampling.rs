//! Which of the bytes that a call moved are shown to the judge.
//!
//! | what the call moved | what is sampled |
//! | --- | --- |
//! | what may begin a message head, or go on with one | all of it up to the end of the head, at least [`SAMPLE_LEN`] bytes |
//! | the offset that the judge asked for (`detector_common::hint`) | the same from there on, if it looks like a head, else the next row |
//! | bytes before that offset | nothing, if they do not look like a head, or no request came that it could answer |
//! | more than [`SAMPLE_LEN`] bytes of a body that is not chunked ([`flag::PLAIN`]) | nothing |
//! | anything else, sent after a head was seen | all up to [`SAMPLE_LEN`] bytes; of more, the first [`EDGE_START`] |
//!
//! Of a call that is longer than its sample, the last [`EDGE_END`] bytes too;
//! and where chunks begin behind the head or with the sample, the size line of
//! each, a sample for those that the one before does not hold.
//!
//! The last row is what the judge has to go by until it has read the head: a
//! few records, for it reads twenty times a second.

use core::ffi::c_void;

use aya_ebpf::{
    helpers::{
        bpf_probe_read_user,
        generated::{bpf_for_each_map_elem, bpf_probe_read_user as probe_read_user},
    },
    macros::map,
    maps::Array,
};
use detector_common::{Connection, EDGE_END, EDGE_START, Kind, SAMPLE_LEN, Sample, Stat, flag};

use crate::{
    atomic::fetch_add_u32,
    bytes::{at_most, equal, hexadecimal, lowest, may_be_size, may_begin_message},
    connections::find,
    maps::{RECORDS, boundary, count, needs_no_look},
    memory::{Piece, SystemCall, forget, unknown, zero},
    ring::{Moment, header, output, wake},
    scratch::{Scratch, Way, scratch},
};

/// A head longer than this is followed no further; the judge says so.
const HEAD_LIMIT: u64 = 128 << 10;

/// Bytes that a call moved.
#[derive(Clone, Copy)]
pub(crate) struct Moved {
    pub(crate) cookie: u64,
    /// Where the first is in its direction of the stream.
    pub(crate) offset: u64,
    pub(crate) bytes: u32,
}

#[inline(always)]
fn flags<W: Way>(connection: &mut Connection) -> &mut u32 {
    if W::SENDS {
        &mut connection.send_flags
    } else {
        &mut connection.receive_flags
    }
}

#[inline(always)]
fn head_offset<W: Way>(connection: &mut Connection) -> &mut u64 {
    if W::SENDS {
        &mut connection.send_head
    } else {
        &mut connection.receive_head
    }
}

/// A call that moved bytes.
pub(crate) struct Look {
    call: SystemCall,
    moved: Moved,
    /// The first piece of its bytes.
    first: Piece,
    moment: Moment,
    /// Where the walk begins: the offset that the judge asked for, or one of those
    /// below.
    next: u64,
}

/// Whether the judge needs no look at bytes that were sent: most of a large body.
#[inline(always)]
pub(crate) fn is_known(connection: &Connection, moved: Moved) -> bool {
    let end = moved.offset + u64::from(moved.bytes);
    moved.offset != 0
        && connection.send_flags & flag::HEAD_OPEN == 0
        && needs_no_look(moved.cookie, end, connection.received)
}

/// Looks at the bytes that a call moved. A function of its own, and what it is given
/// in memory: on whatever way the verifier comes here, it then finds that it was
/// here before.
#[inline(never)]
pub(crate) fn look<W: Way>(connection: &mut Connection, call: &mut Look) {
    let Look { moved, first, .. } = *call;
    let before = *flags::<W>(connection);
    let known = forget(first.length.min(u64::from(moved.bytes))) as u32;
    let Some(start) = start_of_bytes(first, known) else {
        *flags::<W>(connection) |= flag::UNREADABLE;
        return;
    };
    if moved.offset == 0 {
        if W::SENDS {
            connection.first_sent = start.to_le_bytes();
        } else {
            connection.first_received = start.to_le_bytes();
        }
    }
    let begins = may_begin_message::<W>(start, known);
    let open = before & flag::HEAD_OPEN != 0
        && moved.offset.wrapping_sub(*head_offset::<W>(connection)) < HEAD_LIMIT;
    let (begins, open) = (forget(begins) != 0, forget(open) != 0);
    let mut next = 0;
    if !begins && !open {
        // Most calls end here, before the scratch is touched.
        if !W::SENDS || before & flag::HEAD_SEEN == 0 {
            return;
        }
        let mut after = before;
        if before & flag::BODY_NEXT != 0 {
            after &= !flag::BODY_NEXT;
            if known >= 8 && !may_be_size(start) {
                after |= flag::PLAIN;
            }
            *flags::<W>(connection) = after;
        }
        next = boundary(moved.cookie);
        let large = moved.bytes > SAMPLE_LEN as u32;
        let plain = after & flag::PLAIN != 0 && large && next <= moved.offset;
        if next >= moved.offset + u64::from(moved.bytes) || plain {
            return;
        }
    }
    let short = begins && known == moved.bytes && whole_head(first.base, known);
    if begins {
        *head_offset::<W>(connection) = moved.offset;
        next = Look::HEAD;
    } else if open {
        next = Look::MORE;
    }
    // Else the verifier follows each value to the end of the program.
    call.next = unknown(next, zero(connection));
    if short {
        call.sample_head::<W>(connection, first.base);
        return;
    }
    call.walk::<W>();
}

/// Most bytes of a head that is sampled at once.
const SHORT: usize = 512;

/// A sample of a short head.
#[repr(C)]
struct Short {
    sample: Sample,
    data: [u8; SHORT],
}

/// Whether these bytes are few and end as a head does (RFC 9112 section 2.1):
/// if they begin one, it ends with them or before.
#[inline(always)]
fn whole_head(base: u64, bytes: u32) -> bool {
    if bytes < 4 || bytes > SHORT as u32 {
        return false;
    }
    // SAFETY: the helper checks the address.
    let end = unsafe { bpf_probe_read_user((base + u64::from(bytes) - 4) as *const [u8; 4]) };
    end == Ok(*b"\r\n\r\n")
}

impl Look {
    /// At the bytes that a call moved. What the verifier knows of it is forgotten.
    #[inline(always)]
    pub(crate) fn at(
        mut call: SystemCall,
        moved: Moved,
        first: Piece,
        moment: Moment,
        zero: u64,
    ) -> Self {
        call.forget(zero);
        Self {
            call,
            moved: Moved {
                offset: unknown(moved.offset, zero),
                bytes: unknown(moved.bytes, zero) as u32,
                ..moved
            },
            first,
            moment,
            next: 0,
        }
    }

    /// With a head at the first byte.
    const HEAD: u64 = u64::MAX;
    /// With more of a head at the first byte.
    const MORE: u64 = u64::MAX - 1;

    /// Samples a call that is a short head in one piece: most requests are. Without
    /// a walk, and right into the ring buffer.
    #[inline(never)]
    fn sample_head<W: Way>(&self, connection: &mut Connection, base: u64) {
        let Self {
            call,
            moved,
            moment,
            ..
        } = self;
        let Some(mut entry) = RECORDS.reserve::<Short>(0) else {
            count(Stat::RingFull);
            // The next record's number says that this one is missing.
            fetch_add_u32(&raw mut connection.seq, 1);
            return;
        };
        let short = entry.as_mut_ptr();
        let bytes = forget(moved.bytes);
        // SAFETY: checked to be within the array; the helper checks the source.
        let failed = bytes > SHORT as u64
            || unsafe {
                let to = (&raw mut (*short).data).cast();
                probe_read_user(to, bytes as u32, base as *const _) != 0
            };
        if failed {
            entry.discard(0);
            unreadable::<W>(connection);
            return;
        }
        let flags = flags::<W>(connection);
        *flags &= !(flag::HEAD_OPEN | flag::PLAIN | (3 << flag::LINE_SHIFT));
        *flags |= flag::HEAD_SEEN | flag::BODY_NEXT;
        let flags = *flags;
        let sample = Sample {
            header: header(Kind::Sample, moved.cookie, connection, *moment),
            offset: moved.offset,
            opposite: if W::SENDS {
                connection.received
            } else {
                connection.sent
            },
            moved: moved.bytes,
            len: moved.bytes,
            sending: u32::from(W::SENDS),
            flags,
            fresh: connection.fresh,
            tail: 0,
            fd: call.fd(),
            number: call.number,
        };
        // SAFETY: the entry is as large as a Short, which begins with a sample.
        unsafe { (&raw mut (*short).sample).write(sample) };
        entry.submit(wake(*moment));
    }

    /// Samples what is wanted of the call's bytes. The connection is looked up again
    /// where it is needed: it may be in either of two maps, and the verifier would
    /// follow each through all that comes here.
    #[inline(never)]
    fn walk<W: Way>(&self) {
        let Some(scratch) = scratch::<W>() else {
            return;
        };
        // SAFETY: a field of this CPU's scratch, which loops over other fields
        // do not touch; any bytes are a value of it.
        let walk = unsafe { &mut (*scratch).walk };
        walk.at = 0;
        walk.line = 0;
        walk.phase = Phase::HEAD;
        if self.next == Self::MORE {
            walk.line = (change_flags::<W>(self.moved.cookie, 0, 0) >> flag::LINE_SHIFT) & 3;
        } else if self.next != Self::HEAD {
            walk.phase = Phase::BODY;
            if self.next > self.moved.offset {
                // The judge's boundary is within: what is there may be a head.
                walk.at = (self.next - self.moved.offset) as u32;
                if head_at::<W>(&self.call, self.moved, walk.at) {
                    begin_head::<W>(self.moved.cookie, self.next);
                    walk.phase = Phase::HEAD;
                }
            }
        }
        walk.body = walk.at;
        walk.length = 0;
        walk.call = self.call;
        walk.moved = self.moved;
        walk.moment = self.moment;
        // SAFETY: a map of this program and a callback of the form that the
        // helper asks for.
        unsafe {
            bpf_for_each_map_elem(
                (&raw const TURNS).cast_mut().cast(),
                turn::<W> as *mut c_void,
                core::ptr::null_mut(),
                0,
            );
        }
    }
}

/// Whether a message may begin with this byte of the call.
#[inline(always)]
fn head_at<W: Way>(call: &SystemCall, moved: Moved, skip: u32) -> bool {
    let known = moved.bytes.wrapping_sub(skip).min(8);
    if !call.gather::<W>(skip, known, 0) {
        return false;
    }
    let Some(scratch) = scratch::<W>() else {
        return false;
    };
    // SAFETY: eight bytes of the scratch's data; those behind `known` are
    // masked.
    let start = unsafe { core::ptr::read_unaligned((&raw const (*scratch).data).cast::<u64>()) };
    may_begin_message::<W>(start, known)
}

/// Turns of a walk: samples of a head, and chunks of a body.
const TURN_COUNT: u32 = 96;

/// One entry per turn, for its length only: a loop, as in `maps::WORDS`.
#[map]
static TURNS: Array<u32> = Array::with_max_entries(TURN_COUNT, 0);

/// What a walk does next.
struct Phase;

impl Phase {
    /// Samples a head, or more of one.
    const HEAD: u32 = 0;
    /// Samples the first bytes of a body, or of a part of one.
    const BODY: u32 = 1;
    /// Goes from chunk to chunk.
    const CHUNKS: u32 = 2;
}

/// A walk over a call's bytes, sample by sample.
#[derive(Clone, Copy)]
pub(crate) struct Walk {
    call: SystemCall,
    moved: Moved,
    moment: Moment,
    /// The byte of the call at which the sample begins that is being made.
    at: u32,
    /// The bytes from there on that were gathered.
    length: u32,
    /// How the bytes before end ([`flag::LINE_SHIFT`]).
    line: u32,
    /// The byte of the call where a chunk's size may be.
    body: u32,
    /// A [`Phase`].
    phase: u32,
}

unsafe extern "C" fn turn<W: Way>(
    _map: *mut c_void,
    key: *const u32,
    _value: *mut c_void,
    _context: *mut c_void,
) -> i64 {
    let Some(scratch) = scratch::<W>() else {
        return 1;
    };
    // SAFETY: the helper passes the key of the element; a field of this CPU's
    // scratch.
    let (index, walk) = unsafe { (*key, &mut (*scratch).walk) };
    let last = index + 1 == TURN_COUNT;
    let over = match walk.phase {
        Phase::HEAD => walk.head::<W>(scratch, last),
        Phase::BODY => walk.body::<W>(),
        _ => walk.chunk::<W>(last),
    };
    i64::from(over || last)
}

impl Walk {
    /// Bytes from the sample's beginning to the call's end.
    #[inline(always)]
    fn left(&self) -> u32 {
        self.moved.bytes.wrapping_sub(self.at)
    }

    /// Samples a head up to its end; `true` if the walk is over.
    #[inline(always)]
    fn head<W: Way>(&mut self, scratch: *mut Scratch, last: bool) -> bool {
        let line = 3 << flag::LINE_SHIFT;
        let clear = flag::HEAD_OPEN | flag::BODY_NEXT | flag::PLAIN | line;
        change_flags::<W>(self.moved.cookie, clear, flag::HEAD_SEEN);
        if !self.gather::<W>(SAMPLE_LEN as u32) {
            return true;
        }
        let ended = scan::<W>(scratch, self.length, &mut self.line);
        if ended == 0 {
            let line = self.line << flag::LINE_SHIFT;
            change_flags::<W>(self.moved.cookie, 0, flag::HEAD_OPEN | line);
            if self.left() > self.length && !last {
                self.emit::<W>(self.length, 0);
                self.at = self.at.wrapping_add(self.length);
                return false;
            }
        }
        self.body = self.at.wrapping_add(ended);
        self.phase = Phase::CHUNKS;
        if W::SENDS && ended != 0 {
            self.behind_head::<W>(scratch, ended);
        }
        if !W::SENDS || ended == 0 || self.left() <= self.length {
            self.finish::<W>();
            return true;
        }
        false
    }

    /// Looks at what follows a head that ends at this byte of what was gathered.
    #[inline(always)]
    fn behind_head<W: Way>(&self, scratch: *mut Scratch, ended: u32) {
        let at = forget(ended) as usize;
        if self.body == self.moved.bytes {
            change_flags::<W>(self.moved.cookie, 0, flag::BODY_NEXT);
            return;
        }
        if at > SAMPLE_LEN || ended.wrapping_add(8) > self.length {
            return;
        }
        // SAFETY: eight bytes from at most SAMPLE_LEN on, of twice that less ten.
        let start = unsafe {
            core::ptr::read_unaligned(
                (&raw const (*scratch).data)
                    .cast::<u8>()
                    .add(at)
                    .cast::<u64>(),
            )
        };
        // Behind an interim head there is another.
        if !may_be_size(start) && !may_begin_message::<W>(start, 8) {
            change_flags::<W>(self.moved.cookie, 0, flag::PLAIN);
        }
    }

    /// Samples the first bytes of what is no head.
    #[inline(always)]
    fn body<W: Way>(&mut self) -> bool {
        let most = if self.left() <= SAMPLE_LEN as u32 {
            SAMPLE_LEN
        } else {
            EDGE_START
        };
        if !self.gather::<W>(most as u32) {
            return true;
        }
        self.phase = Phase::CHUNKS;
        if self.left() <= self.length {
            self.finish::<W>();
            return true;
        }
        false
    }

    /// Goes on to the next chunk, if one begins here, and samples its size
    /// (RFC 9112 section 7.1).
    #[inline(always)]
    fn chunk<W: Way>(&mut self, last: bool) -> bool {
        let line = size_line::<W>(&self.call, self.moved, self.body);
        let next = match line {
            Some((line, size)) if size > 0 => {
                u64::from(self.body) + u64::from(line) + u64::from(size) + 2
            }
            // The last chunk; what follows may be another message.
            Some(_) if self.body > self.at => u64::from(self.body),
            _ => u64::MAX,
        };
        if next >= u64::from(self.moved.bytes) || last {
            self.finish::<W>();
            return true;
        }
        let next = next as u32;
        let ends = next == self.body;
        self.body = next;
        if !ends && next.wrapping_add(SIZE_LINE) <= self.at.wrapping_add(self.length) {
            return false;
        }
        self.emit::<W>(next.wrapping_sub(self.at), 0);
        self.at = next;
        let most = if ends { SAMPLE_LEN } else { EDGE_START };
        if !self.gather::<W>(most as u32) {
            return true;
        }
        if ends {
            self.finish::<W>();
        }
        ends
    }

    /// Gathers the sample: at most so many bytes.
    #[inline(always)]
    fn gather<W: Way>(&mut self, most: u32) -> bool {
        self.length = self.left().min(most);
        let read = self.call.gather::<W>(self.at, self.length, 0);
        if !read {
            count(Stat::Unreadable);
            change_flags::<W>(self.moved.cookie, 0, flag::UNREADABLE);
        }
        read
    }

    /// Sends the sample that was gathered as the call's last, and behind it the
    /// call's last bytes.
    #[inline(always)]
    fn finish<W: Way>(&self) {
        let (left, end) = (self.left(), EDGE_END as u32);
        let last = self.moved.bytes.wrapping_sub(end);
        let behind = left > self.length && left.wrapping_sub(self.length) >= end;
        let tail = behind && self.call.gather::<W>(last, end, self.length);
        self.emit::<W>(left, if tail { end } else { 0 });
    }

    /// Sends the sample that was gathered, and the call's last `tail` bytes
    /// behind it. It tells of `tells` bytes.
    #[inline(always)]
    fn emit<W: Way>(&self, tells: u32, tail: u32) {
        let Some(scratch) = scratch::<W>() else {
            return;
        };
        if !sign::<W>(scratch) {
            return;
        }
        let within = if self.at > 0 { flag::WITHIN } else { 0 };
        // Field by field: there is little stack.
        // SAFETY: this CPU's scratch, of the program that runs; any bytes are a
        // value of a sample.
        let sample = unsafe { &mut (*scratch).sample };
        sample.offset = self.moved.offset + u64::from(self.at);
        sample.moved = tells;
        sample.len = self.length;
        sample.sending = u32::from(W::SENDS);
        sample.flags |= within;
        sample.tail = tail;
        sample.fd = self.call.fd();
        sample.number = self.call.number;
        let bytes = forget(self.length.wrapping_add(tail)) as usize;
        if bytes > SAMPLE_LEN + EDGE_END {
            return;
        }
        let total = size_of::<Sample>() + bytes;
        // SAFETY: the scratch is the fixed part and twice SAMPLE_LEN bytes.
        let record =
            unsafe { core::slice::from_raw_parts(scratch.cast_const().cast::<u8>(), total) };
        output(record, self.moment);
    }
}

/// Clears and sets flags of the connection with this cookie; returns them.
#[inline(never)]
fn change_flags<W: Way>(cookie: u64, clear: u32, set: u32) -> u32 {
    let Some(connection) = find(cookie) else {
        return 0;
    };
    // SAFETY: a live map value, as in traffic.rs.
    let flags = flags::<W>(unsafe { &mut *connection });
    *flags = (*flags & !clear) | set;
    *flags
}

/// Notes where a head begins.
#[inline(never)]
fn begin_head<W: Way>(cookie: u64, offset: u64) {
    if let Some(connection) = find(cookie) {
        // SAFETY: a live map value, as in traffic.rs.
        *head_offset::<W>(unsafe { &mut *connection }) = offset;
    }
}

/// Puts into the sample what the connection tells.
#[inline(never)]
fn sign<W: Way>(scratch: *mut Scratch) -> bool {
    // SAFETY: this CPU's scratch, as in Walk::emit.
    let (walk, sample) = unsafe { (&(*scratch).walk, &mut (*scratch).sample) };
    let Some(connection) = find(walk.moved.cookie) else {
        return false;
    };
    // SAFETY: a live map value, as in traffic.rs.
    let connection = unsafe { &mut *connection };
    sample.header = header(Kind::Sample, walk.moved.cookie, connection, walk.moment);
    sample.opposite = if W::SENDS {
        connection.received
    } else {
        connection.sent
    };
    sample.flags = *flags::<W>(connection);
    sample.fresh = connection.fresh;
    true
}

/// Bytes that are read of a size line: an empty line's end, seven digits, and
/// the end.
const SIZE_LINE: u32 = 12;

/// The length of the size line at this byte of the call, with the end of the
/// chunk before it, and the size that it gives; `None` if there is none, or one
/// with extensions.
#[inline(always)]
fn size_line<W: Way>(call: &SystemCall, moved: Moved, at: u32) -> Option<(u32, u32)> {
    let known = moved.bytes.wrapping_sub(at).min(SIZE_LINE);
    // Behind what was gathered of the sample.
    if !call.gather::<W>(at, known, SAMPLE_LEN as u32) {
        return None;
    }
    let scratch = scratch::<W>()?;
    // SAFETY: SAMPLE_LEN and SIZE_LINE more are within the array.
    let word = |behind: usize| unsafe {
        core::ptr::read_unaligned(
            (&raw const (*scratch).data)
                .cast::<u8>()
                .add(SAMPLE_LEN + behind)
                .cast::<u64>(),
        )
    };
    // The end of the chunk before.
    let skipped = if word(0) as u16 == u16::from_le_bytes(*b"\r\n") {
        2
    } else {
        0
    };
    let line = if skipped > 0 { word(2) } else { word(0) };
    let (digits, size) = hexadecimal(line);
    let end = (line >> ((digits & 7) * 8)) as u8;
    let length = skipped + digits + if end == b'\r' { 2 } else { 1 };
    let ends = end == b'\r' || end == b'\n';
    (digits > 0 && digits < 8 && ends && length <= known).then_some((length, size))
}

#[inline(always)]
fn unreadable<W: Way>(connection: &mut Connection) {
    count(Stat::Unreadable);
    *flags::<W>(connection) |= flag::UNREADABLE;
}

/// A search for the empty line that ends a head (RFC 9112 section 2.1; a bare
/// line feed counts, section 2.2), eight bytes at a time.
#[derive(Clone, Copy)]
pub(crate) struct Scan {
    length: u32,
    /// The byte behind the empty line; 0 if there is none.
    ended: u32,
}

/// Bytes that are looked at in one turn.
const BLOCK: u32 = 64;

/// One entry per block, for its length only: a loop, as in `maps::WORDS`.
#[map]
static BLOCKS: Array<u32> = Array::with_max_entries(SAMPLE_LEN as u32 / BLOCK, 0);

/// The byte behind the head's end among the first `length` that were gathered;
/// 0 if there is none. `line`: how the bytes before end, and then these.
#[inline(always)]
fn scan<W: Way>(scratch: *mut Scratch, length: u32, line: &mut u32) -> u32 {
    let end = forget(length) as usize;
    if end == 0 || end > SAMPLE_LEN {
        return 0;
    }
    // SAFETY: at most SAMPLE_LEN (checked above) of twice that, less ten; what
    // lies before the first byte is another field.
    let data = unsafe { (&raw mut (*scratch).data).cast::<u8>() };
    // An empty line that begins in the sample before.
    // SAFETY: as above.
    let (first, second) = unsafe { (*data, *data.add(1)) };
    let feeds = first == b'\n' || (first == b'\r' && end > 1 && second == b'\n');
    if (*line == 1 && feeds) || (*line == 2 && first == b'\n') {
        return if first == b'\n' { 1 } else { 2 };
    }
    // SAFETY: as above. What lies behind is from other samples.
    let (last, before) = unsafe {
        core::ptr::write_unaligned(data.add(end).cast::<u64>(), 0);
        (*data.add(end - 1), *data.add(end).sub(2))
    };
    let feed_before = if end > 1 { before == b'\n' } else { *line == 1 };
    *line = match last {
        b'\n' => 1,
        b'\r' if feed_before => 2,
        _ => 0,
    };
    // SAFETY: a field of this CPU's scratch; a map of this program and a
    // callback of the form that the helper asks for.
    unsafe {
        (&raw mut (*scratch).scan).write_volatile(Scan { length, ended: 0 });
        bpf_for_each_map_elem(
            (&raw const BLOCKS).cast_mut().cast(),
            scan_block::<W> as *mut c_void,
            core::ptr::null_mut(),
            0,
        );
        (&raw const (*scratch).scan.ended).read_volatile()
    }
}

unsafe extern "C" fn scan_block<W: Way>(
    _map: *mut c_void,
    key: *const u32,
    _value: *mut c_void,
    _context: *mut c_void,
) -> i64 {
    let Some(scratch) = scratch::<W>() else {
        return 1;
    };
    // SAFETY: the helper passes the key of the element; a field of this CPU's
    // scratch.
    let (block, length) = unsafe { (*key, (&raw const (*scratch).scan.length).read_volatile()) };
    let start = (block & (SAMPLE_LEN as u32 / BLOCK - 1)) * BLOCK;
    // SAFETY: start and the 64 bytes from it on are below SAMPLE_LEN.
    let bytes = unsafe {
        (&raw const (*scratch).data)
            .cast::<u8>()
            .add(start as usize)
    };
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
        let bare = feeds & equal(next, b'\n');
        let found = bare | (feeds & equal(next, b'\r') & equal(after, b'\n'));
        if found != 0 {
            let two = found & found.wrapping_neg() & bare != 0;
            let ended = start + at + lowest(found) + if two { 2 } else { 3 };
            // SAFETY: as above.
            unsafe { (&raw mut (*scratch).scan.ended).write_volatile(ended) };
            return 1;
        }
    }
    0
}

/// The first eight bytes that the call moved, as far as its first piece holds
/// them (`known`); zeros behind.
#[inline(always)]
fn start_of_bytes(first: Piece, known: u32) -> Option<u64> {
    let length = forget(at_most(known, 8));
    let mut start = 0_u64;
    // SAFETY: at most eight bytes go into eight; the helper checks the source.
    let read = length <= 8
        && unsafe {
            let to = (&raw mut start).cast();
            probe_read_user(to, length as u32, first.base as *const _) == 0
        };
    if !read {
        count(Stat::Unreadable);
        return None;
    }
    Some(start)
}
