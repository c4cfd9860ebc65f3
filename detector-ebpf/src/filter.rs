//! Which processes and connections are watched, of those that `maps::watched`
//! does not name: by the process's name, its control group, a port.
//!
//! Asked where a connection is taken up and where it is born, not per call: a
//! process that passes joins `PROCESSES`, which is all that the other hooks
//! look at. A filter that is not set is a constant to the verifier, which takes
//! out its code.

use aya_ebpf::helpers::{bpf_get_current_ancestor_cgroup_id, bpf_get_current_comm};
use detector_common::{CGROUP_LEVELS, Stat, family, filter};

use crate::{
    kernel::{Socket, current_task},
    maps::{CGROUPS, COMMS, PORTS, PROCESSES, config, count, watched},
};

/// Whether a connection that the current process uses is taken up.
#[inline(always)]
pub(crate) fn takes_up(tgid: u32, socket: Socket) -> bool {
    if !passes(tgid) {
        return false;
    }
    if config!(filters) & filter::PORT != 0 && !port_passes(socket) {
        return false;
    }
    if config!(join) != 0
        && PROCESSES.get_ptr(&tgid).is_none()
        && PROCESSES.insert(&tgid, &0, 0).is_err()
    {
        count(Stat::ProcessesFull);
    }
    true
}

/// Whether the current process passes the filters that are about processes.
#[inline(always)]
pub(crate) fn passes(tgid: u32) -> bool {
    if config!(join) == 0 {
        if !watched(tgid) {
            return false;
        }
    } else if tgid == config!(own_tgid) {
        return false;
    }
    let filters = config!(filters);
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

/// Whether the current thread has one of the names, or its process has.
#[inline(always)]
fn comm_passes() -> bool {
    if let Ok(thread) = bpf_get_current_comm()
        && COMMS.get_ptr(&thread).is_some()
    {
        return true;
    }
    current_task()
        .follow(config!(fields.task_group_leader))
        .and_then(|leader| leader.read::<[u8; 16]>(config!(fields.task_comm)))
        .is_some_and(|process| COMMS.get_ptr(&process).is_some())
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
