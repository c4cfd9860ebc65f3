//! One hook, and what a kernel has to have for it.

use std::sync::atomic::AtomicU64;

use aya::Btf;
use aya_obj::btf::BtfKind;
use detector_common::Probe;

use crate::capture::live::{CaptureError, perf, probes};

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
    pub(super) fn check(&self, kernel: Kernel<'_>) -> std::io::Result<()> {
        self.call
            .map_or(Ok(()), |call| probes::check(call, kernel.hits))
    }
}

/// One program.
pub(super) struct Row {
    pub(super) program: &'static str,
    pub(super) hook: Hook,
    /// What it is for, as the rest of a sentence.
    pub(super) purpose: &'static str,
    /// The kernel that first has it; of a function, that has the tracepoint.
    pub(super) since: &'static str,
    pub(super) need: Need,
    /// What is tried where the kernel lacks this one.
    instead: Option<&'static Row>,
    /// What is attached where the kernel may preempt this one. If that is a probe
    /// which cannot be, this one is all the same; what it misses is counted.
    nonpreemptible: Option<&'static Row>,
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
    IfSupported,
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
        nonpreemptible: None,
        without_perf: None,
    }
}

impl Row {
    pub(super) fn is_of(&self, program: &str) -> bool {
        self.program == program
    }

    pub(super) fn missing(&self) -> CaptureError {
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

    pub(super) const fn or(mut self, other: &'static Self) -> Self {
        self.instead = Some(other);
        self
    }

    pub(super) const fn or_nonpreemptible(mut self, other: &'static Self) -> Self {
        self.nonpreemptible = Some(other);
        self
    }

    pub(super) const fn without_perf(mut self, other: &'static Self) -> Self {
        self.without_perf = Some(other);
        self
    }

    pub(super) const fn if_supported(mut self) -> Self {
        self.need = Need::IfSupported;
        self
    }

    /// This one, or the one that this kernel has instead.
    pub(super) fn on(&'static self, kernel: Kernel<'_>) -> &'static Self {
        if let Some(other) = self.without_perf
            && !kernel.perf
            && self.hook.may_exist(kernel)
            && other.hook.may_exist(kernel)
        {
            return other;
        }
        if let Some(other) = self.nonpreemptible
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
    pub(super) fn is_wanted(&self, kernel: Kernel<'_>) -> bool {
        match self.need {
            Need::Required | Need::Optional => true,
            Need::IfSupported => self.hook.exists(kernel),
            Need::Absent => false,
        }
    }

    /// arm64 has only the calls of the generic table.
    pub(super) const fn only_on_x86_64(mut self) -> Self {
        if !cfg!(target_arch = "x86_64") {
            self.need = Need::Absent;
        }
        self
    }
}

impl Row {
    pub(super) const fn is_probe(&self) -> bool {
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
    pub(super) fn may_exist(&self, kernel: Kernel<'_>) -> bool {
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

    pub(super) fn name(&self) -> &'static str {
        match self {
            Self::Typed(name)
            | Self::Syscall(name)
            | Self::Event(_, name, _)
            | Self::Probe(name, _) => name,
            Self::Start(function) | Self::End(function) => function.name,
        }
    }
}

/// For tests: with this hidden, counting is done as where they may be.
const STEADY: &str = "steady-tracepoints";

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

/// What the running kernel has.
#[derive(Clone, Copy)]
pub(super) struct Kernel<'a> {
    pub(super) btf: &'a Btf,
    /// Tracepoints that are taken for missing: they are looked for under a name
    /// that no kernel has.
    hidden: &'a [String],
    /// It may preempt a typed tracepoint's programs.
    pub(super) preempts: bool,
    /// It has kprobes.
    probes: bool,
    /// It lets us open perf's events, by which perf's tracepoints and kprobes go.
    pub(super) perf: bool,
    /// Where probes tell that they work; `None` if they are not to.
    pub(super) hits: Option<&'a AtomicU64>,
}

impl<'a> Kernel<'a> {
    pub(super) fn new(btf: &'a Btf, hidden: &'a [String], hits: Option<&'a AtomicU64>) -> Self {
        Self {
            btf,
            hidden,
            preempts: preempts(hidden),
            probes: probes::are_there(),
            perf: !hidden.iter().any(|name| name == PERF) && perf::is_permitted(),
            hits,
        }
    }

    pub(super) fn name_of(self, tracepoint: &str) -> String {
        if self.hidden.iter().any(|name| name == tracepoint) {
            return format!("{tracepoint}_renamed");
        }
        tracepoint.to_owned()
    }

    /// Whether the kernel's types know a function of this name.
    pub(super) fn has_function(self, name: &str) -> bool {
        self.btf.id_by_type_name_kind(name, BtfKind::Func).is_ok()
    }
}
