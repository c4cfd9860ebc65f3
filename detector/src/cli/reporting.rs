//! The options of a report.

use std::path::PathBuf;

use clap::{Args, ValueEnum, builder::PossibleValue};

use crate::report::{ColorChoice, Format, Reporting};

/// What to report, where and how: of a watch, and of a log.
#[derive(Args, Clone, Debug)]
pub(super) struct ReportingArguments {
    /// Report also what the peer cut short (always counted)
    #[arg(long)]
    show_peer: bool,

    /// Print request targets whole; they are cut at `?` otherwise
    #[arg(long)]
    show_query: bool,

    /// Write the report to this file instead of standard output; with a command it
    /// keeps the two apart
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,

    /// Print findings as blocks for people or as JSON lines for scripts
    #[arg(long, value_enum, value_name = "FORMAT", default_value = "table")]
    format: Format,

    /// Short for --format json
    #[arg(long, conflicts_with = "format")]
    json: bool,

    /// Print one line a finding: when, cause, fault, process, message, bytes sent
    /// of those promised, and the call that ended it
    #[arg(long, conflicts_with_all = ["json", "format"])]
    brief: bool,

    /// When to use colours; auto heeds NO_COLOR and TERM=dumb in the environment
    #[arg(long, value_enum, value_name = "WHEN", default_value = "auto")]
    color: ColorChoice,
}

impl ReportingArguments {
    /// The same as the report takes it.
    pub(super) fn build(self) -> Reporting {
        Reporting {
            show_peer: self.show_peer,
            show_query: self.show_query,
            output: self.output,
            format: match self.json {
                true => Format::Json,
                false => self.format,
            },
            brief: self.brief,
            color: self.color,
        }
    }
}

impl ValueEnum for Format {
    fn value_variants<'a>() -> &'a [Self] {
        &[Self::Table, Self::Json]
    }

    fn to_possible_value(&self) -> Option<PossibleValue> {
        Some(match self {
            Self::Table => PossibleValue::new("table").help("Blocks for people"),
            Self::Json => PossibleValue::new("json").help("JSON lines"),
        })
    }
}

impl ValueEnum for ColorChoice {
    fn value_variants<'a>() -> &'a [Self] {
        &[Self::Auto, Self::Always, Self::Never]
    }

    fn to_possible_value(&self) -> Option<PossibleValue> {
        Some(match self {
            Self::Auto => PossibleValue::new("auto").help("On a terminal"),
            Self::Always => PossibleValue::new("always").help("Always"),
            Self::Never => PossibleValue::new("never").help("Never"),
        })
    }
}
