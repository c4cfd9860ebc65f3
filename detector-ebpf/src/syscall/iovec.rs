//! Buffers that a call names by I/O vectors: adding up their lengths, and gathering bytes of
//! them.

use core::{ffi::c_void, mem::MaybeUninit};

use aya_ebpf::{
    helpers::{
        bpf_probe_read_user,
        generated::{bpf_for_each_map_elem, bpf_probe_read_user as probe_read_user},
    },
    macros::map,
    maps::Array,
};
use detector_common::{Arguments, SAMPLE_LEN};

use super::{SystemCall, UNKNOWN, UserBuf};
use crate::{
    scratch::{BEHIND, Scratch, StaticDirection, scratch},
    verifier::hide_bounds,
};

/// I/O vectors read at once, and how many batches follow the first: together
/// `UIO_MAXIOV` (1,024) vectors.
const VECTOR_BATCH: usize = 4;
const VECTOR_BATCHES: u32 = 255;
const VECTORS: u32 = 1024;

impl SystemCall {
    /// Where the I/O vectors are, and how many.
    #[inline(always)]
    fn vectors(&self) -> Option<(u64, u64)> {
        if self.is(Arguments::Iovec) {
            return Some((self.pointer, self.length));
        }
        // struct mmsghdr is a user_msghdr and a length: 64 bytes.
        let pointer = self.pointer + u64::from(self.message) * 64;
        // struct user_msghdr: name 0, namelen 8, iov 16, iovlen 24.
        // SAFETY: the helper checks the address.
        unsafe { bpf_probe_read_user((pointer + 16) as *const (u64, u64)) }.ok()
    }

    /// Copies bytes that the call moved into the scratch, `wanted` from the
    /// byte `skip` on, to the place `at`; `false` if memory could not be read.
    #[inline(always)]
    pub(crate) fn gather<D: StaticDirection>(&self, skip: u32, wanted: u32, at: u32) -> bool {
        let Some(scratch) = scratch::<D>() else {
            return false;
        };
        if self.is(Arguments::Buffer) {
            return read_piece(scratch, at, wanted, self.pointer + u64::from(skip));
        }
        let Some((vectors, count)) = self.vectors() else {
            return false;
        };
        // Field by field: there is little stack.
        // SAFETY: a field of this CPU's scratch, any bytes are a value of it; a
        // map of this program and a callback of the form that the helper asks
        // for.
        unsafe {
            let gather = &raw mut (*scratch).gather;
            (&raw mut (*gather).vectors).write_volatile(vectors);
            (&raw mut (*gather).count).write_volatile(count);
            (&raw mut (*gather).skip).write_volatile(u64::from(skip));
            (&raw mut (*gather).at).write_volatile(at);
            (&raw mut (*gather).wanted).write_volatile(wanted);
            bpf_for_each_map_elem(
                (&raw const PIECES).cast_mut().cast(),
                gather_piece::<D> as *mut c_void,
                core::ptr::null_mut(),
                0,
            );
            (&raw const (*scratch).gather.wanted).read_volatile() == 0
        }
    }
}

/// Collects bytes from I/O vectors.
#[derive(Clone, Copy)]
pub(crate) struct Gather {
    vectors: u64,
    count: u64,
    /// Bytes still to pass over.
    skip: u64,
    /// Where the next go.
    at: u32,
    /// Bytes still to collect.
    wanted: u32,
}

/// One entry per I/O vector, for its length only: a loop, as in `maps::WORDS`.
#[map]
static PIECES: Array<u32> = Array::with_max_entries(VECTORS, 0);

unsafe extern "C" fn gather_piece<D: StaticDirection>(
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
    let (index, gather) = unsafe { (u64::from(*key), &mut (*scratch).gather) };
    if gather.wanted == 0 || index >= gather.count {
        return 1;
    }
    // SAFETY: the helper checks the address.
    let Ok(piece) =
        (unsafe { bpf_probe_read_user((gather.vectors + index * 16) as *const UserBuf) })
    else {
        return 1;
    };
    if gather.skip >= piece.length {
        gather.skip -= piece.length;
        return 0;
    }
    let left = piece.length - gather.skip;
    let length = left.min(u64::from(gather.wanted)) as u32;
    if !read_piece(scratch, gather.at, length, piece.base + gather.skip) {
        return 1;
    }
    gather.skip = 0;
    gather.at += length;
    gather.wanted -= length;
    i64::from(gather.wanted == 0)
}

/// Adds up a call's I/O vectors; what it was given is as in [`SystemCall`].
#[inline(never)]
pub(super) fn add_vectors(
    arguments: u32,
    pointer: u64,
    length: u64,
    message: u32,
    sum: &mut VectorSum,
) {
    let call = SystemCall {
        number: 0,
        arguments,
        fd: -1,
        pointer,
        length,
        message,
    };
    let Some((vectors, count)) = call.vectors() else {
        return;
    };
    sum.vectors = vectors;
    sum.count = count;
    sum.total = 0;
    sum.add_batch(0);
    if count > VECTOR_BATCH as u64 {
        // SAFETY: a map of this program, a callback of the form that the helper
        // asks for, and a context that outlives the call.
        unsafe {
            bpf_for_each_map_elem(
                (&raw const BATCHES).cast_mut().cast(),
                add_batch as *mut c_void,
                (&raw mut *sum).cast(),
                0,
            )
        };
    }
}

/// Adds up I/O vectors.
pub(super) struct VectorSum {
    pub(super) vectors: u64,
    pub(super) count: u64,
    pub(super) total: u64,
    pub(super) first: UserBuf,
}

impl VectorSum {
    /// Adds the vectors of one batch; `false` when there are no more.
    #[inline(always)]
    fn add_batch(&mut self, index: u64) -> bool {
        let done = index * VECTOR_BATCH as u64;
        if done >= self.count {
            return false;
        }
        let left = (self.count - done).min(VECTOR_BATCH as u64) as u32;
        let mut batch = [const { MaybeUninit::<UserBuf>::uninit() }; VECTOR_BATCH];
        for vector in &mut batch {
            // Those that are not there count as empty: all are added, without
            // branches, of which each would double what the verifier walks.
            // SAFETY: a place on the stack.
            unsafe {
                vector
                    .as_mut_ptr()
                    .write_volatile(UserBuf { base: 0, length: 0 })
            };
        }
        // SAFETY: at most VECTOR_BATCH vectors go into the array of as many;
        // the helper checks the source.
        let failed = unsafe {
            probe_read_user(
                (&raw mut batch).cast(),
                (left & 7) * 16,
                (self.vectors + done * 16) as *const _,
            )
        };
        if failed != 0 {
            self.total = UNKNOWN;
            return false;
        }
        // SAFETY: all were written above.
        let vectors = unsafe { &*(&raw const batch).cast::<[UserBuf; VECTOR_BATCH]>() };
        for vector in vectors {
            self.total = self.total.wrapping_add(vector.length);
        }
        if index == 0 {
            // Of the first two; behind more empty ones nothing is looked at, and
            // the call is sampled.
            self.first = if vectors[0].length > 0 {
                vectors[0]
            } else {
                vectors[1]
            };
        }
        true
    }
}

/// One entry per batch beyond the first, for its length only: a loop, as in
/// `maps::WORDS`.
#[map]
static BATCHES: Array<u32> = Array::with_max_entries(VECTOR_BATCHES, 0);

unsafe extern "C" fn add_batch(
    _map: *mut c_void,
    key: *const u32,
    _value: *mut c_void,
    sum: *mut VectorSum,
) -> i64 {
    // SAFETY: the helper passes the key of the element and our context.
    let (index, sum) = unsafe { (*key, &mut *sum) };
    i64::from(!sum.add_batch(u64::from(index) + 1))
}

/// Copies `length` bytes of user memory to `at` in the scratch's data.
#[inline(always)]
fn read_piece(scratch: *mut Scratch, at: u32, length: u32, from: u64) -> bool {
    let (at, length) = (hide_bounds(at), hide_bounds(length));
    if at > (SAMPLE_LEN + BEHIND) as u64 || length > SAMPLE_LEN as u64 {
        return false;
    }
    // SAFETY: what was checked above is as large as the array; the helper
    // checks the source.
    unsafe {
        let to = (&raw mut (*scratch).data).cast::<u8>().add(at as usize);
        probe_read_user(to.cast(), length as u32, from as *const _) == 0
    }
}
