//! The hooks: one row per program.

use aya::{
    Btf, Ebpf,
    programs::{BtfTracePoint, ProgramError, TracePoint},
};

use super::CaptureError;

/// Where a program is attached.
enum Hook {
    /// A tracepoint by its typed arguments.
    Typed(&'static str),
    /// A system call's tracepoint, in `events/syscalls`.
    Syscall(&'static str),
}

/// A program, its hook, what it is for (as the rest of a sentence), and the
/// kernel that first has it.
struct Row(&'static str, Hook, &'static str, &'static str);

/// All of them. The endings come first: a socket is counted only from when its
/// end would be seen.
const ROWS: &[Row] = &[
    Row(
        "enter_shutdown",
        Hook::Syscall("sys_enter_shutdown"),
        "shows shutdown()",
        "4.7",
    ),
    Row(
        "enter_close",
        Hook::Syscall("sys_enter_close"),
        "shows close()",
        "4.7",
    ),
    Row(
        "process_exit",
        Hook::Typed("sched_process_exit"),
        "shows the end of a process",
        "5.5",
    ),
    Row(
        "fork",
        Hook::Typed("sched_process_fork"),
        "shows new children",
        "5.5",
    ),
    Row(
        "exit_accept",
        Hook::Syscall("sys_exit_accept"),
        "shows where connections begin",
        "4.7",
    ),
    Row(
        "exit_accept4",
        Hook::Syscall("sys_exit_accept4"),
        "shows where connections begin",
        "4.7",
    ),
    Row(
        "enter_connect",
        Hook::Syscall("sys_enter_connect"),
        "shows where connections begin",
        "4.7",
    ),
    Row(
        "exit_sendfile",
        Hook::Syscall("sys_exit_sendfile64"),
        "shows what sendfile returned",
        "4.7",
    ),
    Row(
        "recv_length",
        Hook::Typed("sock_recv_length"),
        "counts received bytes",
        "6.5",
    ),
    Row(
        "send_length",
        Hook::Typed("sock_send_length"),
        "counts sent bytes",
        "6.5",
    ),
];

/// Loads and attaches every program.
pub(super) fn attach(programs: &mut Ebpf) -> Result<(), CaptureError> {
    let btf =
        Btf::from_sys_fs().map_err(|error| CaptureError::Load(aya::EbpfError::BtfError(error)))?;
    for Row(program, hook, purpose, since) in ROWS {
        let loaded = programs
            .program_mut(program)
            .ok_or(CaptureError::Object(program))?;
        let failed = |source| match source {
            // The kernel has no such tracepoint.
            ProgramError::Btf(_) | ProgramError::TracePointError(_) => CaptureError::NoHook {
                hook: hook.name(),
                purpose,
                since,
            },
            source => CaptureError::Program { program, source },
        };
        match hook {
            Hook::Typed(tracepoint) => {
                let loaded: &mut BtfTracePoint = loaded.try_into().map_err(failed)?;
                loaded.load(tracepoint, &btf).map_err(failed)?;
                loaded.attach().map_err(failed)?;
            }
            Hook::Syscall(tracepoint) => {
                let loaded: &mut TracePoint = loaded.try_into().map_err(failed)?;
                loaded.load().map_err(failed)?;
                loaded.attach("syscalls", tracepoint).map_err(failed)?;
            }
        }
    }
    Ok(())
}

impl Hook {
    fn name(&self) -> &'static str {
        match self {
            Self::Typed(name) | Self::Syscall(name) => name,
        }
    }
}
