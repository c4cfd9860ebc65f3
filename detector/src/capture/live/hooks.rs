//! The hooks: one row per program.

use aya::{
    Btf, Ebpf,
    programs::{BtfTracePoint, Program, ProgramError, TracePoint},
};

use super::CaptureError;

/// Where a program is attached.
enum Hook {
    /// A tracepoint by its typed arguments.
    Typed(&'static str),
    /// A system call's tracepoint, in `events/syscalls`.
    Syscall(&'static str),
}

/// One program.
struct Row {
    program: &'static str,
    hook: Hook,
    /// What it is for, as the rest of a sentence.
    purpose: &'static str,
    /// The kernel that first has it.
    since: &'static str,
}

const fn row(program: &'static str, hook: Hook, purpose: &'static str, since: &'static str) -> Row {
    Row {
        program,
        hook,
        purpose,
        since,
    }
}

const BEGINNINGS: &str = "shows where connections begin";

/// Those that show how connections begin and end. They are attached before
/// [`COUNTING`]: a socket is counted only from when its end would be seen.
const FRAMING: &[Row] = &[
    row(
        "enter_shutdown",
        Hook::Syscall("sys_enter_shutdown"),
        "shows shutdown()",
        "4.7",
    ),
    row(
        "enter_close",
        Hook::Syscall("sys_enter_close"),
        "shows close()",
        "4.7",
    ),
    row(
        "process_exit",
        Hook::Typed("sched_process_exit"),
        "shows the end of a process",
        "5.5",
    ),
    row(
        "fork",
        Hook::Typed("sched_process_fork"),
        "shows new children",
        "5.5",
    ),
    row(
        "exit_accept",
        Hook::Syscall("sys_exit_accept"),
        BEGINNINGS,
        "4.7",
    ),
    row(
        "exit_accept4",
        Hook::Syscall("sys_exit_accept4"),
        BEGINNINGS,
        "4.7",
    ),
    row(
        "enter_connect",
        Hook::Syscall("sys_enter_connect"),
        BEGINNINGS,
        "4.7",
    ),
    row(
        "exit_sendfile",
        Hook::Syscall("sys_exit_sendfile64"),
        "shows what sendfile returned",
        "4.7",
    ),
];

/// Those that count. `sendfile` and `splice` pass the second only from 6.5 on
/// (it is older itself), so that is what is asked for.
const COUNTING: &[Row] = &[
    row(
        "recv_length",
        Hook::Typed("sock_recv_length"),
        "counts received bytes",
        "6.5",
    ),
    row(
        "send_length",
        Hook::Typed("sock_send_length"),
        "counts sent bytes",
        "6.5",
    ),
];

/// Loads and attaches every program.
pub(super) fn attach(programs: &mut Ebpf, btf: &Btf) -> Result<(), CaptureError> {
    for phase in [FRAMING, COUNTING] {
        attach_all(phase, programs, btf)?;
    }
    Ok(())
}

/// Each in a thread of its own: verifying takes time, and so does waiting, in
/// each attachment, until no CPU is in the tracepoint.
fn attach_all(rows: &[Row], programs: &mut Ebpf, btf: &Btf) -> Result<(), CaptureError> {
    if let Some(row) = rows
        .iter()
        .find(|row| programs.program(row.program).is_none())
    {
        return Err(CaptureError::Object(row.program));
    }
    std::thread::scope(|scope| {
        let attaching: Vec<_> = programs
            .programs_mut()
            .filter_map(|(name, program)| {
                let row = rows.iter().find(|row| row.program == name)?;
                Some((row, scope.spawn(|| row.hook.attach(program, btf))))
            })
            .collect();
        attaching
            .into_iter()
            .try_for_each(|(row, thread)| match thread.join() {
                Ok(result) => result.map_err(|error| row.refused(error)),
                Err(panic) => std::panic::resume_unwind(panic),
            })
    })
}

impl Row {
    fn refused(&self, error: ProgramError) -> CaptureError {
        match error {
            // The kernel has no such tracepoint.
            ProgramError::Btf(_) | ProgramError::TracePointError(_) => CaptureError::NoHook {
                hook: self.hook.name(),
                purpose: self.purpose,
                since: self.since,
            },
            source => CaptureError::Program {
                program: self.program,
                source,
            },
        }
    }
}

impl Hook {
    fn attach(&self, program: &mut Program, btf: &Btf) -> Result<(), ProgramError> {
        match self {
            Self::Typed(tracepoint) => {
                let program: &mut BtfTracePoint = program.try_into()?;
                program.load(tracepoint, btf)?;
                program.attach()?;
            }
            Self::Syscall(tracepoint) => {
                let program: &mut TracePoint = program.try_into()?;
                program.load()?;
                program.attach("syscalls", tracepoint)?;
            }
        }
        Ok(())
    }

    fn name(&self) -> &'static str {
        match self {
            Self::Typed(name) | Self::Syscall(name) => name,
        }
    }
}
