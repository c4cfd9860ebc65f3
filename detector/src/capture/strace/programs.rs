//! Which program a process runs: the path in the line of its exec, or of the one
//! that made it. What a log does not tell is not guessed: a path that is
//! relative to a folder of which nothing is told, a process that ran already.

use std::collections::{HashMap, HashSet};

use super::{
    arguments::{Arguments, annotation},
    unquote::{quoted, unescape},
};

/// Most processes that are kept before those that ended go.
const MOST: usize = 1 << 16;

/// The programs of processes, those included that ended lately.
#[derive(Debug, Default)]
pub(super) struct Programs {
    known: HashMap<u32, Option<String>>,
    /// From the next line on: what an exec closes was the program's before.
    next: Option<(u32, Option<String>)>,
}

impl Programs {
    /// The path of a process's program.
    pub(super) fn of(&self, pid: u32) -> Option<&str> {
        self.known.get(&pid)?.as_deref()
    }

    /// The process runs this one from the next line on; `living` are those that
    /// run.
    pub(super) fn set(
        &mut self,
        pid: u32,
        program: Option<String>,
        living: impl Iterator<Item = u32>,
    ) {
        if self.known.len() >= MOST {
            let living: HashSet<_> = living.collect();
            self.known.retain(|pid, _| living.contains(pid));
        }
        self.next = Some((pid, program));
    }

    /// The next line begins.
    pub(super) fn next_line(&mut self) {
        if let Some((pid, program)) = self.next.take() {
            self.known.insert(pid, program);
        }
    }

    /// It was not heard of before: whose number it was does not matter.
    pub(super) fn forget(&mut self, pid: u32) {
        self.known.remove(&pid);
    }

    /// A process was made by another, and runs what that does until it makes an
    /// exec: `anew`, or it may have made one already.
    pub(super) fn inherit(&mut self, child: u32, maker: u32, anew: bool) {
        if anew || !self.known.contains_key(&child) {
            match self.known.get(&maker).cloned() {
                Some(program) => self.known.insert(child, program),
                None => self.known.remove(&child),
            };
        }
    }

    /// The number of a process was not known so far, and is this.
    pub(super) fn rename(&mut self, from: u32, to: u32) {
        if let Some(program) = self.known.remove(&from) {
            self.known.insert(to, program);
        }
    }
}

/// The path of the program that an `execve` or `execveat` ran, if it is a whole
/// one.
pub(super) fn executed(name: &[u8], arguments: &Arguments<'_>) -> Option<String> {
    let at = name == b"execveat";
    let path = quoted(arguments.at(usize::from(at))).filter(|path| !path.cut)?;
    let path = String::from_utf8_lossy(&path.bytes).into_owned();
    if path.starts_with('/') {
        return Some(path);
    }
    // What `-y` says of the folder, or of the program itself.
    let place = memchr::memchr(b'<', arguments.at(0)).filter(|_| at)?;
    let folder = annotation(arguments.at(0).get(place..)?)?;
    let folder = folder.strip_prefix(b"<")?.strip_suffix(b">")?;
    let folder = unescape(folder)?;
    let folder = String::from_utf8_lossy(&folder).into_owned();
    let whole = folder.starts_with('/') && !folder.ends_with(" (deleted)");
    let path = path.strip_prefix("./").unwrap_or(&path);
    match (whole, path) {
        (false, _) => None,
        (true, "") => Some(folder),
        (true, path) => Some(format!("{}/{path}", folder.trim_end_matches('/'))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::capture::strace::arguments::arguments;

    #[test]
    fn a_whole_path_is_told_and_no_other() {
        let cases = [
            (
                r#"execve("/usr/bin/a b", ["a"], 0x7f)"#,
                Some("/usr/bin/a b"),
            ),
            (r#"execve("./server", ["a"], 0x7f)"#, None),
            (r#"execve("server", ["a"], 0x7f)"#, None),
            (r#"execve(0x7ffc, ["a"], 0x7f)"#, None),
            (r#"execve("/usr/bi"..., ["a"], 0x7f)"#, None),
            (r#"execveat(AT_FDCWD, "./x", ["a"], 0x7f, 0)"#, None),
            (
                r#"execveat(AT_FDCWD</srv>, "./x", ["a"], 0x7f, 0)"#,
                Some("/srv/x"),
            ),
            (r#"execveat(3</>, "x/y", ["a"], 0x7f, 0)"#, Some("/x/y")),
            (
                r#"execveat(3</srv/x>, "", ["a"], 0x7f, AT_EMPTY_PATH)"#,
                Some("/srv/x"),
            ),
            (r#"execveat(3, "", ["a"], 0x7f, AT_EMPTY_PATH)"#, None),
        ];
        for (text, expected) in cases {
            let (name, rest) = text.split_once('(').unwrap_or_default();
            let (arguments, _) = arguments(rest.as_bytes()).unwrap_or_else(|| panic!("{text}"));
            assert_eq!(
                executed(name.as_bytes(), &arguments).as_deref(),
                expected,
                "{text}"
            );
        }
    }
}
