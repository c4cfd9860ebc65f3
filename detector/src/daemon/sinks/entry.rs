//! What an entry says in one line, and what tells its kind.

use libsystemd::logging::Priority;

use crate::{
    daemon::limiter::HeldBack,
    judge::{EndingKind, Role},
    report::{Reported, ending_call, grouped},
};

/// `MESSAGE_ID` of a finding (systemd.journal-fields(7)).
pub(super) const FINDING: &str = "c7a1b2d94e0f4d7c9f7a3f5b1d0e6a21";

/// That of a number of findings that were held back.
pub(super) const HELD_BACK: &str = "5f0c8be1a7c24c0f8f43a06d2b9d4e77";

/// An entry, but for its fields.
pub(super) struct Entry {
    pub(super) id: &'static str,
    pub(super) priority: Priority,
    pub(super) text: String,
}

/// A finding in one line.
pub(super) fn finding(reported: &Reported<'_>) -> String {
    let finding = reported.finding;
    let message = &finding.message;
    let words = [
        Some(message.role.name().to_owned()),
        message.status.map(|status| status.to_string()),
        (message.role == Role::Response && message.method.is_some()).then(|| "to".to_owned()),
        message.method.clone(),
        reported.target().map(str::to_owned),
    ];
    let what = words.into_iter().flatten().collect::<Vec<_>>().join(" ");
    let bytes = match (finding.sent, finding.promised) {
        (Some(sent), Some(promised)) => {
            format!("{} of {} bytes", grouped(sent), grouped(promised))
        }
        _ => message.framing.name().to_owned(),
    };
    let by = match finding.ending.kind {
        EndingKind::Open => String::new(),
        _ => ending_call(finding).map_or_else(String::new, |call| format!(", then {call}")),
    };
    let place = reported.unit.or(reported.container);
    let place = place.map_or_else(String::new, |place| format!(" of {place}"));
    format!(
        "{}, fault {}: {}[{}]{place}: {what}: {bytes}{by}",
        finding.cause.name(),
        finding.fault.name(),
        finding.comm,
        finding.pid,
    )
    .replace(char::is_control, "\u{fffd}")
}

/// The same of those that were held back.
pub(super) fn held_back(held: &HeldBack) -> String {
    let process = held.process.as_ref().map_or_else(
        || "other programs".to_owned(),
        |of| {
            let who = match (of.pid, &of.exe) {
                (Some(pid), _) => format!("{}[{pid}]", of.comm),
                (None, Some(exe)) => format!("processes of {exe}"),
                (None, None) => format!("processes named {}", of.comm),
            };
            let place = of.unit.as_ref();
            place.map_or_else(|| who.clone(), |unit| format!("{who} of {unit}"))
        },
    );
    format!(
        "{}: {} more by {process} in {} s, not reported one by one",
        held.cause,
        grouped(held.count),
        held.period.as_secs()
    )
    .replace(char::is_control, "\u{fffd}")
}
