//! What is reported, where and how.

use std::{
    io::{self, IsTerminal as _, Write},
    path::PathBuf,
};

use super::{Format, Printer, columns, terminal};

/// What is reported, where and how: of a watch, and of a log.
#[derive(Clone, Debug, Default)]
pub struct Reporting {
    /// What the peer cut short is reported too.
    pub show_peer: bool,
    /// Request targets are printed whole.
    pub show_query: bool,
    /// The file that the report is written to; `None` for standard output.
    pub output: Option<PathBuf>,
    /// How findings are printed.
    pub format: Format,
    /// Findings for people are one line each.
    pub brief: bool,
    /// When colours are used.
    pub color: ColorChoice,
}

impl Reporting {
    /// Prints to `out`, which is so many columns wide if it is a terminal.
    #[must_use]
    pub fn printer<'a>(&self, out: Box<dyn Write + 'a>, columns: Option<u16>) -> Printer<'a> {
        Printer::new(out, self.format, self.is_coloured(), columns).brief(self.brief)
    }

    /// The columns of the terminal that the report goes to. A file is as wide as it likes.
    #[must_use]
    pub fn columns(&self) -> Option<u16> {
        columns(io::stdout()).filter(|_| self.output.is_none())
    }

    /// A file takes colours only if it is told to.
    fn is_coloured(&self) -> bool {
        match (self.format, &self.output, self.color) {
            (Format::Json, ..) | (_, Some(_), ColorChoice::Auto) => false,
            (Format::Table, _, choice) => choice.wanted(),
        }
    }
}

/// When to use colours.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ColorChoice {
    /// On a terminal.
    #[default]
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
