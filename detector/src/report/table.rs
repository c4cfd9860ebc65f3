//! A finding for people: what was promised, what was accepted, what is
//! missing, who ended it and how, which socket, and the calls that led there.

use comfy_table::{Attribute, Cell, CellAlignment, Color, ContentArrangement, Table, presets};

use detector_common::CALL_RING;

use super::{
    Reported, errno, grouped, json, milliseconds, several, stack,
    text::{cut_in_the_middle, printable},
};
use crate::judge::{Cause, EndingKind, Fault, Finding, Role, SendQueue, TimelineEntry};

/// Columns that the names before the values take at most, with the room
/// around both.
const NAMES: usize = 15;

/// What a send gives behind this side's own shutdown (errno(3)).
const EPIPE: i64 = -32;

/// Lines of a screen that a finding has for itself: 24, less an empty line and the first
/// three of the summary.
const SCREEN: usize = 20;

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
        Cell::new(format!("{}, {}", cause(finding), fault(finding)))
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
    if let Some(queue) = finding.send_queue {
        facts.add_row([
            Cell::new("send queue").add_attribute(Attribute::Dim),
            Cell::new(turn(queue)),
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
    let last = finding
        .timeline
        .iter()
        .filter_map(|entry| entry.time_ns)
        .max();
    // One unit for all: they are read against each other.
    let in_seconds = last.is_some_and(|last| last.saturating_sub(start) >= 1_000_000_000);
    for entry in &finding.timeline {
        calls.add_row(call(entry, (start, in_seconds), finding));
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
    let left = SCREEN.saturating_sub(block.len());
    block.extend(
        stack::lines(reported.stack, reported.exe, columns, left)
            .iter()
            .map(|line| printable(line)),
    );
    block.join("\n")
}

fn plain_table(color: bool) -> Table {
    let mut table = Table::new();
    table.load_style(presets::NOTHING);
    if color {
        // NO_COLOR had its say when this was decided, and must not take a part of it.
        crossterm::style::force_color_output(true);
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

/// The cause, where the headline does not say it already.
fn cause(finding: &Finding) -> String {
    match (finding.cause, finding.ending.idle_ns) {
        (Cause::Stalled, Some(idle)) => format!("nothing accepted for {}", lasting(idle)),
        (Cause::Stalled, None) => "nothing accepted any more".to_owned(),
        (cause, _) => cause.name().to_owned(),
    }
}

/// So long, in the unit that fits.
fn lasting(nanoseconds: u64) -> String {
    let seconds = nanoseconds / 1_000_000_000;
    match seconds {
        0 => format!("{:.2} ms", milliseconds(nanoseconds)),
        1..120 => format!("{:.1} s", milliseconds(nanoseconds) / 1000.0),
        120..7200 => format!("{} min {} s", seconds / 60, seconds % 60),
        _ => format!("{} h {} min", seconds / 3600, seconds / 60 % 60),
    }
}

fn fault(finding: &Finding) -> String {
    match (finding.cause, finding.fault) {
        (_, Fault::Local) => "fault: local".to_owned(),
        (_, Fault::Peer) => "fault: peer".to_owned(),
        (Cause::DeliveryAtRisk, Fault::Unknown) if !half_closed(finding) => {
            "fault: unknown (the peer may have received all)".to_owned()
        }
        (_, Fault::Unknown) if !half_closed(finding) => "fault: unknown".to_owned(),
        (_, Fault::Unknown) => "fault: unknown (the peer had half-closed)".to_owned(),
    }
}

/// Why a response has no body, whatever its fields say (RFC 9112 section 6.3).
fn bodiless(finding: &Finding) -> Option<String> {
    let message = &finding.message;
    match (message.role, message.status, message.method.as_deref()) {
        (Role::Response, Some(status @ (204 | 304)), _) => {
            Some(format!("a {status} response has none"))
        }
        (Role::Response, _, Some("HEAD")) => Some("it answers HEAD".to_owned()),
        _ => None,
    }
}

fn promised(finding: &Finding) -> String {
    if let Some(why) = bodiless(finding) {
        return format!("no body: {why}");
    }
    match finding.promised {
        Some(bytes) => format!("{} (Content-Length)", several(bytes, "byte")),
        None => "a last chunk (Transfer-Encoding: chunked)".to_owned(),
    }
}

fn accepted(finding: &Finding) -> String {
    match (finding.sent, finding.sent_with_head) {
        (Some(bytes), _) if bodiless(finding).is_some() => {
            format!("{} behind the head by the kernel", several(bytes, "byte"))
        }
        (Some(bytes), _) => format!("{} of the body by the kernel", several(bytes, "byte")),
        (None, Some(bytes)) => format!(
            "fewer than {} bytes of the body by the kernel: the log does not show where the head ends",
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

/// Whose turn it is.
const fn turn(queue: SendQueue) -> &'static str {
    match queue {
        SendQueue::Empty => "empty: the peer has taken all, this process has to send more",
        SendQueue::Partial => "neither empty nor full: this process may send, the peer may read",
        SendQueue::Full => "full: the peer has to read before more can be sent",
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
    let them = match finding.missing() {
        Some(1) => "it",
        Some(_) => "them",
        // More than so many, or the end of a body.
        None if finding.promised.is_some() => "them",
        None => "it",
    };
    let stranded = match finding.stranded {
        None if matches!(finding.ending.kind, EndingKind::Next { .. }) => String::new(),
        None => "; how many the last call offered is not known".to_owned(),
        Some(0) => match earlier_offer(finding) {
            Some(0) => format!("; the process never offered {them} to the kernel"),
            Some(bytes) => format!(
                "; {} of them offered to an earlier call, none to the last",
                grouped(bytes)
            ),
            None => "; the last call offered none of them".to_owned(),
        },
        Some(bytes) => format!("; {} stranded (offered to the last call)", grouped(bytes)),
    };
    match (finding.cause, finding.missing()) {
        (Cause::DeliveryAtRisk, _) => at_risk(finding),
        (Cause::Overrun, _) => {
            let extra = finding
                .sent
                .unwrap_or(0)
                .saturating_sub(finding.promised.unwrap_or(0));
            format!("none: {} too many", several(extra, "byte"))
        }
        (_, Some(bytes)) => format!("{}{stranded}", several(bytes, "byte")),
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

/// Missing bytes that a call before the last offered, and that the kernel did not take;
/// `None` where that is not known.
fn earlier_offer(finding: &Finding) -> Option<u64> {
    let calls = finding
        .timeline
        .iter()
        .filter(|entry| entry.result.is_some());
    let sends = |entry: &&TimelineEntry| {
        let call = entry.call.as_str();
        call.contains("send") || call.contains("write") || call.contains("splice")
    };
    // Others may have gone before those that are kept.
    let all = calls.clone().count() < CALL_RING;
    // Offsets of what each offered, from the end of what was accepted on.
    let mut accepted = 0_u64;
    let mut most = 0_u64;
    for entry in calls.rev().filter(sends) {
        let result = entry.result?;
        let taken = u64::try_from(result).unwrap_or(0);
        let of_file = matches!(entry.call.as_str(), "sendfile" | "splice");
        accepted = accepted.saturating_add(taken);
        match result {
            // The end of a file; and a send behind this side's own shutdown.
            0 | EPIPE => continue,
            // What the file had left no call tells.
            _ if of_file && entry.offered? != taken => return None,
            _ => most = most.max(entry.offered?.saturating_sub(accepted)),
        }
    }
    match most {
        0 => all.then_some(0),
        most => finding.missing().map(|missing| most.min(missing)),
    }
}

/// Whether the kernel said at the ending that the peer would send no more.
fn half_closed(finding: &Finding) -> bool {
    let mut calls = finding.timeline.iter();
    calls.any(|entry| entry.call == "peer half-closed")
}

/// What a reset takes from the peer.
fn at_risk(finding: &Finding) -> String {
    let why = reset(finding);
    match finding.ending.unsent {
        Some(bytes @ 1..) => format!(
            "{} bytes that were not sent yet, and what the peer has not read: {why}",
            grouped(bytes.into())
        ),
        _ => format!("what the peer has not read, which may be nothing: {why}"),
    }
}

/// Why the kernel sends a reset.
fn reset(finding: &Finding) -> String {
    match (finding.unread, finding.reset) {
        _ if finding.ending.late => {
            "the peer sent more after that, so that the kernel sent a reset".to_owned()
        }
        (Some(1), _) => {
            "1 received byte was left unread, so that the kernel sends a reset".to_owned()
        }
        (Some(bytes @ 2..), _) => format!(
            "{} received bytes were left unread, so that the kernel sends a reset",
            grouped(bytes.into())
        ),
        (_, Some(true)) => "SO_LINGER 0 makes the kernel send a reset".to_owned(),
        _ => "received bytes were left unread, so that the kernel sent a reset".to_owned(),
    }
}

fn ended_by(finding: &Finding) -> String {
    let idle = match (finding.ending.idle_ns, finding.ending.kind) {
        (_, EndingKind::Next { .. }) => String::new(),
        // A log without times.
        (None, _) => String::new(),
        (Some(idle), _) => format!(", {} after the last byte", lasting(idle)),
    };
    let call = json::ending_call(finding).unwrap_or_else(|| "still open".to_owned());
    // It was over before that.
    let first = match finding.cause {
        Cause::PeerClosed => "the peer, before ",
        _ => "",
    };
    format!("{first}{}: {call}{idle}", who(finding, THREAD_ONLY))
}

/// That a log tells of a thread, and not of its process.
const THREAD_ONLY: &str = " (of which process, the log does not tell)";

/// The process and its thread; a log may tell of the one, the other, or neither. Of a
/// thread alone, `thread_only` is added.
pub(super) fn who(finding: &Finding, thread_only: &str) -> String {
    let comm = finding.comm.as_str();
    let process = match (comm, finding.pid, finding.tid) {
        ("", 0, 0) => return "a process that the log does not name".to_owned(),
        (_, 0, 0) => return comm.to_owned(),
        ("", 0, tid) => return format!("thread {tid}{thread_only}"),
        (_, 0, tid) => return format!("{comm} thread {tid}{thread_only}"),
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

fn call(entry: &TimelineEntry, (start, in_seconds): (u64, bool), finding: &Finding) -> [Cell; 2] {
    let time = entry.time_ns.map_or_else(String::new, |time| {
        let time = milliseconds(time.saturating_sub(start));
        match in_seconds {
            true => format!("{:.6} s", time / 1000.0),
            false => format!("{time:.3} ms"),
        }
    });
    let fd = finding
        .fd
        .map_or_else(|| "?".to_owned(), |fd| fd.to_string());
    let text = match (entry.result, entry.offered) {
        (Some(result), offered) => {
            let offered =
                offered.map_or_else(|| "? bytes".to_owned(), |bytes| several(bytes, "byte"));
            format!("{}({fd}, {offered}) = {}", entry.call, outcome(result))
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
                ..crate::examples::finding()
            };
            assert_eq!(who(&finding, THREAD_ONLY), told);
        }
    }

    #[test]
    fn a_response_without_a_body_promises_none() {
        let behind = |status: u16, method: &str| {
            let mut finding = Finding {
                cause: Cause::Overrun,
                promised: Some(0),
                sent: Some(5),
                sent_with_head: None,
                ..crate::examples::finding()
            };
            finding.message.status = Some(status);
            finding.message.method = Some(method.to_owned());
            (promised(&finding), accepted(&finding), missing(&finding))
        };
        let says = |promised: &str, accepted: &str| {
            let missing = "none: 5 bytes too many".to_owned();
            (promised.to_owned(), accepted.to_owned(), missing)
        };
        let head = "5 bytes behind the head by the kernel";
        let body = "5 bytes of the body by the kernel";
        let no_body = "no body: a 304 response has none";
        assert_eq!(behind(304, "GET"), says(no_body, head));
        assert_eq!(behind(200, "HEAD"), says("no body: it answers HEAD", head));
        assert_eq!(behind(200, "GET"), says("0 bytes (Content-Length)", body));
    }

    #[test]
    fn what_was_offered_before_the_last_call_is_told() {
        let call = |call: &str, offered, result| TimelineEntry {
            time_ns: None,
            call: call.to_owned(),
            offered,
            result,
            tid: None,
        };
        let told = |calls: &[TimelineEntry]| {
            missing(&Finding {
                promised: Some(1_000_000),
                sent: Some(301_000),
                stranded: Some(0),
                timeline: calls.to_vec(),
                ..crate::examples::finding()
            })
        };
        let head = call("sendto", Some(44), Some(44));
        let part = call("writev", Some(1_000_000), Some(300_000));
        let small = call("write", Some(1000), Some(1000));
        let never = "699,000 bytes; the process never offered them to the kernel";
        let last = "699,000 bytes; the last call offered none of them";
        assert_eq!(
            told(&[head.clone(), part, small.clone()]),
            "699,000 bytes; 699,000 of them offered to an earlier call, none to the last"
        );
        let full = call("send", Some(300_000), Some(300_000));
        assert_eq!(told(&[head.clone(), full, small.clone()]), never);
        // What was offered again, and taken.
        let again = call("sendmsg", Some(600_000), Some(300_000));
        assert_eq!(
            told(&[again.clone(), call("sendto", Some(300_000), Some(300_000))]),
            never
        );
        let full_socket = call("sendto", Some(700_000), Some(-11));
        assert_eq!(
            told(&[full_socket, small.clone()]),
            "699,000 bytes; 699,000 of them offered to an earlier call, none to the last"
        );
        // Not known: of a file, of a log, and where earlier calls are not kept.
        assert_eq!(told(&[call("sendfile", Some(1 << 40), Some(9))]), last);
        assert_eq!(told(&[call("sendto", None, Some(9)), small.clone()]), last);
        assert_eq!(told(&vec![small.clone(); CALL_RING]), last);
        // At the end of a file, and behind this side's own shutdown.
        assert_eq!(
            told(&[small.clone(), call("sendfile", Some(1 << 40), Some(0))]),
            never
        );
        assert_eq!(told(&[small, call("sendto", Some(54), Some(-32))]), never);
    }

    #[test]
    fn what_the_peer_ended_is_said_to_be_its_doing() {
        let mut finding = crate::examples::finding();
        assert!(!ended_by(&finding).contains("peer"));
        finding.cause = Cause::PeerClosed;
        let told = ended_by(&finding);
        assert!(told.starts_with("the peer, before images[7599]"), "{told}");
    }

    #[test]
    fn lengths_of_time_have_the_unit_that_fits() {
        for (milliseconds, told) in [
            (0, "0.00 ms"),
            (999, "999.00 ms"),
            (3214, "3.2 s"),
            (119_999, "120.0 s"),
            (125_000, "2 min 5 s"),
            (7_260_000, "2 h 1 min"),
        ] {
            assert_eq!(lasting(milliseconds * 1_000_000), told);
        }
        let mut finding = crate::examples::finding();
        finding.ending.idle_ns = Some(3_214_060_000);
        assert!(ended_by(&finding).ends_with(", 3.2 s after the last byte"));
    }

    #[test]
    fn what_is_missing_is_spoken_of_as_what_it_is() {
        let told = |promised, sent, stranded| {
            missing(&Finding {
                promised,
                sent,
                stranded,
                timeline: Vec::new(),
                ..crate::examples::finding()
            })
        };
        for (promised, sent, stranded, text) in [
            (
                Some(9),
                Some(4),
                Some(0),
                "5 bytes; the process never offered them to the kernel",
            ),
            (
                Some(9),
                Some(8),
                Some(0),
                "1 byte; the process never offered it to the kernel",
            ),
            (
                None,
                None,
                Some(0),
                "the end of the body; the process never offered it to the kernel",
            ),
            (
                None,
                None,
                Some(7),
                "the end of the body; 7 stranded (offered to the last call)",
            ),
        ] {
            assert_eq!(told(promised, sent, stranded), text);
        }
    }

    #[test]
    fn a_headline_says_nothing_twice() {
        let mut finding = crate::examples::finding();
        finding.cause = Cause::Stalled;
        finding.ending.idle_ns = Some(5_000_000_000);
        assert_eq!(headline(&finding), "STALLED");
        assert_eq!(cause(&finding), "nothing accepted for 5.0 s");
        finding.ending.idle_ns = None;
        assert_eq!(cause(&finding), "nothing accepted any more");
        for (other, _) in Cause::WITH_FAULTS {
            finding.cause = other;
            assert_ne!(headline(&finding).to_lowercase(), cause(&finding));
        }
    }

    #[test]
    fn a_long_path_leaves_its_text_in_the_room() {
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
