//! Why a watch could not begin, in words.

use aya::{maps::MapError, programs::ProgramError};

use super::btf::BtfError;

/// Why a watch could not begin. Each message says what to do next.
#[derive(Debug, thiserror::Error)]
pub enum CaptureError {
    /// Not enough privilege.
    #[error(
        "watching needs root, or the capabilities CAP_BPF, CAP_PERFMON and CAP_DAC_READ_SEARCH: run it with sudo, or without root trace with strace and judge its log (truncwatch analyze --help)"
    )]
    Privilege,
    /// Too few files may be open.
    #[error(
        "watching takes some {needed} open files, and this process may have {limit} (RLIMIT_NOFILE): run it where ulimit -n is {enough} or more"
    )]
    Descriptors {
        /// As many as it takes.
        needed: u64,
        /// As many as may be.
        limit: u64,
        /// As many as is always enough.
        enough: u64,
    },
    /// A tracing file system is missing.
    #[error(
        "tracefs is not mounted and could not be mounted ({0}): mount -t tracefs tracefs /sys/kernel/tracing"
    )]
    Tracefs(std::io::Error),
    /// The tracing file system is root's.
    #[error(
        "tracefs (/sys/kernel/tracing) cannot be read: run it with sudo, or with CAP_DAC_READ_SEARCH, CAP_BPF and CAP_PERFMON"
    )]
    TracefsUnreadable,
    /// The system call is filtered.
    #[error(
        "bpf() is refused to this process, whatever its capabilities, by a seccomp filter or a security module: for a container, start it with --privileged or --security-opt seccomp=unconfined"
    )]
    Filtered,
    /// The kernel asks for more than CAP_PERFMON.
    #[error(
        "perf_event_open() is refused, and functions of the kernel's cannot be traced instead ({reason}): where kernel.perf_event_paranoid is above 2 (Debian's kernels begin with 3), it asks for CAP_SYS_ADMIN: run it as root or with that capability too, or set sysctl kernel.perf_event_paranoid=2"
    )]
    Paranoid {
        /// Why they cannot.
        reason: String,
    },
    /// The kernel keeps its secrets.
    #[error(
        "the kernel is locked down to confidentiality, where programs may not read its structures: boot with lockdown=integrity"
    )]
    Lockdown,
    /// Process numbers would not be the kernel's.
    #[error(
        "truncwatch runs in a process namespace of its own, where process numbers are not the kernel's: start it in the host's (for a container: --pid=host --privileged)"
    )]
    PidNamespace,
    /// Kernel structures.
    #[error(transparent)]
    Btf(#[from] BtfError),
    /// The kernel refused the programs or maps.
    #[error("the kernel refused the BPF object: {}", chain(.0))]
    Load(#[from] aya::EbpfError),
    /// It is no object at all.
    #[error("this is no BPF object: {0}; name one that cargo xtask ebpf has built")]
    NoObject(object::Error),
    /// One program could not be loaded.
    #[error("the kernel refused the program {program}: {}", refusal(.source))]
    Program {
        /// Its name.
        program: &'static str,
        /// Why.
        source: ProgramError,
    },
    /// A tracepoint is missing.
    #[error(
        "this kernel has no tracepoint {hook}, which {purpose}: it is in Linux {since} and later"
    )]
    NoHook {
        /// The tracepoint.
        hook: &'static str,
        /// What it is for.
        purpose: &'static str,
        /// The first kernel that has it.
        since: &'static str,
    },
    /// Neither a tracepoint nor the function that could be traced instead.
    #[error(
        "this kernel has neither the tracepoint {tracepoint} nor the function {function}, which {purpose}: the first is in Linux {since} and later"
    )]
    NoFunction {
        /// The tracepoint.
        tracepoint: &'static str,
        /// The function.
        function: &'static str,
        /// What it is for.
        purpose: &'static str,
        /// The first kernel that has the tracepoint.
        since: &'static str,
    },
    /// A tracepoint is missing, and functions cannot be traced.
    #[error(
        "this kernel has no tracepoint {tracepoint}, which {purpose}, and refuses to trace the function {function} instead ({reason}): the tracepoint is in Linux {since} and later"
    )]
    Untraceable {
        /// The tracepoint.
        tracepoint: &'static str,
        /// The function.
        function: &'static str,
        /// What it is for.
        purpose: &'static str,
        /// The first kernel that has the tracepoint.
        since: &'static str,
        /// Why.
        reason: String,
    },
    /// Programs cannot call what they need.
    #[error(
        "this kernel has no function {helper}, which {purpose}: it is in Linux {since} and later"
    )]
    NoHelper {
        /// The function.
        helper: &'static str,
        /// What it is for.
        purpose: &'static str,
        /// The first kernel that has it.
        since: &'static str,
    },
    /// A map could not be used.
    #[error("a BPF map cannot be used: {}", chain(.0))]
    Map(#[from] MapError),
    /// A map could not be shared with the kernel.
    #[error("cannot map memory that is shared with the kernel side: {0}")]
    Shared(std::io::Error),
    /// The event loop cannot wait for the ring buffer.
    #[error("cannot wait for the ring buffer: {0}")]
    EventLoop(std::io::Error),
    /// The object does not hold what this program expects.
    #[error("the embedded BPF object has no {0}: rebuild it with cargo xtask ebpf")]
    Object(&'static str),
}

impl CaptureError {
    /// The kernel lacks a hook; it refused none that it has.
    pub(super) fn is_absence(&self) -> bool {
        matches!(
            self,
            Self::NoHook { .. } | Self::NoFunction { .. } | Self::Untraceable { .. }
        )
    }
}

/// An error and what caused it, on one line.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let cause_text = cause.to_string();
        if !text.contains(&cause_text) {
            text.push_str(": ");
            text.push_str(&cause_text);
        }
        source = cause.source();
    }
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// Bytes of the verifier's log that a message shows, its end: the log of a
/// whole program fills screens, and the reason stands last.
const LOG_END: usize = 300;

/// Why a program was refused, on one line.
pub(super) fn refusal(error: &ProgramError) -> String {
    let ProgramError::LoadError {
        io_error,
        verifier_log,
    } = error
    else {
        return chain(error);
    };
    let log = verifier_log.to_string();
    let words: Vec<_> = log.split_whitespace().collect();
    let log = words.join(" ");
    if log.is_empty() {
        return io_error.to_string();
    }
    let start = log.len().saturating_sub(LOG_END);
    let end = log.get(start..).unwrap_or(&log);
    format!("{io_error}; the verifier's log ends: {end}")
}
