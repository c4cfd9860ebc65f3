//! By whom: what was cut short and what was not judged, by process.

use std::collections::{BTreeMap, HashMap};

use hashlink::LinkedHashMap;
use serde::Serialize;

use super::{
    grouped,
    text::{cut_in_the_middle, printable},
};
use crate::judge::{Address, ByProcess, Fault, Finding, Role, Service, Unjudged};

/// Most processes that are listed, and most combinations of process and service.
const LISTED: usize = 20;

/// Most of each that the table has lines for.
const LINES: usize = 5;

/// Most processes whose findings are counted one by one; those that had none for
/// longest go.
const KEPT: usize = 256;

/// Targets of one process that are counted, and that are listed.
const TARGETS_KEPT: usize = 16;
const TARGETS: usize = 5;

/// The same of the services that it is, ports and paths.
const SERVICES_KEPT: usize = 16;
const SERVICES: usize = 5;

/// Longest target, in characters.
const TARGET: usize = 200;

/// What is known to be something else.
const NOT_HTTP: [Unjudged; 2] = [Unjudged::NotHttp, Unjudged::NotStream];

/// Columns of a line of the summary, and those before its text.
const COLUMNS: usize = 80;
const INDENT: usize = 16;

/// What is known of a process.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub struct Identity {
    /// Its number; `None` where a log does not tell.
    pub pid: Option<u32>,
    /// Where its number is not known: a thread of it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tid: Option<u32>,
    /// Its name, that of its first thread where it is known.
    pub comm: Option<String>,
    /// The path of its program.
    pub exe: Option<String>,
}

/// What one process came to.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct ProcessSummary {
    /// Which.
    #[serde(flatten)]
    pub process: Identity,
    /// Messages proved whole or cut short.
    pub judged: u64,
    /// Findings that were reported.
    pub cut: u64,
    /// Those whose fault is local.
    pub local: u64,
    /// They by cause.
    pub causes: BTreeMap<&'static str, u64>,
    /// Targets of theirs, up to the first `?`, those with most findings first.
    pub targets: Vec<String>,
    /// The ports on which the process gave responses that have findings, likewise.
    pub ports: Vec<u16>,
    /// The same of Unix sockets: their paths.
    pub paths: Vec<String>,
}

/// What of one process, on connections of one service, was not judged.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct UnjudgedBy {
    /// Which process.
    #[serde(flatten)]
    pub process: Identity,
    /// The server's port.
    pub port: Option<u16>,
    /// The path of a Unix socket.
    pub path: Option<String>,
    /// How often, by reason.
    pub reasons: BTreeMap<&'static str, u64>,
}

/// The findings of one process.
#[derive(Clone, Debug, Default)]
pub(super) struct Cuts {
    comm: String,
    cut: u64,
    local: u64,
    causes: BTreeMap<&'static str, u64>,
    targets: HashMap<String, u64>,
    services: HashMap<Service, u64>,
}

/// Counts by process.
#[derive(Clone, Debug, Default)]
pub struct Processes {
    pub(super) cuts: LinkedHashMap<u32, Cuts>,
    /// Those with findings first, the worst before the others.
    pub listed: Vec<ProcessSummary>,
    /// Those with most first; what is another protocol comes last.
    pub unjudged: Vec<UnjudgedBy>,
}

/// What is listed first: who cut most, of as many who cut the larger part.
fn rank(it: &ProcessSummary) -> (u64, u64, u64) {
    let part = match it.cut {
        0 => it.judged,
        _ => u64::MAX - it.judged,
    };
    (it.local, it.cut, part)
}

impl Processes {
    /// Counts a finding that was reported.
    pub(super) fn count(&mut self, finding: &Finding) {
        let mut cuts = self.cuts.remove(&finding.pid).unwrap_or_default();
        cuts.comm.clone_from(&finding.comm);
        cuts.cut += 1;
        cuts.local += u64::from(finding.fault == Fault::Local);
        *cuts.causes.entry(finding.cause.name()).or_default() += 1;
        if let (Some(local), Role::Response) = (&finding.local, finding.message.role) {
            let service = match local {
                Address::Inet(local) => Service::Port(local.port()),
                Address::Unix(path) => Service::Unix(path.as_str().into()),
            };
            if cuts.services.len() < SERVICES_KEPT || cuts.services.contains_key(&service) {
                *cuts.services.entry(service).or_default() += 1;
            }
        }
        if let Some(target) = &finding.message.target {
            let target = target.split('?').next().unwrap_or_default();
            let target = cut_in_the_middle(target, TARGET);
            if cuts.targets.len() < TARGETS_KEPT || cuts.targets.contains_key(&target) {
                *cuts.targets.entry(target).or_default() += 1;
            }
        }
        self.cuts.insert(finding.pid, cuts);
        while self.cuts.len() > KEPT {
            self.cuts.pop_front();
        }
    }

    /// Lists the processes, now that all is counted; `identity` tells what is known
    /// of the process that is counted by this number.
    pub(crate) fn list(&mut self, counted: &ByProcess, mut identity: impl FnMut(u32) -> Identity) {
        let name = |process: &mut Identity, comm: &str| {
            if process.comm.is_none() && !comm.is_empty() {
                process.comm = Some(comm.to_owned());
            }
        };
        let mut all: HashMap<(Option<u32>, Option<u32>), ProcessSummary> = HashMap::new();
        let mut comms = HashMap::new();
        for (key, judged) in counted.judged() {
            let mut process = identity(key);
            let comm = text(&judged.comm);
            name(&mut process, &comm);
            comms.insert(key, comm);
            let entry = all.entry((process.pid, process.tid)).or_default();
            entry.process = process;
            entry.judged += judged.messages;
        }
        let mut targets: HashMap<_, HashMap<&String, u64>> = HashMap::new();
        let mut services: HashMap<_, HashMap<&Service, u64>> = HashMap::new();
        for (key, cuts) in &self.cuts {
            let mut process = identity(*key);
            name(&mut process, &cuts.comm);
            let place = (process.pid, process.tid);
            let entry = all.entry(place).or_default();
            entry.process = process;
            entry.cut += cuts.cut;
            entry.local += cuts.local;
            for (cause, count) in &cuts.causes {
                *entry.causes.entry(cause).or_default() += count;
            }
            for (target, count) in &cuts.targets {
                *targets.entry(place).or_default().entry(target).or_default() += count;
            }
            for (service, count) in &cuts.services {
                *services
                    .entry(place)
                    .or_default()
                    .entry(service)
                    .or_default() += count;
            }
        }
        for (place, targets) in targets {
            if let Some(entry) = all.get_mut(&place) {
                entry.targets = most(targets, TARGETS).into_iter().cloned().collect();
            }
        }
        for (place, services) in services {
            let Some(entry) = all.get_mut(&place) else {
                continue;
            };
            for service in most(services, SERVICES) {
                match service {
                    Service::Port(port) => entry.ports.push(*port),
                    Service::Unix(path) => entry.paths.push(path.to_string()),
                    Service::Unknown => {}
                }
            }
        }
        self.listed = all
            .into_values()
            .filter(|entry| entry.judged + entry.cut > 0)
            .map(|entry| ProcessSummary {
                // Counts of one that was let go of in between.
                judged: entry.judged.max(entry.cut),
                ..entry
            })
            .collect();
        self.listed
            .sort_by(|a, b| rank(b).cmp(&rank(a)).then(a.process.cmp(&b.process)));
        self.listed.truncate(LISTED);
        self.list_unjudged(counted, |key| {
            let mut process = identity(key);
            if let Some(comm) = comms.get(&key) {
                name(&mut process, comm);
            }
            process
        });
    }

    fn list_unjudged(&mut self, counted: &ByProcess, mut identity: impl FnMut(u32) -> Identity) {
        let mut all: BTreeMap<_, BTreeMap<&'static str, u64>> = BTreeMap::new();
        for ((key, service), reasons) in counted.unjudged() {
            let place = all.entry((identity(key), service)).or_default();
            for (reason, count) in reasons {
                *place.entry(reason.name()).or_default() += count;
            }
        }
        self.unjudged = all
            .into_iter()
            .map(|((process, service), reasons)| {
                let (port, path) = match service {
                    Service::Port(port) => (Some(*port), None),
                    Service::Unix(path) => (None, Some(path.to_string())),
                    Service::Unknown => (None, None),
                };
                UnjudgedBy {
                    process,
                    port,
                    path,
                    reasons,
                }
            })
            .collect();
        let rank = |it: &UnjudgedBy| {
            let all: u64 = it.reasons.values().sum();
            let other: u64 = NOT_HTTP.iter().map(|reason| it.of(reason.name())).sum();
            (all - other, all)
        };
        // Stable: those with as many stay in order.
        self.unjudged.sort_by_key(|it| std::cmp::Reverse(rank(it)));
        self.unjudged.truncate(LISTED);
    }

    /// Each process that is listed, once: its number, name and program.
    pub(crate) fn listed(&self) -> impl Iterator<Item = (u32, Option<&str>, Option<&str>)> {
        let listed = self.listed.iter().map(|it| &it.process);
        let all = listed.chain(self.unjudged.iter().map(|it| &it.process));
        let all: BTreeMap<_, _> = all.filter_map(|it| Some((it.pid?, it))).collect();
        all.into_iter()
            .map(|(pid, it)| (pid, it.comm.as_deref(), it.exe.as_deref()))
    }

    /// Processes with findings, one a line, of so many that were reported and so
    /// many messages that were judged in all.
    pub(super) fn lines(&self, reported: u64, judged: u64) -> Vec<String> {
        let with_findings = self.listed.iter().filter(|it| it.cut > 0);
        let shown: Vec<_> = with_findings.take(LINES).collect();
        let mut lines: Vec<_> = shown.iter().map(|it| it.line()).collect();
        let cut: u64 = shown.iter().map(|it| it.cut).sum();
        let others = reported.saturating_sub(cut);
        if !shown.is_empty() && others > 0 {
            let of: u64 = shown.iter().map(|it| it.judged).sum();
            lines.push(format!(
                "others {} of {} cut",
                grouped(others),
                grouped(judged.saturating_sub(of).max(others))
            ));
        }
        lines
    }

    /// What was not judged, one reason a line; of another protocol only if that is
    /// wanted too.
    pub(super) fn unjudged_lines(&self, all: bool) -> Vec<String> {
        let mut counts: BTreeMap<&str, u64> = BTreeMap::new();
        for it in &self.unjudged {
            for (reason, count) in &it.reasons {
                *counts.entry(reason).or_default() += count;
            }
        }
        let other = |reason: &str| NOT_HTTP.iter().any(|it| it.name() == reason);
        counts.retain(|reason, _| all || !other(reason));
        let mut reasons: Vec<_> = counts.into_iter().collect();
        reasons.sort_by_key(|(reason, count)| (other(reason), std::cmp::Reverse(*count)));
        let line = |reason: &str| {
            let mut places: Vec<_> = self
                .unjudged
                .iter()
                .filter(|it| it.of(reason) > 0)
                .collect();
            places.sort_by_key(|it| std::cmp::Reverse(it.of(reason)));
            let places = places.iter().map(|it| it.place(reason));
            joined(format!("{reason}: "), places, COLUMNS - INDENT)
        };
        reasons
            .iter()
            .take(LINES)
            .map(|(reason, _)| line(reason))
            .collect()
    }
}

impl Identity {
    /// It for people.
    fn label(&self) -> String {
        let program = |exe: &'_ str| exe.rsplit('/').next().map(str::to_owned);
        let name = self
            .comm
            .clone()
            .or_else(|| self.exe.as_deref().and_then(program));
        match (name.as_deref(), self.pid, self.tid) {
            (Some(comm), Some(pid), _) => format!("{comm}[{pid}]"),
            (None, Some(pid), _) => format!("process {pid}"),
            (Some(comm), None, Some(tid)) => format!("{comm} thread {tid}"),
            (None, None, Some(tid)) => format!("thread {tid}"),
            (Some(comm), None, None) => comm.to_owned(),
            (None, None, None) => "a process that the log does not name".to_owned(),
        }
    }
}

impl ProcessSummary {
    fn line(&self) -> String {
        // Several services may run the same program, an interpreter.
        let service = service(self.ports.first().copied(), self.paths.first());
        let more = match self.ports.len() + self.paths.len() {
            0 | 1 => "",
            _ => ",\u{2026}",
        };
        let mut text = format!(
            "{}{service}{more} {} of {} cut",
            self.process.label(),
            grouped(self.cut),
            grouped(self.judged)
        );
        let causes: Vec<_> = match self.causes.len() {
            1 => self
                .causes
                .keys()
                .map(|cause| (*cause).to_owned())
                .collect(),
            _ => self
                .causes
                .iter()
                .map(|(cause, count)| format!("{} {cause}", grouped(*count)))
                .collect(),
        };
        // A bracket at the end.
        let room = COLUMNS - INDENT - 1;
        text = joined(format!("{text} ("), causes.into_iter(), room);
        // Room for a sign that there are more.
        let more = if self.targets.len() > 1 { 3 } else { 0 };
        let left = room.saturating_sub(text.chars().count() + 2 + more);
        if !self.targets.is_empty() && left >= 6 {
            let targets = self.targets.iter();
            let targets = targets.map(|target| cut_in_the_middle(target, left.min(40)));
            text = joined(format!("{text}; "), targets, room);
        }
        printable(&format!("{text})"))
    }
}

impl UnjudgedBy {
    fn of(&self, reason: &str) -> u64 {
        self.reasons.get(reason).copied().unwrap_or(0)
    }

    fn place(&self, reason: &str) -> String {
        let service = service(self.port, self.path.as_ref());
        let count = grouped(self.of(reason));
        printable(&format!("{}{service} ({count})", self.process.label()))
    }
}

/// A service behind the name of a process.
fn service(port: Option<u16>, path: Option<&String>) -> String {
    match (port, path) {
        (Some(port), _) => format!(" :{port}"),
        (None, Some(path)) => format!(" {}", cut_in_the_middle(path, 24)),
        (None, None) => String::new(),
    }
}

/// So many of those with the highest counts, these first.
fn most<T: Ord>(counts: HashMap<T, u64>, count: usize) -> Vec<T> {
    let mut all: Vec<_> = counts.into_iter().collect();
    all.sort_by(|(a, n), (b, m)| m.cmp(n).then(a.cmp(b)));
    all.truncate(count);
    all.into_iter().map(|(it, _)| it).collect()
}

/// Words behind this text, with commas, as many as there is room for.
fn joined(mut text: String, words: impl Iterator<Item = String>, room: usize) -> String {
    let mut words = words.peekable();
    let mut first = true;
    while let Some(word) = words.next() {
        // Room for a sign that there are more.
        let more = if words.peek().is_some() { 3 } else { 0 };
        let length = text.chars().count() + word.chars().count() + if first { 0 } else { 2 };
        if length + more > room && !first {
            text.push_str(", \u{2026}");
            return text;
        }
        if !first {
            text.push_str(", ");
        }
        text.push_str(&word);
        first = false;
    }
    text
}

/// Bytes up to the first zero.
fn text(bytes: &[u8]) -> String {
    let name = bytes.split(|byte| *byte == 0).next().unwrap_or_default();
    String::from_utf8_lossy(name).into_owned()
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::{examples::finding, judge::Cause};

    fn of(pid: u32, target: &str) -> Finding {
        let mut finding = finding();
        finding.pid = pid;
        finding.local = None;
        finding.message.target = Some(target.to_owned());
        finding
    }

    /// A log's process 9 is not known, one of its threads is.
    fn named(key: u32) -> Identity {
        Identity {
            pid: (key != 9).then_some(key),
            tid: (key == 9).then_some(key),
            comm: (key == 7).then(|| "exporter".to_owned()),
            exe: None,
        }
    }

    pub(in crate::report) fn processes() -> Processes {
        let mut processes = Processes::default();
        for target in ["/report?a", "/report?b", "/a", "/b", "/c", "/d", "/e"] {
            processes.count(&of(7, target));
        }
        processes.count(&Finding {
            cause: Cause::Desync,
            ..of(7, &format!("/{}", "long/".repeat(100)))
        });
        processes.count(&of(9, "/x"));
        for pid in 100..110 {
            processes.count(&Finding {
                fault: Fault::Unknown,
                ..of(pid, "/")
            });
        }
        processes.list(&ByProcess::default(), named);
        processes
    }

    #[test]
    fn of_as_many_the_larger_part_comes_first() {
        let of = |judged, cut| ProcessSummary {
            judged,
            cut,
            local: cut,
            ..ProcessSummary::default()
        };
        assert!(rank(&of(4, 1)) > rank(&of(28, 1)));
        assert!(rank(&of(400, 2)) > rank(&of(4, 1)));
        assert!(rank(&of(28, 0)) > rank(&of(4, 0)));
    }

    #[test]
    fn the_worst_come_first_and_fit_80_columns() {
        let processes = processes();
        let first = processes.listed.first().expect("one");
        assert_eq!((first.process.pid, first.cut, first.local), (Some(7), 8, 8));
        assert_eq!(first.targets, ["/report", "/a", "/b", "/c", "/d"]);
        let second = processes.listed.get(1).expect("two");
        assert_eq!((second.process.pid, second.process.tid), (None, Some(9)));
        let lines = processes.lines(19, 300);
        assert_eq!(
            lines,
            [
                "exporter[7] 8 of 8 cut (1 desync, 7 premature-shutdown)",
                "images thread 9 1 of 1 cut (premature-shutdown; /x)",
                "images[100] 1 of 1 cut (premature-shutdown; /)",
                "images[101] 1 of 1 cut (premature-shutdown; /)",
                "images[102] 1 of 1 cut (premature-shutdown; /)",
                "others 7 of 288 cut",
            ]
        );
        assert!(
            lines
                .iter()
                .all(|line| line.chars().count() <= COLUMNS - INDENT)
        );
    }

    #[test]
    fn services_of_one_program_are_told_apart() {
        let mut processes = Processes::default();
        let mut unix = of(23, "/");
        unix.local = Some(Address::Unix("/run/images.sock".to_owned()));
        processes.count(&unix);
        let mut cut = |pid, port: u16, role| {
            let mut finding = of(pid, "/");
            finding.local = Some(Address::Inet(([127, 0, 0, 1], port).into()));
            finding.message.role = role;
            processes.count(&finding);
        };
        for (pid, port) in [(7, 8001), (20, 8003), (20, 8002), (20, 8002)] {
            cut(pid, port, Role::Response);
        }
        // The port of a client is any.
        cut(21, 50_000, Role::Request);
        for port in 1000..2000 {
            cut(22, port, Role::Response);
        }
        processes.list(&ByProcess::default(), named);
        let ports = |pid| {
            let of = processes
                .listed
                .iter()
                .find(|it| it.process.pid == Some(pid));
            of.map(|it| it.ports.clone()).unwrap_or_default()
        };
        assert_eq!((ports(7), ports(20)), (vec![8001], vec![8002, 8003]));
        assert_eq!((ports(21), ports(22).len()), (Vec::new(), SERVICES));
        let lines = processes.lines(1006, 1006).concat();
        for part in [
            "exporter[7] :8001 1 of 1 cut",
            "images[20] :8002,\u{2026} 3 of 3 cut",
            "images[21] 1 of 1 cut",
            "images[23] /run/images.sock 1 of 1 cut",
        ] {
            assert!(lines.contains(part), "{lines}");
        }
    }

    #[test]
    fn very_many_processes_and_targets_are_bounded() {
        let mut processes = Processes::default();
        for pid in 1..5000 {
            processes.count(&of(pid, &format!("/{pid}")));
            processes.count(&of(1, &format!("/{pid}{}", "x".repeat(1000))));
        }
        assert_eq!(processes.cuts.len(), KEPT);
        processes.list(&ByProcess::default(), named);
        assert_eq!(processes.listed.len(), LISTED);
        let first = processes.listed.first().expect("one");
        assert_eq!((first.cut, first.targets.len()), (5000, TARGETS));
        assert!(first.targets.iter().all(|it| it.chars().count() <= TARGET));
    }

    #[test]
    fn what_was_not_judged_is_told_by_process_and_service() {
        let place = |pid, port, path: Option<&str>, reasons: &[(&'static str, u64)]| UnjudgedBy {
            process: named(pid),
            port,
            path: path.map(str::to_owned),
            reasons: reasons.iter().copied().collect(),
        };
        let processes = Processes {
            unjudged: vec![
                place(7, Some(443), None, &[("encrypted", 6), ("http2", 1)]),
                place(8, None, Some("/run/x.sock"), &[("encrypted", 2)]),
                place(
                    9,
                    None,
                    None,
                    &[("mid-stream", 1), ("not-http", 90), ("not-stream", 7)],
                ),
            ],
            ..Processes::default()
        };
        assert_eq!(
            processes.unjudged_lines(false),
            [
                "encrypted: exporter[7] :443 (6), process 8 /run/x.sock (2)",
                "http2: exporter[7] :443 (1)",
                "mid-stream: thread 9 (1)",
            ]
        );
        let all = processes.unjudged_lines(true);
        assert_eq!(
            all.get(3..).unwrap_or_default(),
            ["not-http: thread 9 (90)", "not-stream: thread 9 (7)"]
        );
    }
}
