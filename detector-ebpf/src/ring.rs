//! Writes records.

use aya_ebpf::{
    bindings::{BPF_RB_FORCE_WAKEUP, BPF_RB_NO_WAKEUP},
    helpers::{bpf_get_current_pid_tgid, bpf_ktime_get_ns},
};
use detector_common::{Connection, Header, Kind, Stat};

use crate::{
    atomic::fetch_add_u32,
    config::config,
    maps::{RECORDS, count},
};

/// `BPF_RB_AVAIL_DATA` (include/uapi/linux/bpf.h).
const AVAILABLE: u64 = 0;

/// The current process and thread.
#[inline(always)]
pub(crate) fn current() -> (u32, u32) {
    let both = bpf_get_current_pid_tgid();
    ((both >> 32) as u32, both as u32)
}

/// Who runs, and when it is: asked for once per program, for each question is
/// a call of the kernel's.
#[derive(Clone, Copy)]
pub(crate) struct Stamp {
    pub(crate) time_ns: u64,
    pub(crate) tgid: u32,
    pub(crate) tid: u32,
}

impl Stamp {
    #[inline(always)]
    pub(crate) fn now() -> Self {
        let (tgid, tid) = current();
        Self::at(tgid, tid)
    }

    #[inline(always)]
    pub(crate) fn at(tgid: u32, tid: u32) -> Self {
        // SAFETY: takes no argument and cannot fail.
        let time_ns = unsafe { bpf_ktime_get_ns() };
        Self { time_ns, tgid, tid }
    }
}

/// The head of a record of this connection; takes the next sequence number, so
/// that a record that is then lost leaves a gap.
#[inline(always)]
pub(crate) fn header(kind: Kind, cookie: u64, connection: &mut Connection, stamp: Stamp) -> Header {
    Header {
        kind: kind as u32,
        seq: fetch_add_u32(&raw mut connection.seq, 1),
        cookie,
        time_ns: stamp.time_ns,
        tgid: stamp.tgid,
        tid: stamp.tid,
    }
}

/// Whether to wake the reader. It comes by itself several times a second;
/// waking it for each record would cost the watched process a wake-up and may
/// take its CPU away in the middle of the race that is being watched. How full
/// the buffer is is asked for one record in eight, picked by the clock.
#[inline(always)]
pub(crate) fn wake(stamp: Stamp) -> u64 {
    let asked = (stamp.time_ns >> 10) & 7 == 0;
    if asked && RECORDS.query(AVAILABLE) >= config!(wake_at) {
        u64::from(BPF_RB_FORCE_WAKEUP)
    } else {
        u64::from(BPF_RB_NO_WAKEUP)
    }
}

/// Writes a record.
#[inline(always)]
pub(crate) fn output(record: &[u8], stamp: Stamp) {
    if RECORDS.output::<[u8]>(record, wake(stamp)).is_err() {
        count(Stat::RingFull);
    }
}
