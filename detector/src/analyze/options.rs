//! What a command asks of an analysis.

use std::path::PathBuf;

use crate::report::Reporting;

/// Which log, and how to report.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// The log, or the recording; `-` is standard input.
    pub log: PathBuf,
    /// strace was asked for every call that matters, although the log does not show it.
    pub all_traced: bool,
    /// How to report it.
    pub reporting: Reporting,
}
