//! What `truncwatch doctor` prints.

use std::io;

use comfy_table::{Attribute, Cell, Color, ContentArrangement, Table, presets};
use serde::Serialize;

use super::SCHEMA;
use crate::check::{Check, State};

/// Columns where there is no terminal to ask.
pub const COLUMNS: u16 = 80;

/// What came of it.
#[derive(Clone, Copy, Debug)]
pub struct Diagnosis<'a> {
    /// Name, release and machine of the system.
    pub kernel: &'a str,
    /// The worst state of all.
    pub verdict: State,
    /// Everything that was tried.
    pub checks: &'a [Check],
}

/// The object, as one line.
#[derive(Serialize)]
struct DiagnosisObject<'a> {
    /// `"doctor"`.
    r#type: &'static str,
    schema: u32,
    kernel: &'a str,
    /// `works`, `degraded` (something is not seen), or `missing` (watching
    /// cannot work).
    verdict: &'static str,
    checks: Vec<CheckObject<'a>>,
}

#[derive(Serialize)]
struct CheckObject<'a> {
    feature: &'a str,
    /// As the verdict.
    state: &'static str,
    reason: &'a str,
    /// Null where there is nothing to do.
    remedy: Option<&'a str>,
}

/// As one line, without its end.
///
/// # Errors
///
/// Never for these types; the serializer's interface asks for it.
pub fn json(diagnosis: &Diagnosis<'_>) -> io::Result<String> {
    Ok(serde_json::to_string(&DiagnosisObject {
        r#type: "doctor",
        schema: SCHEMA,
        kernel: diagnosis.kernel,
        verdict: diagnosis.verdict.name(),
        checks: diagnosis
            .checks
            .iter()
            .map(|check| CheckObject {
                feature: &check.feature,
                state: check.state.name(),
                reason: &check.reason,
                remedy: check.remedy.as_deref(),
            })
            .collect(),
    })?)
}

/// For people, this many columns wide, without a newline at its end.
#[must_use]
pub fn table(diagnosis: &Diagnosis<'_>, color: bool, columns: u16) -> String {
    let mut table = Table::new();
    table
        .load_style(presets::NOTHING)
        .set_content_arrangement(ContentArrangement::Dynamic)
        .set_width(columns);
    if color {
        // NO_COLOR had its say when this was decided, and must not take a part of it.
        crossterm::style::force_color_output(true);
        table.enforce_styling();
    } else {
        table.force_no_tty();
    }
    for check in diagnosis.checks {
        let text = match &check.remedy {
            Some(remedy) => format!("{}\n-> {remedy}", check.reason),
            None => check.reason.clone(),
        };
        let state = Cell::new(check.state.name())
            .fg(shade(check.state))
            .add_attribute(Attribute::Bold);
        table.add_row([Cell::new(&check.feature), state, Cell::new(text)]);
    }
    let lines: Vec<_> = table
        .lines()
        .map(|line| line.trim_end().to_owned())
        .collect();
    let verdict = match diagnosis.verdict {
        State::Works => "everything works",
        State::Degraded => "watching works, and what is degraded is not seen",
        State::Missing => "watching cannot work",
    };
    format!("{}\n\n{}: {verdict}", lines.join("\n"), diagnosis.kernel)
}

fn shade(state: State) -> Color {
    match state {
        State::Works => Color::Green,
        State::Degraded => Color::Yellow,
        State::Missing => Color::Red,
    }
}
