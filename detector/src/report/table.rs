//! A finding for people: what was promised, what was accepted, what is
//! missing, who ended it and how, which socket, and the calls that led there.

use comfy_table::{Attribute, Cell, CellAlignment, Color, ContentArrangement, Table, presets};

use super::{Reported, errno, grouped, json, milliseconds, stack};
use crate::judge::{Cause, EndingKind, Fault, Finding, Role, TimelineEntry};

/// Columns that the names before the values take at most, with the room
/// around both.
const NAMES: usize = 15;

/// What is left of a long path at least.
const SHORTEST: usize = 16;

/// The block of one finding, without a newline at its end. On a terminal that
/// is so many columns wide, long paths are cut in the middle.
#[must_use]
pub fn finding(reported: &Reported<'_>, color: bool, columns: Option<u16>) -> String {
    let finding = reported.finding;
    let mut facts = plain_table(color);
    if let Some(columns) = columns {
        facts
            .set_content_arrangement(ContentArrangement::Dynamic)
            .set_width(columns);
    }
    let fault_color = match finding.fault {
        Fault::Local => Color::Red,
        Fault::Peer | Fault::Unknown => Color::Yellow,
    };
    facts.set_header([
        Cell::new(headline(finding))
            .fg(fault_color)
            .add_attribute(Attribute::Bold),
        Cell::new(format!("{}, {}", finding.cause.name(), fault(finding)))
            .fg(fault_color)
            .add_attribute(Attribute::Bold),
    ]);
    let room = columns.map(|columns| usize::from(columns).saturating_sub(NAMES));
    for (name, value) in [
        ("when", reported.time.to_string()),
        ("message", message(reported, room)),
        ("promised", promised(finding)),
        ("accepted", accepted(finding)),
        ("missing", missing(finding)),
        (ended(finding), ended_by(finding)),
        (
            "program",
            fit(reported.exe.unwrap_or("not known"), room, str::to_owned),
        ),
        ("socket", socket(finding, room)),
    ] {
        facts.add_row([
            Cell::new(name).add_attribute(Attribute::Dim),
            Cell::new(printable(&value)),
        ]);
    }
    if !reported.assumes.is_empty() {
        facts.add_row([
            Cell::new("assumes").add_attribute(Attribute::Dim),
            Cell::new(format!(
                "{} traced: no line of the log shows it",
                reported.assumes.join(", ")
            )),
        ]);
    }
    let mut calls = plain_table(color);
    let start = finding
        .timeline
        .iter()
        .find_map(|entry| entry.time_ns)
        .unwrap_or(0);
    for entry in &finding.timeline {
        calls.add_row(call(entry, start, finding));
    }
    let indented: Vec<_> = calls
        .lines()
        .map(|line| format!("  {}", line.trim_end()))
        .collect();
    // Names of processes, paths and targets come from outside: on a terminal
    // they are text, never commands.
    let facts: Vec<_> = facts
        .lines()
        .map(|line| line.trim_end().to_owned())
        .collect();
    let mut block = facts;
    block.extend(indented);
    block.extend(
        stack::lines(reported.stack, reported.exe, columns)
            .iter()
            .map(|line| printable(line)),
    );
    block.join("\n")
}

fn plain_table(color: bool) -> Table {
    let mut table = Table::new();
    table.load_style(presets::NOTHING);
    if color {
        table.enforce_styling();
    } else {
        table.force_no_tty();
    }
    table
}

fn headline(finding: &Finding) -> &'static str {
    match (finding.cause, finding.fault) {
        (Cause::Stalled, _) => "STALLED",
        (Cause::Overrun, _) => "TOO LONG",
        (Cause::DeliveryAtRisk, _) => "AT RISK",
        (_, Fault::Local | Fault::Unknown) => "TRUNCATED",
        (_, Fault::Peer) => "CUT BY PEER",
    }
}

fn fault(finding: &Finding) -> String {
    match (finding.cause, finding.fault) {
        (_, Fault::Local) => "fault: local".to_owned(),
        (_, Fault::Peer) => "fault: peer".to_owned(),
        (Cause::Stalled, Fault::Unknown) => "fault: unknown".to_owned(),
        (_, Fault::Unknown) => "fault: unknown (the peer had half-closed)".to_owned(),
    }
}

fn promised(finding: &Finding) -> String {
    match finding.promised {
        Some(bytes) => format!("{} bytes (Content-Length)", grouped(bytes)),
        None => "a last chunk (Transfer-Encoding: chunked)".to_owned(),
    }
}

fn accepted(finding: &Finding) -> String {
    match (finding.sent, finding.sent_with_head) {
        (Some(bytes), _) => format!("{} bytes of the body by the kernel", grouped(bytes)),
        (None, Some(bytes)) => format!(
            "fewer than {} bytes of the body by the kernel: so many with the head, whose end the log does not show",
            grouped(bytes)
        ),
        (None, None) => "no last chunk".to_owned(),
    }
}

fn ended(finding: &Finding) -> &'static str {
    match finding.ending.kind {
        EndingKind::Next { .. } => "shown by",
        EndingKind::Open => "waiting",
        _ => "ended by",
    }
}

/// A text with a path in it, which is cut so that the text fits the room.
fn fit(path: &str, room: Option<usize>, text: impl Fn(&str) -> String) -> String {
    let whole = text(path);
    let (length, all) = (path.chars().count(), whole.chars().count());
    match room {
        Some(room) if all > room => {
            let kept = (length + room).saturating_sub(all).max(SHORTEST);
            text(&cut_in_the_middle(path, kept))
        }
        _ => whole,
    }
}

/// A path's beginning and its end, which say most.
pub(super) fn cut_in_the_middle(path: &str, kept: usize) -> String {
    let letters: Vec<_> = path.chars().collect();
    if letters.len() <= kept {
        return path.to_owned();
    }
    // The end is the name of a file: it gets the larger half.
    let before = kept.saturating_sub(1) / 2;
    let behind = letters.len() - (kept.saturating_sub(1) - before);
    let start = letters.iter().take(before);
    let end = letters.iter().skip(behind);
    start.chain(&['\u{2026}']).chain(end).collect()
}

fn message(reported: &Reported<'_>, room: Option<usize>) -> String {
    let target = reported.target().unwrap_or_default();
    fit(target, room, |target| message_to(reported, target))
}

fn message_to(reported: &Reported<'_>, target: &str) -> String {
    let message = &reported.finding.message;
    let target = reported.target().map(|_| target);
    let request = match (&message.method, target) {
        (Some(method), Some(target)) => format!("{method} {target}"),
        (Some(method), None) => method.clone(),
        _ => "a request that was not seen".to_owned(),
    };
    match (message.role, message.status) {
        (Role::Response, Some(status)) => format!("response {status} to {request}"),
        (Role::Response, None) => format!("response to {request}"),
        (Role::Request, _) => format!("request {request}"),
    }
}

fn missing(finding: &Finding) -> String {
    let stranded = match finding.stranded {
        None if matches!(finding.ending.kind, EndingKind::Next { .. }) => String::new(),
        None => "; how many the last call offered is not known".to_owned(),
        Some(0) => "; the process never offered them to the kernel".to_owned(),
        Some(bytes) => format!("; {} stranded (offered to the last call)", grouped(bytes)),
    };
    match (finding.cause, finding.missing()) {
        (Cause::DeliveryAtRisk, _) => format!("what the peer has not read: {}", reset(finding)),
        (Cause::Overrun, _) => {
            let extra = finding
                .sent
                .unwrap_or(0)
                .saturating_sub(finding.promised.unwrap_or(0));
            format!("none: {} bytes too many", grouped(extra))
        }
        (_, Some(bytes)) => format!("{} bytes{stranded}", grouped(bytes)),
        (_, None)
            if let (Some(promised), Some(sent)) = (finding.promised, finding.sent_with_head) =>
        {
            format!(
                "more than {} bytes{stranded}",
                grouped(promised.saturating_sub(sent))
            )
        }
        (_, None) => format!("the end of the body{stranded}"),
    }
}

/// Why the kernel sends a reset.
fn reset(finding: &Finding) -> String {
    match (finding.unread, finding.reset) {
        (0, _) => "SO_LINGER 0 makes the kernel send a reset".to_owned(),
        (bytes, _) => format!(
            "{} received bytes were left unread, so that the kernel sends a reset",
            grouped(bytes.into())
        ),
    }
}

fn ended_by(finding: &Finding) -> String {
    let idle = match (finding.ending.idle_ns, finding.ending.kind) {
        (_, EndingKind::Next { .. }) => String::new(),
        // A log without times.
        (None, _) => String::new(),
        (Some(idle), _) => format!(", {:.2} ms after the last byte", milliseconds(idle)),
    };
    let call = json::ending_call(finding).unwrap_or_else(|| "still open".to_owned());
    // It was over before that.
    let first = match finding.cause {
        Cause::PeerClosed => "the peer, before ",
        _ => "",
    };
    format!("{first}{}: {call}{idle}", who(finding))
}

/// The process and its thread; a log may tell of the one, the other, or neither.
pub(super) fn who(finding: &Finding) -> String {
    let comm = finding.comm.as_str();
    let process = match (comm, finding.pid, finding.tid) {
        ("", 0, 0) => return "a process that the log does not name".to_owned(),
        (_, 0, 0) => return comm.to_owned(),
        ("", 0, tid) => return format!("thread {tid} (of which process, the log does not tell)"),
        (_, 0, tid) => {
            return format!("{comm} thread {tid} (of which process, the log does not tell)");
        }
        ("", pid, _) => format!("process {pid}"),
        (_, pid, _) => format!("{comm}[{pid}]"),
    };
    match finding.tid {
        0 => process,
        tid if tid == finding.pid => process,
        tid => format!("{process} thread {tid}"),
    }
}

fn socket(finding: &Finding, room: Option<usize>) -> String {
    let address = |of: &Option<_>| of.as_ref().map(json::address).unwrap_or_default();
    let (local, peer) = (address(&finding.local), address(&finding.peer));
    // Of a Unix socket one side has a path, the other none.
    if local.len() >= peer.len() {
        fit(&local, room, |local| socket_between(finding, local, &peer))
    } else {
        fit(&peer, room, |peer| socket_between(finding, &local, peer))
    }
}

fn socket_between(finding: &Finding, local: &str, peer: &str) -> String {
    let mut text = json::family(finding.family)
        .unwrap_or("not known which")
        .to_owned();
    if !local.is_empty() {
        text.push_str(&format!(" {local}"));
    }
    if !peer.is_empty() {
        text.push_str(&format!(" to {peer}"));
    }
    if let Some(pid) = finding.peer_pid {
        text.push_str(&format!(", peer pid {pid}"));
    }
    if let Some(fd) = finding.fd {
        text.push_str(&format!(", fd {fd}"));
    }
    if let Some(inode) = finding.inode {
        text.push_str(&format!(", socket:[{inode}]"));
    }
    text
}

fn call(entry: &TimelineEntry, start: u64, finding: &Finding) -> [Cell; 2] {
    let time = entry.time_ns.map_or_else(String::new, |time| {
        format!("{:.3} ms", milliseconds(time.saturating_sub(start)))
    });
    let fd = finding
        .fd
        .map_or_else(|| "?".to_owned(), |fd| fd.to_string());
    let text = match (entry.result, entry.offered) {
        (Some(result), offered) => {
            let offered = offered.map_or_else(|| "?".to_owned(), grouped);
            format!(
                "{}({fd}, {offered} bytes) = {}",
                entry.call,
                outcome(result)
            )
        }
        (None, _) if is_ending(entry, finding) => {
            json::ending_call(finding).unwrap_or_else(|| entry.call.clone())
        }
        (None, _) => entry.call.clone(),
    };
    let cell = if is_ending(entry, finding) && finding.cause != Cause::PeerClosed {
        Cell::new(text).fg(Color::Red)
    } else {
        Cell::new(text)
    };
    [Cell::new(time).set_alignment(CellAlignment::Right), cell]
}

fn is_ending(entry: &TimelineEntry, finding: &Finding) -> bool {
    entry.result.is_none() && entry.call == finding.ending.kind.name()
}

fn outcome(result: i64) -> String {
    if result < 0 {
        format!("-1 {}", errno::name(result.unsigned_abs()))
    } else {
        grouped(result.unsigned_abs())
    }
}

/// The text without control characters.
pub(super) fn printable(text: &str) -> String {
    text.replace(char::is_control, "\u{fffd}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_ended_it_is_told_as_far_as_a_log_tells_it() {
        let unknown = "(of which process, the log does not tell)";
        for (comm, pid, tid, told) in [
            ("images", 7, 7, "images[7]".to_owned()),
            ("images", 7, 8, "images[7] thread 8".to_owned()),
            ("", 7, 7, "process 7".to_owned()),
            ("", 7, 0, "process 7".to_owned()),
            ("", 0, 8, format!("thread 8 {unknown}")),
            ("images", 0, 8, format!("images thread 8 {unknown}")),
            ("", 0, 0, "a process that the log does not name".to_owned()),
        ] {
            let finding = Finding {
                comm: comm.to_owned(),
                pid,
                tid,
                ..crate::report::snapshots::finding()
            };
            assert_eq!(who(&finding), told);
        }
    }

    #[test]
    fn what_the_peer_ended_is_said_to_be_its_doing() {
        let mut finding = crate::report::snapshots::finding();
        assert!(!ended_by(&finding).contains("peer"));
        finding.cause = Cause::PeerClosed;
        let told = ended_by(&finding);
        assert!(told.starts_with("the peer, before images[7599]"), "{told}");
    }

    #[test]
    fn paths_are_cut_in_the_middle_and_keep_their_ends() {
        assert_eq!(cut_in_the_middle("/usr/bin/images", 15), "/usr/bin/images");
        assert_eq!(
            cut_in_the_middle("/usr/bin/images", 10),
            "/usr\u{2026}mages"
        );
        let line = fit("/a/very/long/path/to/a/socket.sock", Some(30), |path| {
            format!("unix {path}, fd 7")
        });
        assert_eq!(line.chars().count(), 30, "{line}");
        // Never without end.
        let line = fit("/a/very/long/path/to/a/socket.sock", Some(3), |path| {
            format!("unix {path}")
        });
        assert_eq!(line.chars().count(), "unix ".len() + SHORTEST);
    }
}
