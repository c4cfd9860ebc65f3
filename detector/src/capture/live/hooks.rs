//! The hooks: one row per program.

use aya::{
    Btf, Ebpf,
    programs::{BtfTracePoint, Program, ProgramError, TracePoint},
};
use aya_obj::btf::BtfKind;

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
    need: Need,
}

/// What to do without a hook.
#[derive(Clone, Copy, PartialEq)]
enum Need {
    /// Refuse to watch.
    Required,
    /// Watch, and say what is not seen.
    Optional,
    /// This architecture never has it.
    Absent,
}

const fn row(program: &'static str, hook: Hook, purpose: &'static str, since: &'static str) -> Row {
    Row {
        program,
        hook,
        purpose,
        since,
        need: Need::Required,
    }
}

impl Row {
    fn missing(&self) -> CaptureError {
        CaptureError::NoHook {
            hook: self.hook.name(),
            purpose: self.purpose,
            since: self.since,
        }
    }

    const fn optional(mut self) -> Self {
        self.need = Need::Optional;
        self
    }

    /// arm64 has only the calls of the generic table.
    const fn only_on_x86_64(mut self) -> Self {
        if !cfg!(target_arch = "x86_64") {
            self.need = Need::Absent;
        }
        self
    }
}

const BEGINNINGS: &str = "shows where connections begin";

/// Those that show how connections end. They are attached before
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
        "enter_close_range",
        Hook::Syscall("sys_enter_close_range"),
        "shows close_range()",
        "5.9",
    ),
    row(
        "enter_dup2",
        Hook::Syscall("sys_enter_dup2"),
        "shows dup2() over a socket",
        "4.7",
    )
    .only_on_x86_64(),
    row(
        "enter_dup3",
        Hook::Syscall("sys_enter_dup3"),
        "shows dup3() over a socket",
        "4.7",
    ),
    row(
        "prepare_exec",
        Hook::Typed("sched_prepare_exec"),
        "shows sockets that an exec closes",
        "6.10",
    )
    .optional(),
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
        "uring_submit",
        Hook::Typed("io_uring_submit_req"),
        "shows where io_uring's bytes are, and its close",
        "6.3",
    )
    .optional(),
    row(
        "uring_queue",
        Hook::Typed("io_uring_queue_async_work"),
        "shows shutdown by io_uring",
        "6.0",
    )
    .optional(),
    row(
        "exit_sendmmsg",
        Hook::Syscall("sys_exit_sendmmsg"),
        "tells one sendmmsg from the next",
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

/// Those that tell which connections are seen from their first byte. They are
/// attached after [`COUNTING`]: such a byte must have been counted.
const BIRTHS: &[Row] = &[
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
        "exit_socketpair",
        Hook::Syscall("sys_exit_socketpair"),
        BEGINNINGS,
        "4.7",
    ),
    row(
        "enter_connect",
        Hook::Syscall("sys_enter_connect"),
        BEGINNINGS,
        "4.7",
    ),
];

/// What the running kernel has.
#[derive(Clone, Copy)]
struct Kernel<'a> {
    btf: &'a Btf,
    /// Tracepoints that are taken for missing: they are looked for under a name
    /// that no kernel has.
    hidden: &'a [String],
}

impl Kernel<'_> {
    fn name_of(self, tracepoint: &str) -> String {
        if self.hidden.iter().any(|name| name == tracepoint) {
            return format!("{tracepoint}_renamed");
        }
        tracepoint.to_owned()
    }
}

/// Loads and attaches every program. Returns what will not be seen, because
/// this kernel lacks an optional hook. The `hidden` are taken for missing.
pub(super) fn attach(
    programs: &mut Ebpf,
    btf: &Btf,
    hidden: &[String],
) -> Result<Vec<String>, CaptureError> {
    let kernel = Kernel { btf, hidden };
    // Before anything is loaded: a kernel that is too old may refuse a program
    // for other reasons, which say less.
    for row in COUNTING.iter().chain(FRAMING) {
        if row.need == Need::Required && !row.hook.may_exist(kernel) {
            return Err(row.missing());
        }
    }
    let mut reduced = attach_all(FRAMING, programs, kernel)?;
    reduced.append(&mut attach_all(COUNTING, programs, kernel)?);
    reduced.append(&mut attach_all(BIRTHS, programs, kernel)?);
    Ok(reduced)
}

/// One hook that was tried.
pub(super) struct Tried {
    pub(super) hook: &'static str,
    /// What it is for, as the rest of a sentence.
    pub(super) purpose: &'static str,
    /// Watching works without it.
    pub(super) optional: bool,
    pub(super) result: Result<(), CaptureError>,
}

/// Loads and attaches every program, one after the other, whatever becomes of
/// the others.
pub(super) fn try_each(programs: &mut Ebpf, btf: &Btf) -> Vec<Tried> {
    let kernel = Kernel { btf, hidden: &[] };
    [FRAMING, COUNTING, BIRTHS]
        .into_iter()
        .flatten()
        .filter(|row| row.need != Need::Absent)
        .map(|row| Tried {
            hook: row.hook.name(),
            purpose: row.purpose,
            optional: row.need == Need::Optional,
            result: match programs.program_mut(row.program) {
                Some(program) => row
                    .hook
                    .attach(program, kernel)
                    .map_err(|error| row.refused(error)),
                None => Err(CaptureError::Object(row.program)),
            },
        })
        .collect()
}

/// Each in a thread of its own: verifying takes time, and so does waiting, in
/// each attachment, until no CPU is in the tracepoint.
fn attach_all(
    rows: &[Row],
    programs: &mut Ebpf,
    kernel: Kernel<'_>,
) -> Result<Vec<String>, CaptureError> {
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
                (row.need != Need::Absent)
                    .then(|| (row, scope.spawn(move || row.hook.attach(program, kernel))))
            })
            .collect();
        let mut reduced = Vec::new();
        for (row, thread) in attaching {
            let result = match thread.join() {
                Ok(result) => result.map_err(|error| row.refused(error)),
                Err(panic) => std::panic::resume_unwind(panic),
            };
            match result {
                Err(error @ CaptureError::NoHook { .. }) if row.need == Need::Optional => {
                    reduced.push(error.to_string());
                }
                result => result?,
            }
        }
        Ok(reduced)
    })
}

impl Row {
    fn refused(&self, error: ProgramError) -> CaptureError {
        match error {
            // The kernel has no such tracepoint.
            ProgramError::Btf(_) | ProgramError::TracePointError(_) => self.missing(),
            source => CaptureError::Program {
                program: self.program,
                source,
            },
        }
    }
}

impl Hook {
    /// Whether the kernel's types speak of it; `true` where they cannot tell.
    fn may_exist(&self, kernel: Kernel<'_>) -> bool {
        match self {
            Self::Typed(name) => {
                let name = format!("btf_trace_{}", kernel.name_of(name));
                kernel
                    .btf
                    .id_by_type_name_kind(&name, BtfKind::Typedef)
                    .is_ok()
            }
            Self::Syscall(_) => true,
        }
    }

    fn attach(&self, program: &mut Program, kernel: Kernel<'_>) -> Result<(), ProgramError> {
        match self {
            Self::Typed(tracepoint) => {
                let program: &mut BtfTracePoint = program.try_into()?;
                program.load(&kernel.name_of(tracepoint), kernel.btf)?;
                program.attach()?;
            }
            Self::Syscall(tracepoint) => {
                let program: &mut TracePoint = program.try_into()?;
                program.load()?;
                program.attach("syscalls", &kernel.name_of(tracepoint))?;
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
