//! Calls that begin in one line and end in another.

use crate::capture::strace::{
    calls::{Does, does},
    descriptors::Pending,
    replay::Replay,
    socket::CallStamp,
};

/// A call that began in an earlier line.
#[derive(Clone, Copy, Debug)]
pub(in crate::capture::strace) struct Resumed {
    /// The socket that it sends on, whatever its descriptor's number is by now.
    pub(in crate::capture::strace) sends_on: Option<u64>,
}

impl Replay {
    /// A call begins.
    pub(super) fn begin(&mut self, tid: u32, name: &[u8], arguments: &[u8]) {
        let mut pending = Pending {
            name: name.to_vec(),
            arguments: arguments.to_vec(),
            sends_on: None,
            done: false,
        };
        match does(name) {
            // By the end of a close the number may be another's.
            Some(Does::Close | Does::CloseRange | Does::ExitGroup) => {
                let mut text = arguments.trim_ascii_end().to_vec();
                text.extend_from_slice(b") = 0");
                self.call(tid, name, &text);
                pending.done = true;
            }
            Some(Does::Fork) => {
                self.makers.insert(tid);
            }
            Some(Does::Send(data, _)) => {
                pending.sends_on = self.begin_send(tid, data, arguments);
            }
            _ => {}
        }
        if let Some(thread) = self.descriptors.threads.get_mut(&tid)
            && let Some(before) = thread.pending.replace(pending)
        {
            self.abandon(&before);
        }
    }

    /// How a call ends no line tells.
    pub(super) fn abandon(&mut self, pending: &Pending) {
        if let Some(cookie) = pending.sends_on {
            // How much of it was accepted is not known.
            self.counts.interrupted += 1;
            self.sockets.distrust(cookie);
            self.finish_send(cookie);
        }
    }

    /// A call ends that began in an earlier line.
    pub(super) fn resume(&mut self, tid: u32, name: &[u8], rest: &[u8]) {
        let pending = self
            .descriptors
            .threads
            .get_mut(&tid)
            .and_then(|thread| thread.pending.take());
        match pending {
            Some(pending) if pending.name == name => {
                let fork = does(name) == Some(Does::Fork);
                if !pending.done || fork {
                    let mut text = pending.arguments;
                    text.truncate(text.trim_ascii_end().len());
                    text.extend_from_slice(rest);
                    self.resumed = Some(Resumed {
                        sends_on: pending.sends_on,
                    });
                    self.call(tid, name, &text);
                    self.resumed = None;
                }
                if let Some(cookie) = pending.sends_on {
                    self.finish_send(cookie);
                }
            }
            // It began before the log did.
            _ => match does(name) {
                Some(Does::Accept) => {
                    let mut text = b"-1".to_vec();
                    text.extend_from_slice(if rest.starts_with(b")") { b"" } else { b", " });
                    text.extend_from_slice(rest.trim_ascii_start());
                    self.call(tid, name, &text);
                }
                Some(Does::Send(..) | Does::Receive(..) | Does::Dup | Does::DupOver) => {
                    self.unreadable();
                }
                _ => {}
            },
        }
    }

    /// The moment of a call by this thread.
    pub(in crate::capture::strace) fn moment(&self, tid: u32) -> CallStamp {
        let thread = self.descriptors.threads.get(&tid);
        CallStamp {
            pid: thread.map_or(tid, |thread| thread.process),
            tid,
            time_ns: self.clock.now(),
            fine_ns: self.clock.fine(),
            comm: thread.map_or([0; 16], |thread| thread.comm),
        }
    }
}
