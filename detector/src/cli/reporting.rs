//! The options of a report.

use std::{
    io::{self, IsTerminal as _},
    path::PathBuf,
};

use clap::{Args, ValueEnum};

use crate::report::{Format, terminal};

/// What to report, where and how: of a watch, and of a log.
#[derive(Args, Clone, Debug)]
pub struct Reporting {
    /// Report also what the peer cut short (always counted)
    #[arg(long)]
    pub show_peer: bool,

    /// Print request targets whole; they are cut at `?` otherwise
    #[arg(long)]
    pub show_query: bool,

    /// Write the report to this file instead of standard output; with a command it
    /// keeps the two apart
    #[arg(short, long, value_name = "FILE")]
    pub output: Option<PathBuf>,

    /// Print findings as blocks for people or as JSON lines for scripts
    #[arg(long, value_enum, value_name = "FORMAT", default_value = "table")]
    pub format: FormatName,

    /// Short for --format json
    #[arg(long, conflicts_with = "format")]
    pub json: bool,

    /// Print one line a finding: when, cause, fault, process, message, bytes sent
    /// of those promised, and the call that ended it
    #[arg(long, conflicts_with_all = ["json", "format"])]
    pub brief: bool,

    /// When to use colours; auto heeds NO_COLOR and TERM=dumb in the environment
    #[arg(long, value_enum, value_name = "WHEN", default_value = "auto")]
    pub color: ColorChoice,
}

/// See [`Format`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum FormatName {
    /// Blocks for people.
    Table,
    /// JSON lines.
    Json,
}

/// When to use colours.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum ColorChoice {
    /// On a terminal.
    Auto,
    /// Always.
    Always,
    /// Never.
    Never,
}

impl ColorChoice {
    /// Whether to use colours for what goes to standard output.
    #[must_use]
    pub fn wanted(self) -> bool {
        match self {
            Self::Always => true,
            Self::Never => false,
            Self::Auto => {
                io::stdout().is_terminal()
                    && !terminal::is_dumb()
                    && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
            }
        }
    }
}

impl Reporting {
    /// How to print.
    #[must_use]
    pub fn format(&self) -> Format {
        if self.json || self.format == FormatName::Json {
            Format::Json
        } else {
            Format::Table
        }
    }
}
