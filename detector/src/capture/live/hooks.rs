//! The hooks: what a program is attached to, and in which order (`hooks/rows.rs`: which
//! they are; `hooks/one.rs`: how one is).

mod at_once;
mod one;
mod rows;

use std::sync::atomic::AtomicU64;

use aya::{Btf, Ebpf};
use aya_obj::btf::BtfKind;
use detector_common::Probe;

pub(super) use self::rows::{MESSAGE, RESET};
use self::{
    at_once::at_once,
    rows::{BIRTHS, COOKIES, COUNTING, FRAMING},
};
use super::{CaptureError, functions, perf, probes};

/// Where a program is attached.
pub(super) enum Hook {
    /// A tracepoint by its typed arguments.
    Typed(&'static str),
    /// The beginning of a function of the kernel's, by its typed arguments.
    Start(Function),
    /// The end of one.
    End(Function),
    /// A system call's tracepoint, in `events/syscalls`.
    Syscall(&'static str),
    /// Another tracepoint in perf's form: its folder in `events`, its name, and the
    /// structure that its record is.
    Event(&'static str, &'static str, &'static str),
    /// The beginning of a function, by a kprobe: what is called there, and with what
    /// that is tried.
    Probe(&'static str, Probe),
}

/// What is traced where a tracepoint is missing, or cannot be opened.
#[derive(Clone, Copy)]
pub(super) struct Function {
    pub(super) name: &'static str,
    /// The tracepoint.
    pub(super) instead_of: &'static str,
    /// What it is tried with, if it is a call's.
    pub(super) call: Option<Probe>,
}

impl Function {
    /// Makes the call that it is behind, if it is to be tried.
    fn check(&self, kernel: Kernel<'_>) -> std::io::Result<()> {
        self.call
            .map_or(Ok(()), |call| probes::check(call, kernel.tried))
    }
}

/// One program.
pub(super) struct Row {
    program: &'static str,
    pub(super) hook: Hook,
    /// What it is for, as the rest of a sentence.
    pub(super) purpose: &'static str,
    /// The kernel that first has it; of a function, that has the tracepoint.
    since: &'static str,
    need: Need,
    /// What is tried where the kernel lacks this one.
    instead: Option<&'static Row>,
    /// What is attached where the kernel may preempt this one. If that is a probe
    /// which cannot be, this one is all the same; what it misses is counted.
    steady: Option<&'static Row>,
    /// What is attached where perf's events are refused.
    without_perf: Option<&'static Row>,
}

/// What to do without a hook.
#[derive(Clone, Copy, PartialEq)]
pub(super) enum Need {
    /// Refuse to watch.
    Required,
    /// Watch, and say what is not seen.
    Optional,
    /// Where the kernel has it, refuse to watch without it.
    IfThere,
    /// This architecture never has it.
    Absent,
}

pub(super) const fn row(
    program: &'static str,
    hook: Hook,
    purpose: &'static str,
    since: &'static str,
) -> Row {
    Row {
        program,
        hook,
        purpose,
        since,
        need: Need::Required,
        instead: None,
        steady: None,
        without_perf: None,
    }
}

impl Row {
    pub(super) fn is_of(&self, program: &str) -> bool {
        self.program == program
    }

    fn missing(&self) -> CaptureError {
        if let Hook::Start(function) | Hook::End(function) = self.hook {
            return CaptureError::NoFunction {
                tracepoint: function.instead_of,
                function: function.name,
                purpose: self.purpose,
                since: self.since,
            };
        }
        CaptureError::NoHook {
            hook: self.hook.name(),
            purpose: self.purpose,
            since: self.since,
        }
    }

    pub(super) const fn optional(mut self) -> Self {
        self.need = Need::Optional;
        self
    }

    const fn or(mut self, other: &'static Self) -> Self {
        self.instead = Some(other);
        self
    }

    const fn steadily(mut self, other: &'static Self) -> Self {
        self.steady = Some(other);
        self
    }

    const fn without_perf(mut self, other: &'static Self) -> Self {
        self.without_perf = Some(other);
        self
    }

    pub(super) const fn if_there(mut self) -> Self {
        self.need = Need::IfThere;
        self
    }

    /// This one, or the one that this kernel has instead.
    fn on(&'static self, kernel: Kernel<'_>) -> &'static Self {
        if let Some(other) = self.without_perf
            && !kernel.perf
            && self.hook.may_exist(kernel)
            && other.hook.may_exist(kernel)
        {
            return other;
        }
        if let Some(other) = self.steady
            && kernel.preempts
            && kernel.perf
            && self.hook.may_exist(kernel)
            && other.hook.may_exist(kernel)
        {
            return other;
        }
        match self.instead {
            Some(other) if !self.hook.may_exist(kernel) && other.hook.may_exist(kernel) => other,
            _ => self,
        }
    }

    /// Whether it is to be tried on this kernel.
    fn is_wanted(&self, kernel: Kernel<'_>) -> bool {
        match self.need {
            Need::Required | Need::Optional => true,
            Need::IfThere => self.hook.exists(kernel),
            Need::Absent => false,
        }
    }

    /// arm64 has only the calls of the generic table.
    const fn only_on_x86_64(mut self) -> Self {
        if !cfg!(target_arch = "x86_64") {
            self.need = Need::Absent;
        }
        self
    }
}

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

/// For tests: with this hidden, counting is done as where they may be.
const STEADY: &str = "steady-tracepoints";

/// What is not seen where programs that are not preempted cannot be used.
const PREEMPTED: &str = "calls that this kernel leaves out where it preempts a program: they \
    count as lost; there are fewer where perf_event_open() is allowed, as root or with sysctl \
    kernel.perf_event_paranoid=2";

/// For tests: with this hidden, it is as if perf's events were refused.
const PERF: &str = "perf-events";

/// Whether this kernel may preempt a typed tracepoint's programs.
fn preempts(hidden: &[String]) -> bool {
    // Not from /proc/sys, which a service may not be shown (ProcSubset=pid).
    let system = rustix::system::uname();
    let release = system.release().to_str().unwrap_or_default();
    let major = release
        .split('.')
        .next()
        .and_then(|it| it.parse::<u32>().ok());
    major.is_some_and(|major| major >= 7) || hidden.iter().any(|name| name == STEADY)
}

/// Tracepoints that older kernels have with other arguments: these gave the ring
/// first, and are then as good as missing.
const OF_REQUESTS: [&str; 2] = ["io_uring_submit_sqe", "io_uring_queue_async_work"];

/// Those that do not name a request first on this kernel.
pub(super) fn other_arguments(btf: &super::btf::Btf) -> Vec<String> {
    let of_request = btf.tracepoints_of("io_kiocb");
    let others = OF_REQUESTS.into_iter();
    others
        .filter(|name| !of_request.iter().any(|found| found == name))
        .map(str::to_owned)
        .collect()
}

/// What the running kernel has.
#[derive(Clone, Copy)]
pub(super) struct Kernel<'a> {
    pub(super) btf: &'a Btf,
    /// Tracepoints that are taken for missing: they are looked for under a name
    /// that no kernel has.
    hidden: &'a [String],
    /// It may preempt a typed tracepoint's programs.
    preempts: bool,
    /// It has kprobes.
    probes: bool,
    /// It lets us open perf's events, by which perf's tracepoints and kprobes go.
    perf: bool,
    /// Where probes tell that they work; `None` if they are not to.
    tried: Option<&'a AtomicU64>,
}

impl<'a> Kernel<'a> {
    fn new(btf: &'a Btf, hidden: &'a [String], tried: Option<&'a AtomicU64>) -> Self {
        Self {
            btf,
            hidden,
            preempts: preempts(hidden),
            probes: probes::are_there(),
            perf: !hidden.iter().any(|name| name == PERF) && perf::is_permitted(),
            tried,
        }
    }

    fn name_of(self, tracepoint: &str) -> String {
        if self.hidden.iter().any(|name| name == tracepoint) {
            return format!("{tracepoint}_renamed");
        }
        tracepoint.to_owned()
    }

    /// Whether the kernel's types know a function of this name.
    pub(super) fn has_function(self, name: &str) -> bool {
        self.btf.id_by_type_name_kind(name, BtfKind::Func).is_ok()
    }

    /// The hooks that count here.
    fn counting(self) -> Result<&'static [Row], CaptureError> {
        let tracepoints = COUNTING.iter().all(|row| row.hook.may_exist(self));
        if tracepoints && !functions::send_pages(self) {
            return Ok(COUNTING);
        }
        functions::check(self)?;
        Ok(functions::COUNTING)
    }

    /// Those that are attached before them.
    fn cookies(self, counting: &'static [Row]) -> &'static [Row] {
        let numbered = |row: &'static Row| matches!(row.on(self).hook, Hook::Event(..));
        if counting.iter().any(numbered) {
            COOKIES
        } else {
            &[]
        }
    }
}

/// Loads and attaches every program. Returns what will not be seen, because
/// this kernel lacks an optional hook. The `hidden` are taken for missing. Probes are
/// used if they tell in `tried` that they work; if that is `None`, in any case.
pub(super) fn attach(
    programs: &mut Ebpf,
    btf: &Btf,
    hidden: &[String],
    tried: Option<&AtomicU64>,
) -> Result<Vec<String>, CaptureError> {
    let kernel = Kernel::new(btf, hidden, tried);
    // Before anything is loaded: a kernel that is too old may refuse a program
    // for other reasons, which say less.
    let counting = kernel.counting()?;
    for row in counting.iter().chain(FRAMING) {
        if row.need == Need::Required && !row.hook.may_exist(kernel) {
            return Err(row.missing());
        }
    }
    let steps = [FRAMING, kernel.cookies(counting), counting, BIRTHS];
    load_all(&steps, programs, kernel);
    let mut reduced = Vec::new();
    if kernel.preempts && !kernel.perf {
        reduced.push(PREEMPTED.to_owned());
    }
    for rows in steps {
        reduced.append(&mut attach_all(rows, programs, kernel)?);
    }
    Ok(reduced)
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
    at_once(work.collect(), |(row, program)| {
        row.hook.load(program, kernel)
    });
}

/// One hook that was tried.
pub(super) struct Tried {
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
pub(super) fn try_each(
    programs: &mut Ebpf,
    btf: &Btf,
    hidden: &[String],
    tried: Option<&AtomicU64>,
) -> Vec<Tried> {
    let kernel = Kernel::new(btf, hidden, tried);
    // A kernel that is too old has none; the tracepoints then say so.
    let counting = kernel.counting().unwrap_or(COUNTING);
    let mut all: Vec<Tried> = Vec::new();
    for first in [FRAMING, kernel.cookies(counting), counting, BIRTHS]
        .into_iter()
        .flatten()
    {
        let mut row = first.on(kernel);
        if !row.is_wanted(kernel) || all.iter().any(|tried| tried.program == row.program) {
            continue;
        }
        let mut result = row.try_it(programs, kernel);
        if row.is_probe() && result.is_err() {
            row = first;
            result = row.try_it(programs, kernel);
        }
        let twice = |tried: &Tried| {
            tried.hook == row.hook.name() && tried.purpose == row.purpose && tried.result.is_ok()
        };
        if result.is_ok() && all.iter().any(twice) {
            continue;
        }
        all.push(Tried {
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
    let (mut reduced, refused) = attach_these(chosen, programs, kernel)?;
    let others: Vec<_> = rows
        .iter()
        .filter(|row| refused.contains(&row.on(kernel).program))
        .collect();
    if !others.is_empty() {
        let (mut more, _) = attach_these(others, programs, kernel)?;
        reduced.append(&mut more);
    }
    Ok(reduced)
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
    let attached = at_once(work.collect(), |(row, program)| {
        (row, row.hook.attach(program, kernel))
    });
    let (mut reduced, mut probes) = (Vec::new(), Vec::new());
    for (row, result) in attached {
        match result.map_err(|error| row.refused(error)) {
            Err(error) if error.is_absence() && row.need == Need::Optional => {
                reduced.push(error.to_string());
            }
            Err(_) if row.is_probe() => probes.push(row.program),
            result => result?,
        }
    }
    Ok((reduced, probes))
}

impl Row {
    const fn is_probe(&self) -> bool {
        matches!(self.hook, Hook::Probe(..))
    }
}

impl Hook {
    /// Whether the kernel has it, by whatever name it is looked for.
    fn exists(&self, kernel: Kernel<'_>) -> bool {
        let hidden = &[];
        self.may_exist(Kernel { hidden, ..kernel })
    }

    /// Whether the kernel's types speak of it; `true` where they cannot tell.
    fn may_exist(&self, kernel: Kernel<'_>) -> bool {
        match self {
            Self::Start(function) | Self::End(function) => {
                kernel.has_function(&kernel.name_of(function.name))
            }
            Self::Typed(name) => {
                let name = format!("btf_trace_{}", kernel.name_of(name));
                kernel
                    .btf
                    .id_by_type_name_kind(&name, BtfKind::Typedef)
                    .is_ok()
            }
            Self::Event(_, _, record) => kernel
                .btf
                .id_by_type_name_kind(record, BtfKind::Struct)
                .is_ok(),
            Self::Probe(function, _) => {
                kernel.probes && kernel.has_function(&kernel.name_of(function))
            }
            Self::Syscall(name) => kernel.name_of(name) == *name,
        }
    }

    fn name(&self) -> &'static str {
        match self {
            Self::Typed(name)
            | Self::Syscall(name)
            | Self::Event(_, name, _)
            | Self::Probe(name, _) => name,
            Self::Start(function) | Self::End(function) => function.name,
        }
    }
}
