//! Which processes and connections are watched, of those that `processes.rs`
//! does not name: by the process's name, its control group, a port.
//!
//! Asked where a connection is taken up and where it is new_socket, not per call: a
//! process that passes joins `PROCESSES`, which is all that the other hooks
//! look at. A filter that is not set is a constant to the verifier, which takes
//! out its code.

use aya_ebpf::helpers::{bpf_get_current_ancestor_cgroup_id, bpf_get_current_comm};
use detector_common::{CGROUP_LEVELS, COMMS, Comm, family, filter};

use crate::{
    config::config,
    kernel::{Socket, current_task},
    maps::{CGROUPS, CONFIG, PORTS},
    processes::{is_member, is_watched, join},
    ring::current,
};

/// Whether a connection that the current process uses is taken up.
#[inline(always)]
pub(crate) fn may_track(tgid: u32, socket: Socket) -> bool {
    if !passes(tgid) {
        return false;
    }
    if config!(filters) as u32 & filter::PORT != 0 && !port_passes(socket) {
        return false;
    }
    if config!(join) != 0 && !is_member(tgid) {
        join(tgid);
    }
    true
}

/// Whether the current process passes the filters that are about processes.
#[inline(always)]
pub(crate) fn passes(tgid: u32) -> bool {
    if config!(join) == 0 {
        if !is_watched(tgid) {
            return false;
        }
    } else if u64::from(tgid) == config!(own_tgid) {
        return false;
    }
    let filters = config!(filters) as u32;
    // The group first: it costs less to ask for.
    (filters & filter::CGROUP == 0 || cgroup_passes())
        && (filters & filter::COMM == 0 || comm_passes())
}

/// Whether the current process is in one of the control groups or below.
/// `bpf_get_current_ancestor_cgroup_id` is there for tracing since 5.14.
#[inline(always)]
fn cgroup_passes() -> bool {
    for level in 0..CGROUP_LEVELS {
        if config!(cgroup_levels) >> level & 1 == 0 {
            continue;
        }
        // SAFETY: takes a number; gives 0 where there is no such ancestor.
        let group = unsafe { bpf_get_current_ancestor_cgroup_id(level as i32) };
        if CGROUPS.get_ptr(&group).is_some() {
            return true;
        }
    }
    false
}

/// Whether the current thread has one of the names, or its process has, whose
/// name is that of its first thread.
#[inline(always)]
fn comm_passes() -> bool {
    let Ok(thread) = bpf_get_current_comm() else {
        return false;
    };
    if is_named(thread) {
        return true;
    }
    let (tgid, tid) = current();
    if tgid == tid {
        return false;
    }
    current_task()
        .follow(config!(fields.task_group_leader))
        .and_then(|leader| leader.read(config!(fields.task_comm)))
        .is_some_and(is_named)
}

/// Compared one by one: a look into a map costs more than several of these.
#[inline(always)]
fn is_named(name: [u8; 16]) -> bool {
    // SAFETY: both are 16 bytes of integers.
    let name: Comm = unsafe { core::mem::transmute(name) };
    let count = config!(comm_count) as usize;
    let mut index = 0;
    while index < COMMS && index < count {
        // SAFETY: within the array, of a static that lives as long as the
        // program.
        let other = unsafe { (&raw const CONFIG.comms).cast::<Comm>().add(index) };
        // SAFETY: a whole name, as above; read so that the compiler keeps it.
        let other = unsafe { core::ptr::read_volatile(other) };
        if name[0] == other[0] && name[1] == other[1] && name[2] == other[2] && name[3] == other[3]
        {
            return true;
        }
        index += 1;
    }
    false
}

/// Whether the connection's local or remote port is one of those. A Unix socket
/// has none.
#[inline(always)]
fn port_passes(socket: Socket) -> bool {
    if !matches!(socket.family(), family::INET | family::INET6) {
        return false;
    }
    let (local, remote) = socket.ports();
    PORTS.get_ptr(&u32::from(local)).is_some() || PORTS.get_ptr(&u32::from(remote)).is_some()
}
