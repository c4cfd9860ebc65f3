//! How often the kernel left out a program: calls that were not counted.
//!
//! It tells so in two places. Of any program, where it was already running on that CPU:
//! `recursion_misses`, beside the program's descriptor (Linux 5.12 and later). Of a kprobe
//! too where another one's handler ran on that CPU (`nmissed`, Documentation/trace/
//! kprobes.rst): `missed`, beside the descriptor of its link (proc_pid_fdinfo(5)), seen in
//! 7.3. Kernels that do not tell the second use no kprobes here unless a test asks for
//! them.

use std::{
    collections::BTreeMap,
    fs,
    os::fd::{AsFd as _, AsRawFd as _, RawFd},
};

use aya::{Ebpf, programs::Program};

use super::hooks;

const OWN: &str = "/proc/self/fdinfo";

/// Where the number is told of each kprobe.
#[derive(Default)]
pub(super) struct Probes(Vec<(String, RawFd)>);

impl Probes {
    /// Looks for the links of the probes that are attached: they stay open as long as
    /// their programs, which own them.
    pub(super) fn find(programs: &Ebpf) -> Self {
        let probes: BTreeMap<u32, &str> = programs
            .programs()
            .filter(|(_, program)| matches!(program, Program::KProbe(_)))
            .filter_map(|(name, program)| Some((program.info().ok()?.id(), name)))
            .collect();
        if probes.is_empty() {
            return Self::default();
        }
        let open = fs::read_dir(OWN).into_iter().flatten().flatten();
        let links = open.filter_map(|entry| {
            let fd = entry.file_name().to_str()?.parse().ok()?;
            let text = fs::read_to_string(entry.path()).ok()?;
            count(&text, "missed:")?;
            let program = u32::try_from(count(&text, "prog_id:")?).ok()?;
            Some(((*probes.get(&program)?).to_owned(), fd))
        });
        Self(links.collect())
    }

    /// Those of which the kernel tells, by program.
    pub(super) fn names(&self) -> Vec<&str> {
        let mut names: Vec<_> = self.0.iter().map(|(name, _)| name.as_str()).collect();
        names.sort_unstable();
        names
    }

    fn counts(&self) -> impl Iterator<Item = (String, u64)> {
        self.0
            .iter()
            .filter_map(|(name, fd)| Some((name.clone(), told(*fd, "missed:")?)))
    }
}

/// How often each was left out whose lack matters, where it was.
pub(super) fn by_program(programs: &Ebpf, probes: &Probes) -> BTreeMap<String, u64> {
    let mut all = BTreeMap::new();
    let running = programs
        .programs()
        .filter(|(name, _)| hooks::loses(name))
        .filter_map(|(name, program)| {
            let fd = program.fd().ok()?.as_fd().as_raw_fd();
            Some((name.to_owned(), told(fd, "recursion_misses:")?))
        });
    for (name, count) in running.chain(probes.counts()) {
        if count > 0 {
            *all.entry(name).or_default() += count;
        }
    }
    all
}

/// What the kernel tells of this descriptor of ours.
fn told(fd: RawFd, what: &str) -> Option<u64> {
    count(&fs::read_to_string(format!("{OWN}/{fd}")).ok()?, what)
}

/// The number behind this on a line of its own.
fn count(text: &str, what: &str) -> Option<u64> {
    let line = text.lines().find_map(|line| line.strip_prefix(what))?;
    line.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_read_by_their_whole_names() {
        let program = "prog_type:\t2\nprog_id:\t31\nrecursion_misses:\t7\n";
        assert_eq!(count(program, "missed:"), None);
        assert_eq!(count(program, "recursion_misses:"), Some(7));
        let link = "link_type:\tkprobe\nprog_id:\t31\nname:\t__x64_sys_close\nmissed:\t12\n";
        assert_eq!(count(link, "missed:"), Some(12));
        assert_eq!(count("missed:\tmany\n", "missed:"), None);
    }
}
