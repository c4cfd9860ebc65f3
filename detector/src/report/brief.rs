//! A finding in one line: when, why, whose doing, who, which message, how much of it,
//! and what ended it.

use super::{Reported, json, table, text, when::When};
use crate::judge::{Fault, Finding};

/// What is left of a target at least, and where that leaves no room for what the
/// ending call was given.
const SHORT: usize = 20;
const SHORTEST: usize = 6;

/// The line of one finding, without its end. On a terminal that is so many columns
/// wide, the target is cut in the middle, and what the ending call was given left
/// out; where that is not enough, the line is cut in its middle.
pub(super) fn line(reported: &Reported<'_>, color: bool, columns: Option<u16>) -> String {
    let finding = reported.finding;
    let target = reported.target();
    let fault = finding.fault.name();
    let doing = format!("{} {fault}", finding.cause.name());
    let call = json::ending_call(finding).unwrap_or_else(|| "open".to_owned());
    let text = |target: Option<&str>, call: &str| {
        let request = [finding.message.method.as_deref(), target];
        let request: Vec<_> = request.into_iter().flatten().collect();
        let status = finding.message.status.map(|status| status.to_string());
        let words = [
            Some(time(&reported.time)),
            Some(doing.clone()),
            Some(table::who(finding, "")),
            status,
            (!request.is_empty()).then(|| request.join(" ")),
            Some(amount(finding)),
            Some(call.to_owned()),
        ];
        let words: Vec<_> = words.into_iter().flatten().collect();
        text::printable(&words.join(" "))
    };
    let fitting = |columns: u16, least: usize, call: &str| {
        let over = text(target, call)
            .chars()
            .count()
            .saturating_sub(usize::from(columns));
        let cut = target.map(|target| {
            let length = target.chars().count();
            text::cut_in_the_middle(target, length.saturating_sub(over).max(least))
        });
        text(cut.as_deref(), call)
    };
    let mut whole = match columns {
        None => text(target, &call),
        Some(columns) => fitting(columns, SHORT, &call),
    };
    if let Some(columns) = columns
        && whole.chars().count() > usize::from(columns)
    {
        let name = call.split('(').next().unwrap_or_default();
        let short = fitting(columns, SHORTEST, name);
        whole = text::cut_in_the_middle(&short, usize::from(columns));
    }
    if !color {
        return whole;
    }
    let number = match finding.fault {
        Fault::Local => 31,
        Fault::Peer | Fault::Unknown => 33,
    };
    // Behind the time, and what comes from outside is printable.
    whole.replacen(&doing, &format!("\u{1b}[{number}m{doing}\u{1b}[39m"), 1)
}

/// The time of day to the second, UTC, or by a log's clock.
fn time(when: &When) -> String {
    let second = |text: String| text.split('.').next().unwrap_or_default().to_owned();
    match when {
        When::At(time) => {
            let text = format!("{time:.0}");
            let time = text.split('T').next_back().unwrap_or_default();
            time.trim_end_matches('Z').to_owned()
        }
        When::OfDay(_) => when.of_day().map_or_else(|| "-".to_owned(), second),
        When::Since(time) => format!("+{}.{:03}s", time.as_secs(), time.subsec_millis()),
        When::Unknown => "-".to_owned(),
    }
}

/// How much of what was promised was accepted, in bytes of the body.
fn amount(finding: &Finding) -> String {
    match (finding.promised, finding.sent, finding.sent_with_head) {
        (Some(promised), Some(sent), _) => format!("{sent} of {promised}"),
        (Some(promised), None, Some(sent)) => format!("<{sent} of {promised}"),
        (Some(promised), None, None) => format!("? of {promised}"),
        (None, ..) => "no last chunk".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::{
        examples::{finding, reported},
        judge::{Cause, EndingKind},
        stack::Stack,
    };

    #[test]
    fn one_line_tells_all() {
        let stack = Stack::default();
        let finding = finding();
        let told = line(&reported(&finding, &stack), false, None);
        assert_eq!(
            told,
            "00:00:00 premature-shutdown local images[7599] thread 7600 200 POST \
             /images/by-year/2026/november/21/full-size 219163 of 14991808 shutdown(7, SHUT_WR)"
        );
        let told = line(&reported(&finding, &stack), true, Some(120));
        assert!(
            told.contains("\u{1b}[31mpremature-shutdown local\u{1b}[39m"),
            "{told}"
        );
    }

    #[test]
    fn it_fits_80_columns_where_that_is_possible() {
        let stack = Stack::default();
        let mut finding = finding();
        (finding.cause, finding.tid) = (Cause::PrematureClose, finding.pid);
        finding.ending.kind = EndingKind::Close;
        (finding.promised, finding.sent) = (Some(40_960), Some(1000));
        let told = line(&reported(&finding, &stack), false, Some(80));
        let start = "00:00:00 premature-close local images[7599] 200 POST /";
        assert!(told.starts_with(start), "{told}");
        assert!(told.ends_with("e 1000 of 40960 close"), "{told}");
        assert!(told.chars().count() <= 80, "{told}");
        let told = line(&reported(&finding, &stack), false, Some(100));
        assert!(told.ends_with("size 1000 of 40960 close(7)"), "{told}");
        assert!(told.chars().count() <= 100, "{told}");
        finding.message.target = Some("/a\n\u{1b}[2J".to_owned());
        let told = line(&reported(&finding, &stack), false, Some(80));
        assert!(
            told.chars().count() <= 80 && !told.contains(char::is_control),
            "{told}"
        );
    }

    #[test]
    fn what_is_not_known_is_not_made_up() {
        let stack = Stack::default();
        let mut finding = finding();
        (finding.pid, finding.tid) = (0, 8);
        (finding.promised, finding.sent, finding.stranded) = (None, None, None);
        (finding.message.method, finding.message.target) = (None, None);
        finding.ending.kind = EndingKind::Open;
        finding.comm.clear();
        let mut of_log = reported(&finding, &stack);
        of_log.time = When::Unknown;
        assert_eq!(
            line(&of_log, false, Some(80)),
            "- premature-shutdown local thread 8 200 no last chunk open"
        );
        // Whatever comes from outside.
        finding.comm = "a name of fifteen".to_owned();
        finding.message.method = Some("A-METHOD-OF-A-LENGTH-THAT-NOBODY-USES".to_owned());
        let mut of_log = reported(&finding, &stack);
        of_log.time = When::Unknown;
        let told = line(&of_log, false, Some(80));
        assert_eq!(told.chars().count(), 80, "{told}");
        assert!(told.ends_with("NOBODY-USES no last chunk open"), "{told}");
        assert!(line(&of_log, true, Some(80)).contains("\u{1b}[31m"));
        of_log.time = When::Since(Duration::from_millis(1002));
        assert!(line(&of_log, false, None).starts_with("+1.002s "));
        of_log.time = When::OfDay(Duration::new(46 * 60 + 7, 658_000_000));
        assert!(line(&of_log, false, None).starts_with("00:46:07 "));
    }
}
