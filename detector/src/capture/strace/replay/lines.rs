//! Lines: whose they are, and what they tell.

use crate::capture::strace::{
    calls::does,
    extent::remarks,
    line::{Event, Line, line},
    lines::LineText,
    replay::Replay,
};

impl Replay {
    /// Takes the next line; what it comes to is in [`Self::take_steps`].
    pub fn line(&mut self, text: LineText<'_>) {
        self.counts.lines += 1;
        let LineText::Whole(text) = text else {
            self.unreadable();
            return;
        };
        if let Some(whole) = self.interrupted.join(text) {
            self.whole(&whole);
        }
    }

    /// The log could not be read to its end.
    pub fn torn(&mut self) {
        self.counts.lines += 1;
        self.unreadable();
    }

    /// Lines are missing before the next one.
    pub fn lacks_lines(&mut self) {
        self.counts.elided += 1;
        self.sockets.doubt_all();
    }

    /// Whether a call on a socket that was open when the log began may be in an unreadable
    /// line. Lines before the first call are what a shell or a mail prints.
    pub(in crate::capture::strace) fn may_have_missed_calls(&self) -> bool {
        self.before
            .is_some_and(|before| self.counts.unreadable > before)
    }

    pub(super) fn unreadable(&mut self) {
        self.counts.unreadable += 1;
        if self.counts.first_unreadable == 0 {
            self.counts.first_unreadable = self.counts.lines;
        }
        // Whatever it was, it may have been about any connection there is.
        self.sockets.doubt_all();
    }

    pub(super) fn whole(&mut self, text: &[u8]) {
        let first = line(text);
        if first.behind.trim_ascii().is_empty() {
            return self.tells(first, text);
        }
        match joined(first, text) {
            Some(lines) => {
                for (line, text) in lines {
                    self.tells(line, text);
                }
            }
            // Where one ends and the other begins is not told.
            None => self.unreadable(),
        }
    }

    /// One line, or the part that is one of several without breaks.
    fn tells(&mut self, line: Line<'_>, text: &[u8]) {
        self.programs.next_line();
        // What is none of strace's lines has no time of its.
        if line.event != Event::Unreadable {
            self.clock.take(line.time);
        }
        if matches!(
            line.event,
            Event::Call(..) | Event::Unfinished(..) | Event::Resumed(..) | Event::Ended(_)
        ) {
            self.go_on_untraced();
        }
        if line.pid.is_some() {
            let first = text.trim_ascii_start().first();
            self.evidence.follows(first != Some(&b'['));
        }
        match line.event {
            Event::Call(name, _) | Event::Unfinished(name, _) | Event::Detached(name, _) => {
                self.evidence.call(name);
            }
            // A signal, as in a log that nobody shortened.
            Event::Nothing if text.ends_with(b" ---") => self.evidence.more(),
            _ => {}
        }
        match line.event {
            Event::Nothing => {
                self.counts.understood +=
                    u64::from(line.pid.is_some() || text.starts_with(b"--- "));
                return;
            }
            Event::Unreadable => return self.unreadable(),
            Event::Elision => {
                self.counts.elided += 1;
                self.sockets.doubt_all();
                return;
            }
            Event::Call(name, _)
            | Event::Unfinished(name, _)
            | Event::Detached(name, _)
            | Event::Resumed(name, _)
                if does(name).is_none() =>
            {
                self.counts.understood += 1;
                let tid = self.heard(line.pid);
                if matches!(line.event, Event::Detached(..)) {
                    self.detached.push(tid);
                }
                return;
            }
            _ => {}
        }
        self.counts.understood += 1;
        self.before.get_or_insert(self.counts.unreadable);
        let tid = self.heard(line.pid);
        if !line.comm.is_empty()
            && let Some(thread) = self.descriptors.threads.get_mut(&tid)
        {
            thread.comm = [0; 16];
            for (to, from) in thread.comm.iter_mut().take(15).zip(line.comm) {
                *to = *from;
            }
        }
        match line.event {
            Event::Call(name, rest) => self.call(tid, name, rest),
            Event::Unfinished(name, arguments) => self.begin(tid, name, arguments),
            Event::Detached(name, arguments) => {
                self.begin(tid, name, arguments);
                self.detached.push(tid);
            }
            Event::Resumed(name, rest) => self.resume(tid, name, rest),
            Event::Ended(status) => self.ended(tid, status),
            Event::Superseded(by) => self.superseded(tid, by),
            Event::Nothing | Event::Elision | Event::Unreadable => {}
        }
    }

    /// The thread that a line is about, by the number on the line.
    pub(super) fn heard(&mut self, pid: Option<u32>) -> u32 {
        let line = self.counts.lines;
        let tid = match pid {
            Some(pid) => {
                // It was joined with the others.
                self.apart = false;
                if !self.descriptors.threads.contains_key(&pid) {
                    self.new_thread(pid);
                }
                pid
            }
            None => {
                let mut threads = self.descriptors.threads.keys();
                match (self.nameless, threads.next(), threads.next()) {
                    (_, Some(only), None) => *only,
                    (Some(nameless), ..) => nameless,
                    (None, ..) => 0,
                }
            }
        };
        if pid.is_none() {
            self.nameless = Some(tid);
        } else {
            self.sharing.heard(tid);
        }
        let thread = self.descriptors.thread(tid, line);
        let table = thread.table;
        if let Some(table) = self.descriptors.tables.get_mut(&table)
            && !table.unheard.is_empty()
        {
            table.unheard.remove(&tid);
            // Lines have numbers as soon as two are traced: some time after the
            // second was made.
            table.nameless |= pid.is_none();
        }
        tid
    }

    /// A call of which the arguments cannot be read.
    pub(in crate::capture::strace) fn garbled(&mut self) {
        self.counts.understood -= 1;
        self.unreadable();
    }
}

/// The lines that are on one whose breaks were lost, each with its text; `None` if
/// one cannot be read, or is not told whose it is.
fn joined<'a>(first: Line<'a>, text: &'a [u8]) -> Option<Vec<(Line<'a>, &'a [u8])>> {
    let part = |line: &Line<'_>, text: &'a [u8]| {
        text.get(..text.len() - line.behind.len())
            .unwrap_or_default()
            .trim_ascii_end()
    };
    let mut lines = Vec::new();
    let (mut last, mut text) = (first, text);
    loop {
        if last.event == Event::Unreadable {
            return None;
        }
        lines.push((last, part(&last, text)));
        let rest = last.behind.trim_ascii();
        if rest.is_empty() || remarks(rest) {
            return Some(lines);
        }
        let next = line(rest);
        // Without -o the last thread's lines have no number.
        let alone =
            matches!(last.event, Event::Ended(_)) && text.trim_ascii_start().starts_with(b"[");
        let numbered = next.pid.is_some() || next.event == Event::Nothing || alone;
        if last.pid.is_some() && !numbered {
            return None;
        }
        (last, text) = (next, rest);
    }
}
