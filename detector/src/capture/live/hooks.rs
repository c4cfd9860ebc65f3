//! The hooks: what a program is attached to, and in which order (`hooks/rows.rs`: which
//! they are; `hooks/count_functions.rs`: where tracepoints are missing; `hooks/row.rs`: what one
//! is; `hooks/attach.rs`: how one is attached).

mod attach;
mod count_functions;
mod parallel;
mod row;
mod rows;

use std::sync::atomic::AtomicU64;

use aya::{Btf, Ebpf};

pub(super) use self::{
    count_functions::counts,
    rows::{MESSAGE, RESET},
};
use self::{
    parallel::parallel,
    row::{Hook, Kernel, Need, Row},
    rows::{CLOSING, COOKIES, COUNTING, NEW_SOCKETS},
};
use super::CaptureError;

/// All of them.
pub(super) const COOKIE_MAKERS: &str = "recv_cookie or send_cookie";

/// Whether calls may go uncounted where this program was left out. What the makers of
/// cookies miss, those behind them count; a reset that is missed, because the kernel was
/// just sending another on that CPU, counts nothing, and refutes nothing.
pub(super) fn loses(program: &str) -> bool {
    !COOKIES.iter().any(|row| row.program == program) && !rows::is_of_resets(program)
}

/// Whether it is told where the kernel sends a reset.
pub(super) fn sees_resets(btf: &super::btf::Btf) -> bool {
    btf.has_tracepoint_of("sock", rows::SEND_RESET)
}

/// What is not seen where programs that are not preempted cannot be used.
const PREEMPTED: &str = "calls that this kernel leaves out where it preempts a program: they \
    count as lost; there are fewer where perf_event_open() is allowed, as root or with sysctl \
    kernel.perf_event_paranoid=2";

/// Tracepoints that older kernels have with other arguments: these gave the ring
/// first, and are then as good as missing.
const REQUEST_TRACEPOINTS: [&str; 2] = ["io_uring_submit_sqe", "io_uring_queue_async_work"];

/// Those that do not name a request first on this kernel.
pub(super) fn other_arguments(btf: &super::btf::Btf) -> Vec<String> {
    let of_request = btf.tracepoints_of("io_kiocb");
    let others = REQUEST_TRACEPOINTS.into_iter();
    others
        .filter(|name| !of_request.iter().any(|found| found == name))
        .map(str::to_owned)
        .collect()
}

/// The hooks that count here.
fn counting(kernel: Kernel<'_>) -> Result<&'static [Row], CaptureError> {
    let tracepoints = COUNTING.iter().all(|row| row.hook.may_exist(kernel));
    if tracepoints && !count_functions::send_pages(kernel) {
        return Ok(COUNTING);
    }
    count_functions::check(kernel)?;
    Ok(count_functions::COUNTING)
}

/// Those that are attached before them.
fn cookies(kernel: Kernel<'_>, counting: &'static [Row]) -> &'static [Row] {
    let numbered = |row: &'static Row| matches!(row.on(kernel).hook, Hook::Event(..));
    if counting.iter().any(numbered) {
        COOKIES
    } else {
        &[]
    }
}

/// Loads and attaches every program. Returns what will not be seen, because
/// this kernel lacks an optional hook. The `hidden` are taken for missing. Probes are
/// used if they tell in `tried` that they work; if that is `None`, in any case.
pub(super) fn attach(
    programs: &mut Ebpf,
    btf: &Btf,
    hidden: &[String],
    hits: Option<&AtomicU64>,
) -> Result<Vec<String>, CaptureError> {
    let kernel = Kernel::new(btf, hidden, hits);
    // Before anything is loaded: a kernel that is too old may refuse a program
    // for other reasons, which say less.
    let counting = counting(kernel)?;
    for row in counting.iter().chain(CLOSING) {
        if row.need == Need::Required && !row.hook.may_exist(kernel) {
            return Err(row.missing());
        }
    }
    let steps = [CLOSING, cookies(kernel, counting), counting, NEW_SOCKETS];
    load_all(&steps, programs, kernel);
    let mut unavailable = Vec::new();
    if kernel.preempts && !kernel.perf {
        unavailable.push(PREEMPTED.to_owned());
    }
    for rows in steps {
        unavailable.append(&mut attach_all(rows, programs, kernel)?);
    }
    Ok(unavailable)
}

/// Verifies all programs at the same time, before the first is attached: that takes
/// most of the time of a start. What cannot be loaded is tried again, and told, when it
/// is attached.
fn load_all(steps: &[&'static [Row]], programs: &mut Ebpf, kernel: Kernel<'_>) {
    let rows: Vec<_> = steps
        .iter()
        .copied()
        .flatten()
        .map(|row| row.on(kernel))
        .filter(|row| row.is_wanted(kernel))
        .collect();
    let work = programs.programs_mut().filter_map(|(name, program)| {
        let row = rows.iter().copied().find(|row| row.program == name)?;
        Some((row, program))
    });
    parallel(work.collect(), |(row, program)| {
        row.hook.load(program, kernel)
    });
}

/// One hook that was tried.
pub(super) struct Attempt {
    program: &'static str,
    pub(super) hook: &'static str,
    /// What it is for, as the rest of a sentence.
    pub(super) purpose: &'static str,
    /// Watching works without it.
    pub(super) optional: bool,
    pub(super) result: Result<(), CaptureError>,
}

/// Loads and attaches every program, one after the other, whatever becomes of
/// the others.
pub(super) fn attempt_each(
    programs: &mut Ebpf,
    btf: &Btf,
    hidden: &[String],
    hits: Option<&AtomicU64>,
) -> Vec<Attempt> {
    let kernel = Kernel::new(btf, hidden, hits);
    // A kernel that is too old has none; the tracepoints then say so.
    let counting = counting(kernel).unwrap_or(COUNTING);
    let mut all: Vec<Attempt> = Vec::new();
    for first in [CLOSING, cookies(kernel, counting), counting, NEW_SOCKETS]
        .into_iter()
        .flatten()
    {
        let mut row = first.on(kernel);
        if !row.is_wanted(kernel) || all.iter().any(|tried| tried.program == row.program) {
            continue;
        }
        let mut result = row.attempt(programs, kernel);
        if row.is_probe() && result.is_err() {
            row = first;
            result = row.attempt(programs, kernel);
        }
        let twice = |tried: &Attempt| {
            tried.hook == row.hook.name() && tried.purpose == row.purpose && tried.result.is_ok()
        };
        if result.is_ok() && all.iter().any(twice) {
            continue;
        }
        all.push(Attempt {
            program: row.program,
            hook: row.hook.name(),
            purpose: row.purpose,
            optional: row.need == Need::Optional,
            result,
        });
    }
    all
}

/// Attaches them; where one is a probe that cannot be, what it stands for.
fn attach_all(
    rows: &'static [Row],
    programs: &mut Ebpf,
    kernel: Kernel<'_>,
) -> Result<Vec<String>, CaptureError> {
    let chosen = rows.iter().map(|row| row.on(kernel)).collect();
    let (mut unavailable, refused) = attach_these(chosen, programs, kernel)?;
    let others: Vec<_> = rows
        .iter()
        .filter(|row| refused.contains(&row.on(kernel).program))
        .collect();
    if !others.is_empty() {
        let (mut more, _) = attach_these(others, programs, kernel)?;
        unavailable.append(&mut more);
    }
    Ok(unavailable)
}

/// Several at once: each attachment waits until no CPU is in the tracepoint. Returns what will not be seen,
/// and the programs of probes that cannot be.
fn attach_these(
    rows: Vec<&'static Row>,
    programs: &mut Ebpf,
    kernel: Kernel<'_>,
) -> Result<(Vec<String>, Vec<&'static str>), CaptureError> {
    if let Some(row) = rows
        .iter()
        .find(|row| programs.program(row.program).is_none())
    {
        return Err(CaptureError::Object(row.program));
    }
    let work = programs.programs_mut().filter_map(|(name, program)| {
        let row = rows.iter().copied().find(|row| row.program == name)?;
        row.is_wanted(kernel).then_some((row, program))
    });
    let attached = parallel(work.collect(), |(row, program)| {
        (row, row.hook.attach(program, kernel))
    });
    let (mut unavailable, mut probes) = (Vec::new(), Vec::new());
    for (row, result) in attached {
        match result.map_err(|error| row.refused(error)) {
            Err(error) if error.is_absence() && row.need == Need::Optional => {
                unavailable.push(error.to_string());
            }
            Err(_) if row.is_probe() => probes.push(row.program),
            result => result?,
        }
    }
    Ok((unavailable, probes))
}
