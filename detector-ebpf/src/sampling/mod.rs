//! Which of the bytes that a call moved are shown to the judge.
//!
//! | what the call moved | what is sampled |
//! | --- | --- |
//! | what may begin a message head, or go on with one | all of it up to the end of the head, at least [`SAMPLE_LEN`] bytes |
//! | the offset that the judge asked for (`detector_common::hint`) | the same from there on, if it looks like a head, else the next row |
//! | bytes before that offset | nothing, if they do not look like a head, or no request came that it could answer |
//! | more than [`SAMPLE_LEN`] bytes of a body that is not chunked ([`flag::PLAIN`]) | of the first call behind the head's the first [`BODY_START`](detector_common::BODY_START), else nothing |
//! | anything else, sent after a head was seen | all up to [`SAMPLE_LEN`] bytes; of more, the first [`EDGE_START`] |
//!
//! Of a call that is longer than its sample, the last [`EDGE_END`] bytes too;
//! and where chunks begin behind the head, with the sample, or where the call before has
//! told, the size line of each, a sample for those that the one before does not hold.
//!
//! The last row is what the judge has to go by until it has read the head: a
//! few records, for it reads twenty times a second.

mod scan;
mod size_line;
mod walk;

use aya_ebpf::helpers::{bpf_probe_read_user, generated::bpf_probe_read_user as probe_read_user};
use detector_common::{Connection, Kind, SAMPLE_LEN, Sample, Stat, flag};

pub(crate) use self::{scan::Scan, walk::Walk};

use crate::{
    atomic::fetch_add_u32,
    maps::{RECORDS, boundary, count, needs_no_look},
    ring::{Stamp, header, wake},
    scratch::StaticDirection,
    sniff::{at_most, looks_like_chunk_size, looks_like_head, may_be_proxy_header},
    syscall::{SystemCall, UserBuf},
    verifier::{hide_bounds, hide_value, zero},
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
fn flags<D: StaticDirection>(connection: &mut Connection) -> &mut u32 {
    if D::SENDS {
        &mut connection.send_flags
    } else {
        &mut connection.receive_flags
    }
}

#[inline(always)]
fn head_offset<D: StaticDirection>(connection: &mut Connection) -> &mut u64 {
    if D::SENDS {
        &mut connection.send_head
    } else {
        &mut connection.receive_head
    }
}

/// A call that moved bytes.
pub(crate) struct CallBytes {
    call: SystemCall,
    moved: Moved,
    /// The first piece of its bytes.
    first: UserBuf,
    stamp: Stamp,
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
pub(crate) fn inspect<D: StaticDirection>(connection: &mut Connection, call: &mut CallBytes) {
    let CallBytes { moved, first, .. } = *call;
    let before = *flags::<D>(connection);
    if before & flag::PACKETS != 0 {
        return;
    }
    let known = hide_bounds(first.length.min(u64::from(moved.bytes))) as u32;
    let Some(start) = start_of_bytes(first, known) else {
        *flags::<D>(connection) |= flag::UNREADABLE;
        return;
    };
    if moved.offset == 0 {
        if D::SENDS {
            connection.first_sent = start.to_le_bytes();
        } else {
            connection.first_received = start.to_le_bytes();
        }
    }
    let begins = looks_like_head::<D>(start, known)
        || (moved.offset == 0 && may_be_proxy_header(start, known))
        || (!D::SENDS && known >= 4 && is_answer(start, moved.offset, first.base, first.length));
    let open = before & flag::HEAD_OPEN != 0
        && moved.offset.wrapping_sub(*head_offset::<D>(connection)) < HEAD_LIMIT;
    let (begins, open) = (hide_bounds(begins) != 0, hide_bounds(open) != 0);
    let mut next = 0;
    if !begins && !open {
        // Most calls end here, before the scratch is touched.
        if !D::SENDS || before & flag::HEAD_SEEN == 0 {
            return;
        }
        let mut after = before | flag::BODY_SEEN;
        if before & flag::BODY_NEXT != 0 {
            after &= !flag::BODY_NEXT;
            if looks_like_chunk_size(start) {
                // The first size line begins here.
                after |= flag::LINE_CUT;
                *head_offset::<D>(connection) = 0;
            } else if known >= 8 {
                after |= flag::PLAIN;
            }
        }
        *flags::<D>(connection) = after;
        next = boundary(moved.cookie);
        let large = moved.bytes > SAMPLE_LEN as u32;
        // The promised bytes may end soon behind the head, in the first call behind its own.
        let later = before & flag::BODY_SEEN != 0;
        let plain = after & flag::PLAIN != 0 && large && next <= moved.offset && later;
        if next >= moved.offset + u64::from(moved.bytes) || plain {
            *flags::<D>(connection) &= !flag::LINE_CUT;
            return;
        }
    }
    let short = begins && known == moved.bytes && whole_head(first.base, known);
    if begins {
        *head_offset::<D>(connection) = moved.offset;
        next = CallBytes::HEAD;
    } else if open {
        next = CallBytes::MORE;
    }
    // Else the verifier follows each value to the end of the program.
    call.next = hide_value(next, zero(connection));
    if short {
        call.sample_head::<D>(connection, first.base);
        return;
    }
    call.walk::<D>();
}

/// Whether bytes that were received begin a response that tells the judge something: the
/// first one, or an interim one, behind which a final one is still to come. By any other
/// byte it is known that the request was answered. A function of its own: the stack of its
/// caller is nearly all that there is (Linux before 6.13).
#[inline(never)]
fn is_answer(start: u64, offset: u64, base: u64, length: u64) -> bool {
    if start as u32 != u32::from_le_bytes(*b"HTTP") {
        return false;
    }
    // "HTTP/1.1 1"
    const STATUS: u64 = 9;
    if offset == 0 || length <= STATUS {
        return offset == 0;
    }
    // SAFETY: the helper checks the address.
    let digit = unsafe { bpf_probe_read_user((base + STATUS) as *const u8) };
    digit == Ok(b'1')
}

/// The flags of a sample in this direction.
#[inline(always)]
fn sample_flags<D: StaticDirection>(connection: &mut Connection) -> u32 {
    if !D::SENDS {
        return connection.receive_flags;
    }
    // Without a branch, of which the verifier would follow both ways.
    let unseen = connection.receive_flags;
    let unseen = ((unseen / flag::UNREADABLE) | (unseen / flag::UNINSPECTED)) & 1;
    connection.send_flags | (unseen * flag::UNSEEN_RECEIVES)
}

/// What is known of the next chunk.
const CHUNK: u32 = flag::CHUNKS | flag::LINE_CUT;

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

impl CallBytes {
    /// At the bytes that a call moved. What the verifier knows of it is forgotten.
    #[inline(always)]
    pub(crate) fn at(
        mut call: SystemCall,
        moved: Moved,
        first: UserBuf,
        stamp: Stamp,
        zero: u64,
    ) -> Self {
        call.hide_values(zero);
        Self {
            call,
            moved: Moved {
                offset: hide_value(moved.offset, zero),
                bytes: hide_value(moved.bytes, zero) as u32,
                ..moved
            },
            first,
            stamp,
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
    fn sample_head<D: StaticDirection>(&self, connection: &mut Connection, base: u64) {
        let Self {
            call, moved, stamp, ..
        } = self;
        let Some(mut entry) = RECORDS.reserve::<Short>(0) else {
            count(Stat::RingFull);
            // The next record's number says that this one is missing.
            fetch_add_u32(&raw mut connection.seq, 1);
            return;
        };
        let short = entry.as_mut_ptr();
        let bytes = hide_bounds(moved.bytes);
        // SAFETY: checked to be within the array; the helper checks the source.
        let failed = bytes > SHORT as u64
            || unsafe {
                let to = (&raw mut (*short).data).cast();
                probe_read_user(to, bytes as u32, base as *const _) != 0
            };
        if failed {
            entry.discard(0);
            unreadable::<D>(connection);
            return;
        }
        let flags = flags::<D>(connection);
        *flags &=
            !(flag::HEAD_OPEN | flag::PLAIN | flag::BODY_SEEN | CHUNK | (3 << flag::LINE_SHIFT));
        *flags |= flag::HEAD_SEEN | flag::BODY_NEXT;
        let flags = sample_flags::<D>(connection);
        let sample = Sample {
            header: header(Kind::Sample, moved.cookie, connection, *stamp),
            offset: moved.offset,
            opposite: if D::SENDS {
                connection.received
            } else {
                connection.sent
            },
            moved: moved.bytes,
            len: moved.bytes,
            sending: u32::from(D::SENDS),
            flags,
            from_start: connection.from_start,
            tail: 0,
            fd: call.fd(),
            number: call.number(),
        };
        // SAFETY: the entry is as large as a Short, which begins with a sample.
        unsafe { (&raw mut (*short).sample).write(sample) };
        entry.submit(wake(*stamp));
    }
}

#[inline(always)]
fn unreadable<D: StaticDirection>(connection: &mut Connection) {
    count(Stat::Unreadable);
    *flags::<D>(connection) |= flag::UNREADABLE;
}

/// The first eight bytes that the call moved, as far as its first piece holds
/// them (`known`); zeros behind.
#[inline(always)]
fn start_of_bytes(first: UserBuf, known: u32) -> Option<u64> {
    let length = hide_bounds(at_most(known, 8));
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
