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
    fs::{self, File},
    os::{
        fd::{AsFd as _, AsRawFd as _, RawFd},
        unix::fs::FileExt as _,
    },
};

use aya::{Ebpf, programs::Program};

use super::hooks;

const OWN: &str = "/proc/self/fdinfo";

/// More bytes than the kernel tells of a program or its link.
const MOST: usize = 1024;

/// Where the numbers are told of the programs whose lack matters. The files stay open:
/// they are read whenever something was found.
pub(super) struct Misses(Vec<Counter>);

struct Counter {
    program: String,
    what: &'static str,
    told: File,
}

impl Misses {
    /// Of programs that are attached: their descriptors, and those of their links, which
    /// they own, stay open as long as they do. And those of which it cannot be read.
    pub(super) fn find(programs: &Ebpf) -> (Self, Vec<String>) {
        let mut counters = Vec::new();
        let mut unknown = Vec::new();
        for (name, program) in programs.programs().filter(|(name, _)| hooks::loses(name)) {
            // Those that this kernel does not need are not loaded.
            let Ok(fd) = program.fd() else { continue };
            match Counter::of(name, "recursion_misses:", fd.as_fd().as_raw_fd()) {
                Some(counter) => counters.push(counter),
                None => unknown.push(name.to_owned()),
            }
        }
        counters.extend(links(programs));
        (Self(counters), unknown)
    }

    /// The probes of which the kernel tells how often it passed by them.
    pub(super) fn probes(&self) -> Vec<&str> {
        let links = self.0.iter().filter(|counter| counter.what == MISSED);
        let mut names: Vec<_> = links.map(|counter| counter.program.as_str()).collect();
        names.sort_unstable();
        names
    }

    /// How often each was left out, where it was.
    pub(super) fn by_program(&self) -> BTreeMap<String, u64> {
        let mut all = BTreeMap::new();
        for counter in &self.0 {
            let count = counter.count().unwrap_or(0);
            if count > 0 {
                *all.entry(counter.program.clone()).or_default() += count;
            }
        }
        all
    }
}

/// What a link's number is told as.
const MISSED: &str = "missed:";

/// The links of the probes that are attached.
fn links(programs: &Ebpf) -> Vec<Counter> {
    let probes: BTreeMap<u32, &str> = programs
        .programs()
        .filter(|(_, program)| matches!(program, Program::KProbe(_)))
        .filter_map(|(name, program)| Some((program.info().ok()?.id(), name)))
        .collect();
    if probes.is_empty() {
        return Vec::new();
    }
    let open = fs::read_dir(OWN).into_iter().flatten().flatten();
    open.filter_map(|entry| {
        let fd = entry.file_name().to_str()?.parse().ok()?;
        let text = fs::read_to_string(entry.path()).ok()?;
        count(&text, MISSED)?;
        let program = u32::try_from(count(&text, "prog_id:")?).ok()?;
        Counter::of(probes.get(&program)?, MISSED, fd)
    })
    .collect()
}

impl Counter {
    fn of(program: &str, what: &'static str, fd: RawFd) -> Option<Self> {
        Some(Self {
            program: program.to_owned(),
            what,
            told: File::open(format!("{OWN}/{fd}")).ok()?,
        })
    }

    /// As it is now: read from its beginning, the file is made anew (seq_file, Linux
    /// Documentation/filesystems/seq_file.rst).
    fn count(&self) -> Option<u64> {
        let mut text = [0; MOST];
        let length = self.told.read_at(&mut text, 0).ok()?;
        count(str::from_utf8(text.get(..length)?).ok()?, self.what)
    }
}

/// The number behind this on a line of its own.
fn count(text: &str, what: &str) -> Option<u64> {
    let line = text.lines().find_map(|line| line.strip_prefix(what))?;
    line.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use std::io::{Seek as _, SeekFrom};

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

    #[test]
    fn a_number_is_told_as_it_is_now() -> std::io::Result<()> {
        let mut file = File::open(std::env::current_exe()?)?;
        let position = Counter::of("any", "pos:", file.as_raw_fd());
        let now = || position.as_ref().and_then(Counter::count);
        assert_eq!(now(), Some(0));
        file.seek(SeekFrom::Start(7))?;
        assert_eq!(now(), Some(7));
        Ok(())
    }
}
