//! Counts by process: what was judged, and what was not and where.

use std::{collections::BTreeMap, hash::Hash};

use detector_common::{Connection as Counters, FIRST_BYTES, Open, SocketInfo, family};
use hashlink::LinkedHashMap;
use serde::{Deserialize, Serialize};

use super::{
    finding::{Fault, Finding, Role},
    unjudged::Unjudged,
};
use crate::http::Protocol;

/// Most processes with findings that are kept, and most of the others; those of
/// which nothing was counted for longest go.
const MOST_WITH_FINDINGS: usize = 256;
const MOST: usize = 1024;

/// Most combinations of process, service and reason that are kept, likewise.
const MOST_UNJUDGED: usize = 1024;

/// What a connection is of.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Service {
    /// TCP: the server's port.
    Port(u16),
    /// The path of a Unix socket, as [`super::Address::Unix`].
    Unix(Box<str>),
    /// Not known, or it has no name.
    Unknown,
}

/// A connection that was open before the watch, had sent bytes, and is gone without a
/// call that was seen.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OpenBefore {
    /// The process that had it.
    pub pid: u32,
    /// Its name.
    pub comm: Option<String>,
    /// TCP: the lower port.
    pub port: Option<u16>,
    /// The path of a Unix socket.
    pub path: Option<String>,
}

impl OpenBefore {
    pub(super) fn used(&self) -> Use {
        let mut comm = [0; 16];
        let name = self.comm.as_deref().unwrap_or_default().bytes();
        comm.iter_mut()
            .take(15)
            .zip(name)
            .for_each(|(to, it)| *to = it);
        Use {
            pid: self.pid,
            comm,
            service: match (self.port, &self.path) {
                (Some(port), _) => Service::Port(port),
                (None, Some(path)) => Service::Unix(path.as_str().into()),
                (None, None) => Service::Unknown,
            },
        }
    }
}

/// The process that uses a connection, and the service.
#[derive(Clone, Debug)]
pub(super) struct Use {
    pub(super) pid: u32,
    /// A thread's name.
    pub(super) comm: [u8; 16],
    pub(super) service: Service,
}

impl Use {
    /// By a process, and nothing else is known of it.
    pub(super) const fn unknown(pid: u32) -> Self {
        Self {
            pid,
            comm: [0; 16],
            service: Service::Unknown,
        }
    }
}

/// What was judged of one process.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Judged {
    /// Messages that were proved whole or cut short.
    pub messages: u64,
    /// The name of a thread of it; zeros where it is not known.
    pub comm: [u8; 16],
}

/// Counts by process, of those that were heard of last.
#[derive(Clone, Debug, Default)]
pub struct ByProcess {
    with_findings: LinkedHashMap<u32, Judged>,
    others: LinkedHashMap<u32, Judged>,
    unjudged: LinkedHashMap<(u32, Service, Unjudged), u64>,
}

impl ByProcess {
    /// Processes, and what was judged of each.
    pub fn judged(&self) -> impl Iterator<Item = (u32, &Judged)> {
        let all = self.with_findings.iter().chain(&self.others);
        all.map(|(pid, judged)| (*pid, judged))
    }

    /// What was not judged, by process and service.
    #[must_use]
    pub fn unjudged(&self) -> BTreeMap<(u32, &Service), BTreeMap<Unjudged, u64>> {
        let mut all: BTreeMap<_, BTreeMap<_, _>> = BTreeMap::new();
        for ((pid, service, reason), count) in &self.unjudged {
            all.entry((*pid, service))
                .or_default()
                .insert(*reason, *count);
        }
        all
    }

    /// So many more messages of a process were judged.
    pub(super) fn add(&mut self, pid: u32, comm: [u8; 16], count: u64) {
        let judged = self.of(pid);
        judged.messages += count;
        if judged.comm == [0; 16] {
            judged.comm = comm;
        }
    }

    /// They were not, after all.
    pub fn take_back(&mut self, pid: u32, count: u64) {
        let judged = self.of(pid);
        judged.messages = judged.messages.saturating_sub(count);
    }

    /// The process has this finding.
    pub(super) fn found(&mut self, finding: &Finding) {
        if finding.fault == Fault::Peer || self.with_findings.contains_key(&finding.pid) {
            return;
        }
        let judged = self.others.remove(&finding.pid).unwrap_or_default();
        self.with_findings.insert(finding.pid, judged);
        keep(&mut self.with_findings, MOST_WITH_FINDINGS);
    }

    /// Something of it was not judged.
    pub(super) fn miss(&mut self, used: &Use, reason: Unjudged) {
        let key = (used.pid, used.service.clone(), reason);
        let count = self.unjudged.remove(&key).unwrap_or(0);
        self.unjudged.insert(key, count + 1);
        keep(&mut self.unjudged, MOST_UNJUDGED);
        self.add(used.pid, used.comm, 0);
    }

    /// Its entry, which is the last to go from here on.
    fn of(&mut self, pid: u32) -> &mut Judged {
        let map = if self.with_findings.contains_key(&pid) {
            &mut self.with_findings
        } else {
            &mut self.others
        };
        let judged = map.remove(&pid).unwrap_or_default();
        keep(map, MOST.saturating_sub(1));
        map.entry(pid).or_insert(judged)
    }
}

/// Lets go of the oldest beyond so many.
fn keep<K: Eq + Hash, V>(map: &mut LinkedHashMap<K, V>, most: usize) {
    while map.len() > most {
        map.pop_front();
    }
}

/// The service that a connection is of. What it sends first, or the message that it
/// sent last, tells which side is the server; else the lower port is taken for the
/// server's.
pub(super) fn service(open: Option<&Open>, role: Option<Role>, first: &First) -> Service {
    let Some(open) = open else {
        return Service::Unknown;
    };
    let socket = &open.socket;
    match socket.family {
        family::INET | family::INET6 => port(socket, role.or_else(|| first.role())),
        _ => match super::verdict::unix_path(socket) {
            Some(super::Address::Unix(path)) => Service::Unix(path.into()),
            _ => Service::Unknown,
        },
    }
}

fn port(socket: &SocketInfo, role: Option<Role>) -> Service {
    let (local, peer) = (socket.local_port, socket.peer_port);
    let port = match role {
        Some(Role::Response) => local,
        Some(Role::Request) => peer,
        None if local == 0 || peer == 0 => local.max(peer),
        None => local.min(peer),
    };
    match port {
        0 => Service::Unknown,
        port => Service::Port(port),
    }
}

/// The first bytes of both directions.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct First {
    sent: [u8; FIRST_BYTES],
    received: [u8; FIRST_BYTES],
}

impl First {
    pub(super) fn of(counters: &Counters) -> Self {
        Self {
            sent: counters.first_sent,
            received: counters.first_received,
        }
    }

    /// What this side sends, of protocols in which the first bytes tell.
    fn role(&self) -> Option<Role> {
        // RFC 8446 section 4: a ClientHello, a ServerHello. HTTP/2's preface is a client's.
        let client = |bytes: &[u8]| match bytes {
            [0x16, 3, _, _, _, 1, ..] => Some(true),
            [0x16, 3, _, _, _, 2, ..] => Some(false),
            _ if Protocol::of(bytes) == Protocol::Http2 => Some(true),
            _ => None,
        };
        let is_client = client(&self.sent).or_else(|| client(&self.received).map(|it| !it))?;
        Some(if is_client {
            Role::Request
        } else {
            Role::Response
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::examples::finding;

    fn used(pid: u32) -> Use {
        Use {
            pid,
            comm: *b"a\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0",
            service: Service::Port(80),
        }
    }

    #[test]
    fn many_processes_take_no_more_room_and_those_with_findings_stay() {
        let mut counts = ByProcess::default();
        counts.add(7599, [0; 16], 3);
        counts.found(&finding());
        for pid in 10_000..20_000 {
            counts.add(pid, [1; 16], 1);
            counts.miss(&used(pid), Unjudged::Encrypted);
        }
        let judged: BTreeMap<_, _> = counts.judged().collect();
        assert!(
            judged.len() <= MOST + MOST_WITH_FINDINGS,
            "{}",
            judged.len()
        );
        assert_eq!(judged.get(&7599).map(|it| it.messages), Some(3));
        assert!(judged.contains_key(&19_999) && !judged.contains_key(&10_000));
        assert_eq!(counts.unjudged().len(), MOST_UNJUDGED);
        for pid in 1..10_000 {
            counts.found(&Finding { pid, ..finding() });
        }
        assert!(counts.judged().count() <= MOST + MOST_WITH_FINDINGS);
    }

    #[test]
    fn the_server_s_port_is_the_service() {
        let mut open = Open {
            header: detector_common::Header {
                kind: 3,
                seq: 0,
                cookie: 1,
                time_ns: 0,
                tgid: 1,
                tid: 1,
            },
            comm: [0; 16],
            socket: SocketInfo {
                family: family::INET,
                local_port: 50_000,
                peer_port: 51_000,
                ..SocketInfo::EMPTY
            },
        };
        let of = |open: &Open, role, sent: &[u8], received: &[u8]| {
            let fill = |bytes: &[u8]| {
                let mut all = [0; FIRST_BYTES];
                all.iter_mut().zip(bytes).for_each(|(to, from)| *to = *from);
                all
            };
            let first = First {
                sent: fill(sent),
                received: fill(received),
            };
            service(Some(open), role, &first)
        };
        let (local, peer) = (Service::Port(50_000), Service::Port(51_000));
        let (hello, answer) = (b"\x16\x03\x01\x02\0\x01", b"\x16\x03\x03\0\x7a\x02");
        assert_eq!(of(&open, Some(Role::Response), b"", b""), local);
        assert_eq!(of(&open, Some(Role::Request), b"", b""), peer);
        assert_eq!(of(&open, None, hello, answer), peer);
        assert_eq!(of(&open, None, answer, hello), local);
        assert_eq!(of(&open, None, b"", b"PRI * HTTP"), local);
        assert_eq!(of(&open, None, b"\x17\x03\x03", b""), local, "the lower");
        open.socket.peer_port = 443;
        assert_eq!(of(&open, None, b"", b""), Service::Port(443));
        open.socket.family = family::UNIX;
        assert_eq!(of(&open, None, b"", b""), Service::Unknown);
        assert_eq!(service(None, None, &First::default()), Service::Unknown);
    }
}
