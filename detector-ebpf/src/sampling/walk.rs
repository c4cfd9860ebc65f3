//! The walk over a call's bytes, sample by sample: of a head that is not short, of a body,
//! and from chunk to chunk.

use core::ffi::c_void;

use aya_ebpf::{helpers::generated::bpf_for_each_map_elem, macros::map, maps::Array};
use detector_common::{BODY_START, EDGE_END, EDGE_START, Kind, SAMPLE_LEN, Sample, Stat, flag};

use super::{
    CHUNK, CallBytes, Moved, flags, head_offset, sample_flags,
    scan::scan,
    size_line::{Line, SIZE_LINE, size_line},
};
use crate::{
    connections::find,
    maps::count,
    ring::{Stamp, header, output},
    scratch::{Scratch, StaticDirection, scratch},
    sniff::{looks_like_chunk_size, looks_like_head},
    syscall::SystemCall,
    verifier::hide_bounds,
};

impl CallBytes {
    /// Samples what is wanted of the call's bytes. The connection is looked up again
    /// where it is needed: it may be in either of two maps, and the verifier would
    /// follow each through all that comes here.
    #[inline(never)]
    pub(super) fn walk<D: StaticDirection>(&self) {
        let Some(scratch) = scratch::<D>() else {
            return;
        };
        // SAFETY: a field of this CPU's scratch, which loops over other fields
        // do not touch; any bytes are a value of it.
        let walk = unsafe { &mut (*scratch).walk };
        walk.at = 0;
        walk.line = 0;
        walk.phase = Phase::HEAD;
        if self.next == Self::MORE {
            walk.line = (change_flags::<D>(self.moved.cookie, 0, 0) >> flag::LINE_SHIFT) & 3;
        } else if self.next != Self::HEAD {
            walk.phase = Phase::BODY;
            if self.next > self.moved.offset {
                // The judge's boundary is within: what is there may be a head.
                walk.at = (self.next - self.moved.offset) as u32;
                if head_at::<D>(&self.call, self.moved, walk.at) {
                    begin_head::<D>(self.moved.cookie, self.next);
                    walk.phase = Phase::HEAD;
                }
            }
        }
        walk.body = walk.at;
        (walk.follows, walk.behind, walk.cut) = (0, 0, 0);
        walk.moved = self.moved;
        if D::SENDS && walk.phase == Phase::BODY {
            place_chunk::<D>(walk);
        }
        walk.length = 0;
        walk.call = self.call;
        walk.stamp = self.stamp;
        // SAFETY: a map of this program and a callback of the form that the
        // helper asks for.
        unsafe {
            bpf_for_each_map_elem(
                (&raw const TURNS).cast_mut().cast(),
                turn::<D> as *mut c_void,
                core::ptr::null_mut(),
                0,
            );
        }
    }
}

/// Whether a message may begin with this byte of the call.
#[inline(always)]
fn head_at<D: StaticDirection>(call: &SystemCall, moved: Moved, skip: u32) -> bool {
    let known = moved.bytes.wrapping_sub(skip).min(8);
    if !call.gather::<D>(skip, known, 0) {
        return false;
    }
    let Some(scratch) = scratch::<D>() else {
        return false;
    };
    // SAFETY: eight bytes of the scratch's data; those behind `known` are
    // masked.
    let start = unsafe { core::ptr::read_unaligned((&raw const (*scratch).data).cast::<u64>()) };
    looks_like_head::<D>(start, known)
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
    stamp: Stamp,
    /// The byte of the call at which the sample begins that is being made.
    at: u32,
    /// The bytes from there on that were gathered.
    length: u32,
    /// How the bytes before end ([`flag::LINE_SHIFT`]).
    line: u32,
    /// The byte of the call where a chunk's size may be.
    body: u32,
    /// 1 where that is so by all that came before, 0 where it is tried.
    follows: u32,
    /// 1 where the data of a chunk ends there: then its line's end comes first.
    behind: u32,
    /// What the call before had of it ([`flag::LINE_CUT`]); 0 without.
    cut: u64,
    /// A [`Phase`].
    phase: u32,
}

unsafe extern "C" fn turn<D: StaticDirection>(
    _map: *mut c_void,
    key: *const u32,
    _value: *mut c_void,
    _context: *mut c_void,
) -> i64 {
    let Some(scratch) = scratch::<D>() else {
        return 1;
    };
    // SAFETY: the helper passes the key of the element; a field of this CPU's
    // scratch.
    let (index, walk) = unsafe { (*key, &mut (*scratch).walk) };
    let last = index + 1 == TURN_COUNT;
    let over = match walk.phase {
        Phase::HEAD => walk.head::<D>(scratch, last),
        Phase::BODY => walk.body::<D>(),
        _ => walk.chunk::<D>(last),
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
    fn head<D: StaticDirection>(&mut self, scratch: *mut Scratch, last: bool) -> bool {
        let line = 3 << flag::LINE_SHIFT;
        let clear =
            flag::HEAD_OPEN | flag::BODY_NEXT | flag::PLAIN | flag::BODY_SEEN | CHUNK | line;
        change_flags::<D>(self.moved.cookie, clear, flag::HEAD_SEEN);
        if !self.gather::<D>(SAMPLE_LEN as u32) {
            return true;
        }
        let ended = scan::<D>(scratch, self.length, &mut self.line);
        if ended == 0 {
            let line = self.line << flag::LINE_SHIFT;
            change_flags::<D>(self.moved.cookie, 0, flag::HEAD_OPEN | line);
            if self.left() > self.length && !last {
                self.emit::<D>(self.length, 0);
                self.at = self.at.wrapping_add(self.length);
                return false;
            }
        }
        self.body = self.at.wrapping_add(ended);
        self.phase = Phase::CHUNKS;
        let chunks = D::SENDS && ended != 0 && self.behind_head::<D>(scratch, ended);
        (self.follows, self.behind) = (u32::from(chunks), 0);
        if !D::SENDS || ended == 0 || (self.left() <= self.length && !chunks) {
            self.finish::<D>();
            return true;
        }
        false
    }

    /// Looks at what follows a head that ends at this byte of what was gathered: `true`
    /// if it may be a chunk.
    #[inline(always)]
    fn behind_head<D: StaticDirection>(&self, scratch: *mut Scratch, ended: u32) -> bool {
        let at = hide_bounds(ended) as usize;
        if self.body == self.moved.bytes {
            change_flags::<D>(self.moved.cookie, 0, flag::BODY_NEXT);
            return false;
        }
        if at > SAMPLE_LEN || ended.wrapping_add(8) > self.length {
            return false;
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
        let chunk = looks_like_chunk_size(start);
        // Behind an interim head there is another.
        if !chunk && !looks_like_head::<D>(start, 8) {
            change_flags::<D>(self.moved.cookie, 0, flag::PLAIN);
        }
        chunk
    }

    /// Samples the first bytes of what is no head.
    #[inline(always)]
    fn body<D: StaticDirection>(&mut self) -> bool {
        let most = if self.left() <= SAMPLE_LEN as u32 {
            SAMPLE_LEN
        } else if change_flags::<D>(self.moved.cookie, 0, 0) & flag::PLAIN != 0 {
            BODY_START
        } else {
            EDGE_START
        };
        if !self.gather::<D>(most as u32) {
            return true;
        }
        self.phase = Phase::CHUNKS;
        let whole = self.left() <= self.length;
        if self.body >= self.moved.bytes || (whole && self.follows == 0) {
            self.finish::<D>();
            return true;
        }
        if whole || self.body == self.at || self.holds(self.body) {
            return false;
        }
        !self.go_to::<D>(self.body, EDGE_START)
    }

    /// Whether a size line at this byte of the call is in the sample.
    #[inline(always)]
    fn holds(&self, line: u32) -> bool {
        line.wrapping_add(SIZE_LINE) <= self.at.wrapping_add(self.length)
    }

    /// Sends the sample, and gathers the one that begins at this byte of the call, of at
    /// most so many.
    #[inline(always)]
    fn go_to<D: StaticDirection>(&mut self, at: u32, most: usize) -> bool {
        let told = at.wrapping_sub(self.at);
        self.length = self.length.min(told);
        self.emit::<D>(told, 0);
        self.at = at;
        self.gather::<D>(most as u32)
    }

    /// Goes on to the next chunk, if one begins here, and samples its size
    /// (RFC 9112 section 7.1).
    #[inline(always)]
    fn chunk<D: StaticDirection>(&mut self, last: bool) -> bool {
        let line = size_line::<D>(&self.call, self.moved, self.body, self.cut, self.behind);
        self.cut = 0;
        self.behind = self.follows;
        let next = match line {
            Line::Size(line, size) if size > 0 => {
                u64::from(self.body) + u64::from(line) + u64::from(size)
            }
            // The last chunk; what follows may be another message.
            Line::Size(..) if self.body > self.at => u64::from(self.body),
            _ => u64::MAX,
        };
        let beyond = next >= u64::from(self.moved.bytes);
        let ends = next == u64::from(self.body);
        let whole = self.left() <= self.length;
        if beyond || last || (ends && whole) {
            if self.follows != 0 {
                let cookie = self.moved.cookie;
                match line {
                    Line::Cut(bytes) => keep_chunk::<D>(cookie, flag::LINE_CUT, bytes),
                    Line::Size(..) if beyond && next != u64::MAX => {
                        keep_chunk::<D>(cookie, flag::CHUNKS, self.moved.offset + next);
                    }
                    _ => keep_chunk::<D>(cookie, 0, 0),
                }
            }
            self.finish::<D>();
            return true;
        }
        let next = next as u32;
        self.body = next;
        if !ends && (whole || self.holds(next)) {
            return false;
        }
        let most = if ends { SAMPLE_LEN } else { EDGE_START };
        if !self.go_to::<D>(next, most) {
            return true;
        }
        if ends {
            keep_chunk::<D>(self.moved.cookie, 0, 0);
            self.finish::<D>();
        }
        ends
    }

    /// Gathers the sample: at most so many bytes.
    #[inline(always)]
    fn gather<D: StaticDirection>(&mut self, most: u32) -> bool {
        self.length = self.left().min(most);
        let read = self.call.gather::<D>(self.at, self.length, 0);
        if !read {
            count(Stat::Unreadable);
            change_flags::<D>(self.moved.cookie, 0, flag::UNREADABLE);
        }
        read
    }

    /// Sends the sample that was gathered as the call's last, and behind it the
    /// call's last bytes.
    #[inline(always)]
    fn finish<D: StaticDirection>(&self) {
        let (left, end) = (self.left(), EDGE_END as u32);
        let last = self.moved.bytes.wrapping_sub(end);
        let behind = left > self.length && left.wrapping_sub(self.length) >= end;
        let tail = behind && self.call.gather::<D>(last, end, self.length);
        self.emit::<D>(left, if tail { end } else { 0 });
    }

    /// Sends the sample that was gathered, and the call's last `tail` bytes
    /// behind it. It tells of `tells` bytes.
    #[inline(always)]
    fn emit<D: StaticDirection>(&self, tells: u32, tail: u32) {
        let Some(scratch) = scratch::<D>() else {
            return;
        };
        if !sign::<D>(scratch) {
            return;
        }
        let within = if self.at > 0 { flag::MID_CALL } else { 0 };
        // Field by field: there is little stack.
        // SAFETY: this CPU's scratch, of the program that runs; any bytes are a
        // value of a sample.
        let sample = unsafe { &mut (*scratch).sample };
        sample.offset = self.moved.offset + u64::from(self.at);
        sample.moved = tells;
        sample.len = self.length;
        sample.sending = u32::from(D::SENDS);
        sample.flags |= within;
        sample.tail = tail;
        sample.fd = self.call.fd();
        sample.number = self.call.number();
        let bytes = hide_bounds(self.length.wrapping_add(tail)) as usize;
        if bytes > SAMPLE_LEN + EDGE_END {
            return;
        }
        let total = size_of::<Sample>() + bytes;
        // SAFETY: the scratch is the fixed part and twice SAMPLE_LEN bytes.
        let record =
            unsafe { core::slice::from_raw_parts(scratch.cast_const().cast::<u8>(), total) };
        output(record, self.stamp);
    }
}

/// Clears and sets flags of the connection with this cookie; returns them.
#[inline(never)]
fn change_flags<D: StaticDirection>(cookie: u64, clear: u32, set: u32) -> u32 {
    let Some(connection) = find(cookie) else {
        return 0;
    };
    // SAFETY: a live map value, as in count.rs.
    let flags = flags::<D>(unsafe { &mut *connection });
    *flags = (*flags & !clear) | set;
    *flags
}

/// Puts the walk where the next size line is, if that is known.
#[inline(never)]
fn place_chunk<D: StaticDirection>(walk: &mut Walk) {
    let Some(connection) = find(walk.moved.cookie) else {
        return;
    };
    // SAFETY: a live map value, as in count.rs.
    let connection = unsafe { &mut *connection };
    let before = *flags::<D>(connection);
    let what = *head_offset::<D>(connection);
    // Of the very next call only.
    *flags::<D>(connection) = before & !flag::LINE_CUT;
    if before & flag::LINE_CUT != 0 && walk.at == 0 {
        (walk.follows, walk.cut) = (1, what);
    } else if before & flag::CHUNKS != 0 && what >= walk.moved.offset + u64::from(walk.at) {
        let within = what - walk.moved.offset;
        walk.body = within.min(u64::from(u32::MAX)) as u32;
        (walk.follows, walk.behind) = (1, 1);
    }
}

/// Notes what is known of the next chunk: a flag of [`CHUNK`] and what goes with it, or
/// none.
#[inline(never)]
fn keep_chunk<D: StaticDirection>(cookie: u64, flag: u32, what: u64) {
    let Some(connection) = find(cookie) else {
        return;
    };
    // SAFETY: a live map value, as in count.rs.
    let connection = unsafe { &mut *connection };
    let flags = flags::<D>(connection);
    *flags = (*flags & !CHUNK) | flag;
    if flag != 0 {
        *head_offset::<D>(connection) = what;
    }
}

/// Notes where a head begins.
#[inline(never)]
fn begin_head<D: StaticDirection>(cookie: u64, offset: u64) {
    if let Some(connection) = find(cookie) {
        // SAFETY: a live map value, as in count.rs.
        *head_offset::<D>(unsafe { &mut *connection }) = offset;
    }
}

/// Puts into the sample what the connection tells.
#[inline(never)]
fn sign<D: StaticDirection>(scratch: *mut Scratch) -> bool {
    // SAFETY: this CPU's scratch, as in Walk::emit.
    let (walk, sample) = unsafe { (&(*scratch).walk, &mut (*scratch).sample) };
    let Some(connection) = find(walk.moved.cookie) else {
        return false;
    };
    // SAFETY: a live map value, as in count.rs.
    let connection = unsafe { &mut *connection };
    sample.header = header(Kind::Sample, walk.moved.cookie, connection, walk.stamp);
    sample.opposite = if D::SENDS {
        connection.received
    } else {
        connection.sent
    };
    sample.flags = sample_flags::<D>(connection);
    sample.from_start = connection.from_start;
    true
}
