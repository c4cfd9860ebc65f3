//! The end of a watch in a few lines.

use std::{collections::BTreeMap, fmt};

use detector_common::Stat;

use super::{errno, grouped, processes::Processes};
use crate::judge::{Cause, Fault, Finding, Tally, Unjudged};

/// Why the kernel side does not show something for judging: counters of it by these
/// names (`detector_common::Stat`). docs/json.md explains them.
pub const KERNEL_REASONS: [&str; 4] = ["connections-full", "unreadable", "exit-walk-cut", "32-bit"];

/// What was read of a log.
#[derive(Clone, Debug, Default, serde::Serialize)]
pub struct LogSummary {
    /// Lines in all.
    pub lines: u64,
    /// Lines that could not be read: none of strace's, or torn.
    pub unreadable_lines: u64,
    /// Lines in whose place others were left out.
    pub elided_lines: u64,
    /// Calls of which strace, or somebody after it, left bytes out.
    pub cut_calls: u64,
}

/// What a watch came to.
#[derive(Clone, Debug, Default)]
pub struct Summary {
    /// Its length.
    pub seconds: f64,
    /// A log without times: its length is not known.
    pub timeless: bool,
    /// Connections that moved bytes.
    pub connections: u64,
    /// Messages proved whole or cut short.
    pub messages_judged: u64,
    /// Findings reported, by cause.
    pub findings: BTreeMap<&'static str, u64>,
    /// Findings whose fault is local.
    pub local: u64,
    /// Messages that the peer cut short, reported or not.
    pub peer_endings: u64,
    /// What was not judged, by reason.
    pub unjudged: BTreeMap<&'static str, u64>,
    /// Connections on which responses were received, where none was sent: received messages
    /// are judged where they are sent.
    pub received_only: u64,
    /// Connections on which responses were received, where others were sent: a message may
    /// have been passed on as short as it came.
    pub received_besides: u64,
    /// By whom.
    pub processes: Processes,
    /// Say too by whom what is known not to be HTTP was sent.
    pub verbose: bool,
    /// Records that found the ring buffer full.
    pub events_lost: u64,
    /// What this kernel does not show; each in words.
    pub not_seen: Vec<String>,
    /// What was read, if it was a log.
    pub log: Option<LogSummary>,
    /// How the command that was run ended, as a shell's `$?`: its exit status,
    /// or 128 and the number of the signal that killed it. `None` without one,
    /// and while it runs.
    pub command_status: Option<i32>,
    /// Something that should have been seen was not: losses, full maps.
    pub incomplete: bool,
    /// A recording of which the end is missing, and with it what the kernel side
    /// had counted: connections and losses are not known.
    pub cut: bool,
}

impl Summary {
    /// Counts a finding that was reported.
    pub fn count(&mut self, finding: &Finding) {
        *self.findings.entry(finding.cause.name()).or_default() += 1;
        self.local += u64::from(finding.fault == Fault::Local);
        self.processes.count(finding);
    }

    /// Takes the judge's counts and the kernel side's, by name.
    pub fn take(&mut self, tally: &Tally, kernel: &BTreeMap<&'static str, u64>) {
        let stat = |name| kernel.get(name).copied().unwrap_or(0);
        self.connections = stat("connections");
        self.messages_judged = tally.messages_judged;
        self.peer_endings = tally.peer_endings;
        (self.received_only, self.received_besides) = match tally.responses {
            0 => (tally.heard, 0),
            _ => (0, tally.heard),
        };
        self.events_lost = stat("ring-full");
        for reason in Unjudged::ALWAYS {
            self.unjudged.insert(reason.name(), 0);
        }
        for (reason, count) in &tally.unjudged {
            self.unjudged.insert(reason.name(), *count);
        }
        let lost = tally.lost_events(stat(Stat::EndsLost.name()));
        self.unjudged.insert(Unjudged::LostEvents.name(), lost);
        for name in KERNEL_REASONS {
            if stat(name) > 0 {
                self.unjudged.insert(name, stat(name));
                self.incomplete = true;
            }
        }
        if stat("children") > 0 {
            let children = stat("children");
            let (noun, they) = if children == 1 {
                ("child", "it is")
            } else {
                ("children", "they are")
            };
            self.not_seen.push(format!(
                "{} {noun} that came later (with --follow {they} watched too)",
                grouped(children)
            ));
        }
        self.incomplete |= self.events_lost > 0
            || [Unjudged::LostEvents, Unjudged::HeadCut, Unjudged::OutOfBand]
                .iter()
                .any(|reason| tally.missed(*reason) > 0);
    }

    /// The exit status of what was judged: 1 for a finding whose fault is local, else 3
    /// if something was missed, else 0.
    #[must_use]
    pub fn exit_status(&self) -> u8 {
        match (self.local, self.incomplete || self.nothing_judged()) {
            (1.., _) => 1,
            (0, true) => 3,
            (0, false) => 0,
        }
    }

    /// There was traffic that may have been HTTP, and no message was judged.
    #[must_use]
    pub fn nothing_judged(&self) -> bool {
        self.messages_judged == 0 && !self.maybe_http().is_empty()
    }

    /// What was not judged and may have been HTTP, by reason.
    pub(super) fn maybe_http(&self) -> Vec<(Unjudged, u64)> {
        let of = |reason: Unjudged| Some((reason, *self.unjudged.get(reason.name())?));
        let all = Unjudged::MAYBE_HTTP.into_iter().filter_map(of);
        all.filter(|(_, count)| *count > 0).collect()
    }
}

/// So many of these.
pub(crate) fn several(count: u64, what: &str) -> String {
    let plural = if count == 1 { "" } else { "s" };
    format!("{} {what}{plural}", grouped(count))
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let named = |counts: &BTreeMap<&'static str, u64>| {
            counts
                .iter()
                .filter(|(_, count)| **count > 0)
                .map(|(name, count)| format!("{} {name}", grouped(*count)))
                .collect::<Vec<_>>()
                .join(", ")
        };
        let or_none = |text: String| {
            if text.is_empty() {
                "none".to_owned()
            } else {
                text
            }
        };
        match &self.log {
            Some(log) => write!(f, "read {} lines", grouped(log.lines))?,
            None if self.cut => write!(f, "read the first {:.1} s of a watch", self.seconds)?,
            None => write!(f, "watched {:.1} s", self.seconds)?,
        }
        let connections = if self.cut {
            "connections not known".to_owned()
        } else {
            several(self.connections, "connection")
        };
        writeln!(
            f,
            ": {connections}, {} judged",
            several(self.messages_judged, "message")
        )?;
        writeln!(f, "  findings      {}", or_none(named(&self.findings)))?;
        let reported = self.findings.values().sum();
        let mut name = "by process";
        for line in self.processes.lines(reported, self.messages_judged) {
            writeln!(f, "  {name:13} {line}")?;
            name = "";
        }
        if self.findings.contains_key(Cause::PeerClosed.name()) || self.peer_endings == 0 {
            writeln!(f, "  cut by peers  {}", grouped(self.peer_endings))?;
        } else {
            writeln!(
                f,
                "  cut by peers  {} (--show-peer reports them)",
                grouped(self.peer_endings)
            )?;
        }
        writeln!(f, "  not judged    {}", or_none(named(&self.unjudged)))?;
        for line in self.processes.unjudged_lines(self.verbose) {
            writeln!(f, "                {line}")?;
        }
        if self.received_only > 0 {
            writeln!(
                f,
                "  received      responses on {}: received messages are judged where they are sent (watch the sender)",
                several(self.received_only, "connection")
            )?;
        }
        if self.received_besides > 0 && self.local > 0 {
            writeln!(
                f,
                "  received      on {}: if a response was short, watch its sender",
                several(self.received_besides, "connection")
            )?;
        }
        let lost = if self.log.is_some() {
            "lines lost "
        } else {
            "events lost"
        };
        if self.cut {
            writeln!(f, "  {lost}   not known, and all that came later")?;
        } else {
            writeln!(f, "  {lost}   {}", grouped(self.events_lost))?;
        }
        for what in &self.not_seen {
            writeln!(f, "  not seen      {what}")?;
        }
        match self.command_status {
            // No signal has a number above 64.
            Some(status @ 129..=192) => {
                let signal = errno::signal((status - 128).unsigned_abs());
                writeln!(f, "  command       ended with status {status} ({signal})")
            }
            Some(status) => writeln!(f, "  command       ended with status {status}"),
            None => Ok(()),
        }
    }
}
