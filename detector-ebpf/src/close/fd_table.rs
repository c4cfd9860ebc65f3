//! Endings of many descriptors at once: the walk over a process's table.
//!
//! `close_range`, an exec, and the end of a process. What one descriptor's end means is in
//! `close/descriptor.rs`.

use core::ffi::c_void;

use aya_ebpf::{
    helpers::{bpf_ktime_get_ns, generated::bpf_for_each_map_elem},
    macros::{btf_tracepoint, fentry, map, tracepoint},
    maps::Array,
    programs::{BtfTracePointContext, FEntryContext, TracePointContext},
};
use detector_common::{EndKind, Stat};

use crate::{
    close::descriptor::{CloseEvent, release_one, socket_of},
    config::config,
    kernel::{current_task, descriptors},
    maps::{WORDS, count},
    processes::{is_watched, leave},
    ring::current,
    syscall::SyscallArgs,
};

/// `CLOSE_RANGE_UNSHARE` (include/uapi/linux/close_range.h): closes in a copy
/// of the table if that is shared; then the sockets live on in the original.
/// The only other flag, `CLOSE_RANGE_CLOEXEC`, marks and closes nothing.
const CLOSE_RANGE_UNSHARE: u32 = 2;

#[inline(always)]
pub(crate) fn on_close_range(call: &impl SyscallArgs) -> u32 {
    let (tgid, _) = current();
    if !is_watched(tgid) {
        return 0;
    }
    let (Ok(first), Ok(last), Ok(flags)) = (call.first(), call.second(), call.third()) else {
        return 0;
    };
    let flags = flags as u32;
    if flags & !CLOSE_RANGE_UNSHARE != 0 || first as u32 > last as u32 {
        return 0;
    }
    if flags & CLOSE_RANGE_UNSHARE != 0 && table_holders() > 1 {
        return 0;
    }
    let mut walk = Walk::new(EndKind::CloseRange, Which::Open);
    walk.first = first as u32;
    walk.last = last as u32;
    walk.run();
    0
}

/// `sched_prepare_exec`: `(struct task_struct *task, struct linux_binprm
/// *bprm)`, at the point from which the exec cannot fail without killing the
/// process, before close-on-exec descriptors are closed. Linux 6.10 and later.
/// Checked: 6.18.
#[btf_tracepoint(function = "sched_prepare_exec")]
fn prepare_exec(_context: BtfTracePointContext) -> i32 {
    on_exec()
}

/// `sched:sched_prepare_exec`: the same in perf's form (see `hooks/count_perf.rs`).
#[tracepoint]
fn exec_event(_context: TracePointContext) -> u32 {
    on_exec();
    0
}

/// `void do_close_on_exec(struct files_struct *files)`, the function that closes
/// them: for kernels without that tracepoint. The table is then the process's own
/// in any case. Checked: 6.1.
#[fentry(function = "do_close_on_exec")]
fn close_on_exec(_context: FEntryContext) -> i32 {
    on_exec()
}

#[inline(always)]
fn on_exec() -> i32 {
    let (tgid, _) = current();
    // A table that another process shares is left to it: the exec gets a copy.
    if is_watched(tgid) && !table_shared_outside() {
        Walk::new(EndKind::Exec, Which::CloseOnExec).run();
    }
    0
}

/// `sched_process_exit`: `(struct task_struct *p, …)`, before the descriptors
/// are closed. Only the last thread's matters. Checked: 5.15 to 6.18.
#[btf_tracepoint(function = "sched_process_exit")]
fn process_exit(_context: BtfTracePointContext) -> i32 {
    on_exit()
}

/// `sched:sched_process_exit`: the same in perf's form (see `hooks/count_perf.rs`).
#[tracepoint]
fn exit_event(_context: TracePointContext) -> u32 {
    on_exit();
    0
}

#[inline(always)]
fn on_exit() -> i32 {
    let (tgid, _) = current();
    if !is_watched(tgid) {
        return 0;
    }
    let task = current_task();
    let Some(signal) = task.follow(config!(fields.task_signal)) else {
        return 0;
    };
    if signal.read::<i32>(config!(fields.signal_live)).unwrap_or(1) > 0 {
        return 0;
    }
    let mut walk = Walk::new(EndKind::Exit, Which::Open);
    walk.wait_status = task.read_or_zero(config!(fields.task_exit_code));
    walk.others = u32::from(table_shared_outside());
    walk.run();
    if config!(watch_all) == 0 {
        leave(tgid);
    }
    0
}

/// Tasks that share the current descriptor table.
#[inline(always)]
pub(crate) fn table_holders() -> i32 {
    current_task()
        .follow(config!(fields.task_files))
        .and_then(|files| files.read(config!(fields.files_count)))
        .unwrap_or(0)
}

/// Whether another process shares it (CLONE_FILES without CLONE_THREAD): then
/// the end of this one closes nothing. Threads of this one that are on their
/// way out hold it too, at most as many as the process has.
#[inline(always)]
fn table_shared_outside() -> bool {
    let threads: i32 = current_task()
        .follow(config!(fields.task_signal))
        .and_then(|signal| signal.read(config!(fields.signal_threads)))
        .unwrap_or(0);
    table_holders() > threads
}

/// Entries of [`WORDS`].
const WORD_COUNT: u32 = 4096;

/// One entry per bit of a word, for its length only, as [`WORDS`].
#[map]
static BITS: Array<u32> = Array::with_max_entries(64, 0);

/// Which descriptors a walk visits.
#[derive(Clone, Copy, PartialEq)]
enum Which {
    Open,
    CloseOnExec,
}

/// A walk over the current process's descriptors, each of which goes away.
struct Walk {
    kind: EndKind,
    which: Which,
    wait_status: u32,
    /// References that the files do not tell of.
    others: u32,
    /// The range, both included.
    first: u32,
    last: u32,
    /// Tells this walk from others.
    id: u32,
    /// Where the walk is: 64 descriptors.
    word: u32,
    open: u64,
}

impl Walk {
    #[inline(always)]
    fn new(kind: EndKind, which: Which) -> Self {
        Self {
            kind,
            which,
            wait_status: 0,
            others: 0,
            first: 0,
            last: u32::MAX,
            // SAFETY: takes no argument and cannot fail.
            id: unsafe { bpf_ktime_get_ns() } as u32,
            word: 0,
            open: 0,
        }
    }

    #[inline(always)]
    fn run(&mut self) {
        let Some(table) = descriptors() else { return };
        if table.size > WORD_COUNT * 64 {
            count(Stat::ExitWalkCut);
        }
        // SAFETY: a map of this program, a callback of the form that the
        // helper asks for, and a context that outlives the call.
        unsafe {
            bpf_for_each_map_elem(
                (&raw const WORDS).cast_mut().cast(),
                walk_word as *mut c_void,
                (&raw mut *self).cast(),
                0,
            )
        };
    }
}

/// 64 descriptors.
unsafe extern "C" fn walk_word(
    _map: *mut c_void,
    key: *const u32,
    _value: *mut c_void,
    walk: *mut Walk,
) -> i64 {
    // SAFETY: the helper passes the key of the element and our context.
    let (word, walk) = unsafe { (*key, &mut *walk) };
    let Some(table) = descriptors() else { return 1 };
    if word * 64 >= table.size || word * 64 > walk.last {
        return 1;
    }
    if word * 64 + 63 < walk.first {
        return 0;
    }
    walk.open = table.open_word(word);
    if walk.which == Which::CloseOnExec {
        walk.open &= table.close_on_exec_word(word);
    }
    walk.word = word;
    if walk.open != 0 {
        // SAFETY: as in Walk::run.
        unsafe {
            bpf_for_each_map_elem(
                (&raw const BITS).cast_mut().cast(),
                walk_bit as *mut c_void,
                (&raw mut *walk).cast(),
                0,
            )
        };
    }
    0
}

/// One descriptor.
unsafe extern "C" fn walk_bit(
    _map: *mut c_void,
    key: *const u32,
    _value: *mut c_void,
    walk: *mut Walk,
) -> i64 {
    // SAFETY: as in walk_word.
    let (bit, walk) = unsafe { (*key & 63, &*walk) };
    if walk.open >> bit == 0 {
        return 1;
    }
    let number = walk.word * 64 + bit;
    if (walk.open >> bit) & 1 == 1 && number >= walk.first && number <= walk.last {
        let fd = number as i32;
        if let Some((file, socket)) = socket_of(fd) {
            let references = file.references() + walk.others;
            if walk.which == Which::CloseOnExec && references > 1 {
                // What a new child inherited, as a rule: not worth a record.
                return 0;
            }
            let ending = CloseEvent {
                kind: walk.kind,
                how: 0,
                references,
                wait_status: walk.wait_status,
                walk: walk.id,
                fd,
                by_call: false,
            };
            release_one(socket, &ending);
        }
    }
    0
}
