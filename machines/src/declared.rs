//! What truncwatch is said to do on each kernel. Anything else is a
//! difference, and fails.

use super::{arch::Arch, boot::Boot, fetch::Kernel};

/// What truncwatch says on standard error that it does not see, and from which
/// kernel on it does.
const REDUCED: [(&str, [u64; 2]); 2] = [
    ("io_uring_submit_req", [6, 0]),
    ("io_uring_queue_async_work", [6, 0]),
];

/// Something that is taken away from a machine on purpose.
pub(super) struct Degraded {
    /// What it adds to the kernel's command line: for the kernel, or for `init.sh`.
    pub(super) command_line: &'static str,
    /// What truncwatch's one line has in it when it is refused with status 2, or
    /// `None` where it watches.
    refused: Option<&'static str>,
}

/// Tried on every kernel that is not refused.
pub(super) const DEGRADED: [Degraded; 4] = [
    Degraded {
        command_line: "lockdown=confidentiality sysctl.kernel.io_uring_disabled=2",
        refused: Some("lockdown=integrity"),
    },
    // It mounts it itself.
    Degraded {
        command_line: "TRACEFS=no",
        refused: None,
    },
    Degraded {
        command_line: "CGROUP=v1",
        refused: None,
    },
    Degraded {
        command_line: "CGROUP=v1 OPTION=--unit=x.service",
        refused: Some("control groups"),
    },
];

impl Degraded {
    /// How this boot differs from that.
    pub(super) fn difference(&self, boot: &Boot) -> Option<String> {
        let lines = &boot.load.lines;
        let as_declared = match self.refused {
            Some(part) => {
                let clear = matches!(&lines[..], [line] if line.contains(part));
                boot.load.status == 2 && clear
            }
            None => boot.loads() && boot.unseen().is_empty(),
        };
        let as_declared = as_declared && boot.complete && boot.warnings.is_empty();
        (!as_declared).then(|| format!("with {}: {lines:?}", self.command_line))
    }
}

/// A quarter of the instructions that the verifier walks before it gives up.
pub(super) const INSTRUCTIONS: u64 = 250_000;

/// Tests that need what an emulated machine has not.
pub(super) const LEFT_OUT: [(&str, &str); 15] = [
    (
        "daemon::",
        "the same kernel side, and time: the host's tests run it",
    ),
    ("frameworks::", "servers that are not static binaries"),
    (
        "a_hundred_thousand_short_connections",
        "time: short_connections_over_tcp is the same with fewer",
    ),
    ("uploads::", "Python"),
    ("nginx", "nginx"),
    ("stacks::c::", "a C compiler"),
    ("head_by_head", "Python"),
    ("children_are_followed", "Python"),
    ("filters::", "Python"),
    ("command::", "Python, script and a user database"),
    ("privileges::", "setpriv"),
    ("control_groups", "control groups"),
    ("commands_that_cannot_be_run", "a user database"),
    ("the_status_line_is_for_terminals", "script"),
    ("same_as_strace::", "strace"),
];

/// How this boot differs from what is declared of its kernel, in words.
pub(super) fn differences(arch: &Arch, kernel: &Kernel, boot: &Boot, tests: usize) -> Vec<String> {
    let mut differences = Vec::new();
    let mut differ = |difference: String| differences.push(difference);
    if !boot.complete {
        differ("it did not come to its end".to_owned());
    }
    for warning in &boot.warnings {
        differ(format!("the kernel says: {warning}"));
    }
    if kernel.is_older_than(arch.floor) {
        // One line that says since when it would work, and exit status 2.
        let clear = matches!(&boot.load.lines[..], [line] if line.contains(" and later"));
        if boot.load.status != 2 || !clear {
            differ("not refused by one clear line and status 2".to_owned());
        }
        return differences;
    }
    if !boot.loads() {
        differ("truncwatch does not load".to_owned());
        return differences;
    }
    let unseen = boot.unseen();
    for (hook, since) in REDUCED {
        let declared = kernel.is_older_than(since);
        let said = unseen.iter().any(|line| line.contains(hook));
        if declared != said {
            let (declared, said) = (seen(declared), seen(said));
            differ(format!("{hook} is declared {declared} and is {said}"));
        }
    }
    if unseen
        .iter()
        .any(|line| !REDUCED.iter().any(|(hook, _)| line.contains(hook)))
    {
        differ(format!("not declared: {}", unseen.join("; ")));
    }
    for (program, count) in boot.instructions() {
        if count > INSTRUCTIONS {
            differ(format!(
                "{program} is {count} instructions to the verifier, more than {INSTRUCTIONS}"
            ));
        }
    }
    for test in boot.tests.iter().filter(|test| test.status != 0) {
        differ(format!("{} failed", test.name));
    }
    if boot.tests.len() != tests {
        differ(format!("{} of {tests} tests ran", boot.tests.len()));
    }
    differences
}

fn seen(not: bool) -> &'static str {
    if not { "not seen" } else { "seen" }
}
