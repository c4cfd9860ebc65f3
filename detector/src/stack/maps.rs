//! What a process has mapped where (`/proc/PID/maps`, proc_pid_maps(5)).

use std::{fs, sync::Arc};

/// Code that is mapped.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Mapping {
    pub(super) start: u64,
    pub(super) end: u64,
    /// Where in the file `start` is.
    pub(super) offset: u64,
    /// The file's device, as `major`, `minor`.
    pub(super) device: (u32, u32),
    /// Its inode number; 0 where there is no file.
    pub(super) inode: u64,
    /// Its path, a name in brackets, or nothing.
    pub(super) path: String,
}

impl Mapping {
    /// The path without the mark of a file that was deleted (a package that was
    /// upgraded under a running program).
    pub(super) fn name(&self) -> &str {
        self.path.strip_suffix(" (deleted)").unwrap_or(&self.path)
    }

    /// The same piece of the same file, whatever that is called now.
    fn is(&self, other: &Self) -> bool {
        let place = |it: &Self| (it.start, it.end, it.offset, it.device, it.inode);
        place(self) == place(other)
    }
}

/// The code of a process.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Maps(Vec<Mapping>);

impl Maps {
    /// As it is now; `None` if the process is gone.
    pub(super) fn of(pid: u32) -> Option<Self> {
        let text = fs::read(format!("/proc/{pid}/maps")).ok()?;
        let maps = Self::parse(&String::from_utf8_lossy(&text));
        // A process that is ending has none any more.
        (!maps.0.is_empty()).then_some(maps)
    }

    fn parse(text: &str) -> Self {
        Self(text.lines().filter_map(mapping).collect())
    }

    /// What was mapped at a time between `before` and this look at the same process, as
    /// far as the two tell: all of this one if all files of the other are there still, else
    /// only what both have. It may run another program by now. A library that came and
    /// went between the two, and another that came to its place, are not told apart.
    pub(super) fn between(self: &Arc<Self>, before: &Self) -> Arc<Self> {
        let files = before.0.iter().filter(|mapping| mapping.inode != 0);
        if files.into_iter().all(|mapping| self.has(mapping)) {
            return self.clone();
        }
        let both = self.0.iter().filter(|mapping| before.has(mapping));
        Arc::new(Self(both.cloned().collect()))
    }

    fn has(&self, mapping: &Mapping) -> bool {
        self.0.iter().any(|own| own.is(mapping))
    }

    #[cfg(test)]
    pub(super) fn names(&self) -> Vec<String> {
        self.0.iter().map(|it| it.name().to_owned()).collect()
    }

    /// The mapping that holds this address.
    pub(super) fn at(&self, address: u64) -> Option<&Mapping> {
        self.0
            .iter()
            .find(|mapping| (mapping.start..mapping.end).contains(&address))
    }
}

/// A line, if it is of code.
fn mapping(line: &str) -> Option<Mapping> {
    let (range, rest) = line.split_once(' ')?;
    let (permissions, rest) = rest.split_once(' ')?;
    if permissions.as_bytes().get(2) != Some(&b'x') {
        return None;
    }
    let (offset, rest) = rest.split_once(' ')?;
    let (device, rest) = rest.split_once(' ')?;
    let (inode, path) = rest.split_once(' ').unwrap_or((rest, ""));
    let (start, end) = range.split_once('-')?;
    let (major, minor) = device.split_once(':')?;
    let number = |text| u64::from_str_radix(text, 16).ok();
    let half = |text| u32::from_str_radix(text, 16).ok();
    Some(Mapping {
        start: number(start)?,
        end: number(end)?,
        offset: number(offset)?,
        device: (half(major)?, half(minor)?),
        inode: inode.parse().ok()?,
        path: path.trim_start().to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn code_is_found_by_address() {
        let maps = Maps::parse(
            "55d0a0000000-55d0a0001000 r--p 00000000 fd:01 4711                       /usr/bin/a b\n\
             55d0a0001000-55d0a0003000 r-xp 00001000 fd:01 4711                       /usr/bin/a b (deleted)\n\
             7f0000000000-7f0000001000 rwxp 00000000 00:00 0 \n\
             7ffd00000000-7ffd00002000 r-xp 00000000 00:00 0                          [vdso]\n\
             nonsense\n",
        );
        assert_eq!(maps.0.len(), 3);
        assert_eq!(maps.at(0x55d0_a000_0fff), None);
        let code = maps.at(0x55d0_a000_2fff);
        assert_eq!(code.map(Mapping::name), Some("/usr/bin/a b"));
        assert_eq!(code.map(|code| code.offset), Some(0x1000));
        assert_eq!(code.map(|code| code.device), Some((0xfd, 1)));
        assert_eq!(maps.at(0x55d0_a000_3000), None);
        assert_eq!(maps.at(0x7f00_0000_0000).map(Mapping::name), Some(""));
        assert_eq!(maps.at(0x7ffd_0000_0000).map(Mapping::name), Some("[vdso]"));
    }

    #[test]
    fn what_was_mapped_between_two_looks_is_what_both_have() {
        const PROGRAM: &str = "1000-2000 r-xp 0 fd:01 1   /usr/bin/a\n";
        const LIBRARY: &str = "5000-6000 r-xp 0 fd:01 2   /usr/lib/b\n";
        const OTHER: &str = "5000-6000 r-xp 0 fd:01 3   /usr/lib/c\n";
        const MADE: &str = "8000-9000 rwxp 0 00:00 0 \n";
        let maps = |lines: &[&str]| Arc::new(Maps::parse(&lines.concat()));
        let names = |before: &[&str], after: &[&str]| -> Vec<String> {
            maps(after).between(&maps(before)).names()
        };
        // A library was loaded, and code made and thrown away.
        assert_eq!(
            names(&[PROGRAM, MADE], &[PROGRAM, LIBRARY]),
            ["/usr/bin/a", "/usr/lib/b"]
        );
        // Another one is in its place.
        assert_eq!(
            names(&[PROGRAM, LIBRARY], &[PROGRAM, OTHER]),
            ["/usr/bin/a"]
        );
        // Another program runs.
        assert_eq!(names(&[PROGRAM, LIBRARY], &[OTHER]), [""; 0]);
        let deleted = PROGRAM.replace("/a", "/a (deleted)");
        assert_eq!(names(&[PROGRAM], &[&deleted, OTHER]).len(), 2);
    }

    #[test]
    fn own_code_is_where_it_runs() {
        let maps = Maps::of(std::process::id());
        let here = own_code_is_where_it_runs as fn() as usize as u64;
        assert!(maps.is_some_and(|maps| maps.at(here).is_some_and(|at| at.inode != 0)));
        assert_eq!(Maps::of(4_194_305), None);
    }
}
