//! Which process a thread belongs to, where lines prove it.
//!
//! The number on a line is a thread's (strace(1), `-f`). It is the process's too of
//! one that was made by fork(2) or a clone(2) without `CLONE_THREAD`, and of one that
//! came back from an execve(2), which only the first thread of a process does. Of
//! threads that strace attached to (`-p`) neither is in the log: then getpid(2),
//! setsid(2) and tgkill(2) tell, if the numbers that they have are those that strace
//! has, not those of another PID namespace. What is not proved is not known.

use std::collections::{HashMap, HashSet};

use super::{arguments::Arguments, replay::Replay, result::Outcome};

/// What is known of processes, each counted by the number of the first thread of it
/// that was heard of.
#[derive(Debug, Default)]
pub(super) struct Numbers {
    /// Their own numbers.
    proved: HashMap<u32, u32>,
    /// Threads that are taken for made by the one that was about to make one, which
    /// has not said so.
    presumed: HashSet<u32>,
    /// Threads whose numbers are the same for them and for strace.
    same: HashSet<u32>,
}

impl Numbers {
    /// A thread that was not heard of: whose number it was does not matter.
    pub(super) fn forget(&mut self, tid: u32) {
        self.proved.remove(&tid);
        self.presumed.remove(&tid);
        self.same.remove(&tid);
    }

    pub(super) fn prove(&mut self, process: u32, number: u32) {
        self.proved.insert(process, number);
    }

    pub(super) fn presume(&mut self, tid: u32) {
        self.presumed.insert(tid);
    }

    pub(super) fn confirm(&mut self, tid: u32) {
        self.presumed.remove(&tid);
    }

    /// The number of a process was not known so far, and is this: proved, if its
    /// first thread was seen to be that.
    pub(super) fn rename(&mut self, from: u32, to: u32) {
        self.forget(to);
        if self.proved.remove(&from).is_some() {
            self.proved.insert(to, to);
        }
    }

    /// The number of a process, as far as it is proved.
    pub(super) fn of(&self, process: u32) -> Option<u32> {
        self.proved.get(&process).copied().filter(|pid| *pid != 0)
    }
}

impl Replay {
    /// The number of the process that is counted by this one, for what this thread
    /// did: `None` where the log does not prove it.
    #[must_use]
    pub fn process_number(&self, process: u32, tid: Option<u32>) -> Option<u32> {
        let presumed = tid.is_some_and(|tid| self.numbers.presumed.contains(&tid));
        self.numbers.of(process).filter(|_| !presumed)
    }

    /// A thread says what number its process has, or another's.
    pub(super) fn tells_number(
        &mut self,
        tid: u32,
        name: &[u8],
        arguments: &Arguments<'_>,
        value: Option<u64>,
        outcome: &Outcome<'_>,
    ) {
        let Some(value) = value else { return };
        let translated = translation(outcome.rest);
        let returned = translated.or_else(|| u32::try_from(value).ok());
        let (thread, number, translated) = match name {
            b"gettid" => {
                if tid != 0 && returned == Some(tid) {
                    self.numbers.same.insert(tid);
                }
                return;
            }
            b"tgkill" => {
                let number = |at| {
                    let text = arguments.at(at);
                    translation(text).or_else(|| leading(text))
                };
                let translated = translation(arguments.at(1)).is_some();
                (number(1), number(0), translated)
            }
            _ => (Some(tid), returned, translated.is_some()),
        };
        let (Some(thread), Some(number)) = (thread, number) else {
            return;
        };
        let heard = |tid: u32| tid != 0 && self.descriptors.threads.contains_key(&tid);
        let same = translated || self.numbers.same.contains(&tid) || heard(number);
        let Some(process) = self.process_of(thread).filter(|_| heard(thread) && same) else {
            return;
        };
        if !self.numbers.presumed.contains(&thread) {
            self.numbers.prove(process, number);
        } else if self.numbers.of(process) == Some(number) {
            self.numbers.confirm(thread);
        }
    }
}

/// The number as strace has it, where it says so (`--pidns-translation`).
fn translation(text: &[u8]) -> Option<u32> {
    let start = memchr::memmem::find(text, b"/* ")?;
    let inside = text.get(start + 3..)?;
    let number = leading(inside)?;
    memchr::memmem::find(inside, b" in strace's PID NS */").map(|_| number)
}

/// The digits with which a text begins.
fn leading(text: &[u8]) -> Option<u32> {
    let digits = text.iter().take_while(|byte| byte.is_ascii_digit()).count();
    std::str::from_utf8(text.get(..digits)?).ok()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::capture::strace::lines::LineText;

    /// The number of the process of this thread, after these lines.
    fn number(lines: &str, tid: u32) -> Option<u32> {
        let mut replay = Replay::default();
        for line in lines.lines() {
            replay.line(LineText::Whole(line.as_bytes()));
        }
        let process = replay.process_of(tid)?;
        replay.process_number(process, Some(tid))
    }

    const READS: &str = "read(3<socket:[1]>, \"\", 10) = 0\n";

    #[test]
    fn a_thread_that_was_there_before_is_of_no_known_process() {
        // strace -f -p: as it began, and threads that its processes make later.
        let attached = format!("17133 {READS}17128 {READS}17134 {READS}");
        for tid in [17_128, 17_133, 17_134] {
            assert_eq!(number(&attached, tid), None);
        }
        let flags = "flags=CLONE_VM|CLONE_FILES|CLONE_THREAD";
        let makes = format!("{attached}17133 clone3({{{flags}}}, 88) = 17140\n17140 {READS}");
        assert_eq!(number(&makes, 17_140), None);
        let forks = format!("{attached}17133 fork() = 17141\n17141 {READS}");
        assert_eq!(number(&forks, 17_141), Some(17_141));
        assert_eq!(number(&forks, 17_133), None);
    }

    #[test]
    fn one_that_was_traced_from_its_start_is_known_with_its_threads() {
        let flags = "flags=CLONE_VM|CLONE_FILES|CLONE_THREAD";
        let lines = format!(
            "10 execve(\"/a\", [\"a\"], 0x7f) = 0\n\
             10 clone3({{{flags}}} <unfinished ...>\n\
             11 {READS}\
             10 <... clone3 resumed> => {{parent_tid=[11]}}, 88) = 11\n\
             11 {READS}\
             11 clone(child_stack=NULL, flags=SIGCHLD) = 12\n"
        );
        assert_eq!(number(&lines, 10), Some(10));
        assert_eq!(number(&lines, 11), Some(10));
        assert_eq!(number(&lines, 12), Some(12));
        // Its maker has not said so yet, or says something else.
        let presumed = lines.lines().take(3).collect::<Vec<_>>().join("\n");
        assert_eq!(number(&presumed, 11), None);
        let other = presumed + "\n10 <... clone3 resumed>, 88) = 77\n";
        assert_eq!(number(&other, 11), None);
        // A thread that makes an exec becomes the first.
        let execs = format!(
            "{lines}11 execve(\"/b\", [\"b\"], 0x7f <unfinished ...>\n\
             10 +++ superseded by execve in pid 11 +++\n\
             10 <... execve resumed>) = 0\n"
        );
        assert_eq!(number(&execs, 10), Some(10));
    }

    #[test]
    fn calls_tell_where_their_numbers_are_strace_s() {
        let heard = format!("17128 {READS}17133 {READS}");
        for (lines, known) in [
            ("17133 getpid() = 17128\n", Some(17_128)),
            ("17133 getpid() = 17133\n", Some(17_133)),
            ("17133 setsid() = 17133\n", Some(17_133)),
            ("17133 getpid() = 17128<gunicorn>\n", Some(17_128)),
            ("17128 tgkill(17128, 17133, SIGRT_1) = 0\n", Some(17_128)),
            (
                "17133 tgkill(17128<a>, 17133<b>, SIGABRT) = 0\n",
                Some(17_128),
            ),
            // Another PID namespace, which says so, and that of a container.
            (
                "17133 getpid() = 7 /* 16001 in strace's PID NS */\n",
                Some(16_001),
            ),
            ("17133 getpid() = 7\n", None),
            ("17133 getpid() = 16001\n", None),
            (
                "17133 gettid() = 17133\n17133 getpid() = 16001\n",
                Some(16_001),
            ),
            ("17133 gettid() = 9\n17133 getpid() = 7\n", None),
            ("17128 tgkill(7, 9, SIGRT_1) = 0\n", None),
            (
                "17128 tgkill(17128, 17133, SIGRT_1) = -1 ESRCH (No such process)\n",
                None,
            ),
            (
                "17133 getpid( <unfinished ...>\n17133 <... getpid resumed>) = 17128\n",
                Some(17_128),
            ),
            // Nothing of it is proof.
            (
                "17133 getppid() = 17128\n17128 wait4(17133, NULL, 0, NULL) = 17133\n",
                None,
            ),
            ("17128 kill(17133, SIGTERM) = 0\n", None),
        ] {
            assert_eq!(number(&format!("{heard}{lines}"), 17_133), known, "{lines}");
        }
    }

    #[test]
    fn a_number_that_is_another_s_by_now_tells_nothing() {
        let lines = format!("10 fork() = 11\n11 {READS}11 +++ exited with 0 +++\n");
        assert_eq!(number(&format!("{lines}11 {READS}"), 11), None);
    }
}
