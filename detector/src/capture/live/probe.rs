//! What works here, found out by trying it: for `truncwatch doctor`.

use std::fs;

use rustix::thread::CapabilitySet;

use super::{CaptureError, Options, btf::Btf, cgroup::Hierarchy, environment, fields, hooks, load};
use crate::check::{Check, State};

/// Capabilities: the name, what it is for, and what its lack means.
const CAPABILITIES: [(&str, CapabilitySet, &str, State); 5] = [
    (
        "CAP_BPF",
        CapabilitySet::BPF,
        "loads programs and maps",
        State::Missing,
    ),
    (
        "CAP_PERFMON",
        CapabilitySet::PERFMON,
        "attaches programs, reads the kernel's structures",
        State::Missing,
    ),
    // Whether these two are needed is told by trying, below.
    (
        "CAP_DAC_READ_SEARCH",
        CapabilitySet::DAC_READ_SEARCH,
        "reads tracefs where it is not one's own",
        State::Works,
    ),
    (
        "CAP_SYS_PTRACE",
        CapabilitySet::SYS_PTRACE,
        "names the programs of other users' processes, and shows /proc where that hides them",
        State::Degraded,
    ),
    (
        "CAP_SYS_ADMIN",
        CapabilitySet::SYS_ADMIN,
        "mounts tracefs where it is not mounted",
        State::Works,
    ),
];

/// Tries everything below the judge, in the order in which one thing needs
/// another.
#[must_use]
pub fn probe() -> Vec<Check> {
    let mut checks = Vec::new();
    let tracefs = environment::tracefs();
    for (name, capability, purpose, otherwise) in CAPABILITIES {
        checks.push(match (environment::has(capability), otherwise) {
            (true, _) => Check::works(name, purpose),
            (false, State::Works) if tracefs.is_err() => Check::fails(
                name,
                State::Degraded,
                &format!("not held; {purpose}: run it with sudo, or give it this capability"),
            ),
            (false, State::Works) => {
                Check::works(name, format!("not held, and not needed here; {purpose}"))
            }
            (false, state) => Check::fails(
                name,
                state,
                &format!("not held; {purpose}: run it with sudo, or give it this capability"),
            ),
        });
    }
    checks.push(Check::of(
        "process namespace",
        "the host's: process numbers are the kernel's",
        State::Missing,
        environment::pid_namespace(),
    ));
    checks.push(lockdown());
    checks.push(Check::of(
        "open files",
        "as many as a watch takes",
        State::Missing,
        environment::descriptors(),
    ));
    if environment::descriptors().is_err() {
        // All that follows opens files, and would seem to lack something else.
        return checks;
    }
    checks.push(Check::of(
        "tracefs",
        "names the system calls' tracepoints",
        State::Missing,
        tracefs,
    ));
    let types = Btf::of_running_kernel();
    checks.push(Check::of(
        "kernel types (BTF)",
        super::btf::VMLINUX,
        State::Missing,
        types.as_ref(),
    ));
    if let Ok(types) = types {
        kernel(&types, &mut checks);
    }
    checks.push(match Hierarchy::find() {
        Ok(hierarchy) => Check::works(
            "control groups (v2)",
            format!("{}; for --unit and --cgroup", hierarchy.mount().display()),
        ),
        Err(error) => Check::fails("control groups (v2)", State::Degraded, &error.to_string()),
    });
    checks
}

fn lockdown() -> Check {
    let state = fs::read_to_string(environment::LOCKDOWN);
    let state = state
        .as_deref()
        .map_or("none, or securityfs is not mounted", str::trim);
    Check::of("lockdown", state, State::Missing, environment::lockdown())
}

/// What depends on the kernel's types.
fn kernel(types: &Btf, checks: &mut Vec<Check>) {
    let found = fields::fields(types);
    checks.push(Check::of(
        "kernel fields",
        "every structure field that is read",
        State::Missing,
        found.as_ref(),
    ));
    for lacking in fields::lacking(types) {
        checks.push(Check::fails("kernel fields", State::Degraded, &lacking));
    }
    let options = Options::default();
    let Ok(config) = fields::config(types, options.scope()) else {
        return;
    };
    let loaded = load(&options, &config);
    checks.push(match &loaded {
        Ok(_) => Check::works("maps and ring buffer", "made, as large as watching takes"),
        Err(error) => refused("maps and ring buffer", error),
    });
    let typed = aya::Btf::from_sys_fs();
    let (Ok(mut programs), Ok(typed)) = (loaded, typed) else {
        return;
    };
    let hits = super::probe_hits(&mut programs).ok();
    let reached = hits.as_ref().and_then(|hits| hits.as_atomic());
    let others = hooks::other_arguments(types);
    let hooks = hooks::attempt_each(&mut programs, &typed, &others, reached);
    let uring_hooks = hooks
        .iter()
        .filter(|tried| tried.hook.starts_with("io_uring"))
        .all(|tried| tried.result.is_ok());
    for tried in hooks {
        checks.push(hook(tried));
    }
    checks.push(match (fields::uring(types), uring_hooks) {
        (Ok(()), true) => Check::works(
            "io_uring",
            "operations are seen, its close and shutdown too",
        ),
        (Err(error), _) => Check::fails("io_uring", State::Degraded, &error.to_string()),
        (Ok(()), false) => Check::fails(
            "io_uring",
            State::Degraded,
            "operations are counted and their bytes are not looked at: use Linux 6.3 or later",
        ),
    });
}

fn hook(tried: hooks::Attempt) -> Check {
    match tried.result {
        Ok(()) => Check::works(tried.hook, tried.purpose),
        Err(error) if error.is_absence() => {
            let state = if tried.optional {
                State::Degraded
            } else {
                State::Missing
            };
            Check::fails(tried.hook, state, &error.to_string())
        }
        Err(error @ CaptureError::Paranoid { .. }) => {
            Check::fails(tried.hook, State::Missing, &error.to_string())
        }
        Err(error) => refused(tried.hook, &error),
    }
}

/// What the kernel would not take. Its own words are the reason.
fn refused(feature: &str, error: &CaptureError) -> Check {
    let privileged =
        environment::has(CapabilitySet::BPF) && environment::has(CapabilitySet::PERFMON);
    let remedy = if privileged {
        "see which kernels it was seen on (docs/kernels.md), and report this line"
    } else {
        "run it with sudo"
    };
    Check {
        feature: feature.to_owned(),
        state: State::Missing,
        reason: error.to_string(),
        remedy: Some(remedy.to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_to_do_stands_behind_the_last_colon() {
        let check = Check::fails("x", State::Missing, "not there: really: mount it");
        assert_eq!(check.reason, "not there: really");
        assert_eq!(check.remedy.as_deref(), Some("mount it"));
        for (message, reason, remedy) in [
            ("nothing to do", "nothing to do", None),
            (
                &*CaptureError::PidNamespace.to_string(),
                "truncwatch runs in a process namespace of its own, where process numbers are not the kernel's",
                Some("start it in the host's (for a container: --pid=host --privileged)"),
            ),
            (
                "it was not found (kernel side: {\"a\": 1}): please report this",
                "it was not found (kernel side: {\"a\": 1})",
                Some("please report this"),
            ),
            ("a (b: c) d", "a (b: c) d", None),
        ] {
            let check = Check::fails("x", State::Missing, message);
            assert_eq!(check.reason, reason);
            assert_eq!(check.remedy.as_deref(), remedy);
        }
    }
}
