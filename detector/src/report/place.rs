//! Where a report goes, and who else writes there.

use std::{
    env, fs,
    fs::File,
    io::{self, IsTerminal as _},
    os::unix::fs::{FileExt as _, FileTypeExt as _},
    path::Path,
    time::Duration,
};

use rustix::{
    event::{PollFd, PollFlags, Timespec, poll},
    fs::{FileType, fstat},
};

use super::{Format, Summary, note, several};

/// Standard output, as the kernel names it.
const STANDARD_OUTPUT: &str = "/proc/self/fd/1";

/// Where a report goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    kind: Kind,
    /// It is standard output, and a command may write there too.
    standard: bool,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Kind {
    Terminal,
    /// A reader is at its other end, which may draw on the same terminal.
    Pipe,
    /// A file, by its name.
    File(String),
    /// Nowhere that keeps it, as `/dev/null`.
    None,
}

impl Place {
    /// The file that is named, else standard output.
    #[must_use]
    pub fn of(output: Option<&Path>) -> Self {
        match output {
            Some(path) => Self {
                kind: match fs::metadata(path) {
                    Ok(it) if it.file_type().is_char_device() => Kind::None,
                    _ => Kind::File(path.display().to_string()),
                },
                standard: false,
            },
            None => Self {
                kind: Kind::of_standard_output(),
                standard: true,
            },
        }
    }

    /// Nothing is printed.
    #[must_use]
    pub fn none() -> Self {
        Self {
            kind: Kind::None,
            standard: false,
        }
    }

    /// Whether the reader of the report has gone away, once this time has passed at
    /// most. Not known of one that is no pipe.
    #[must_use]
    pub fn is_abandoned(&self, wait: Duration) -> bool {
        if self.kind != Kind::Pipe {
            return false;
        }
        let stdout = io::stdout();
        // Nothing is asked for: errors are told all the same (poll(2)).
        let mut asked = [PollFd::new(&stdout, PollFlags::empty())];
        let wait = Timespec::try_from(wait).ok();
        match poll(&mut asked, wait.as_ref()) {
            Ok(count) => count > 0,
            Err(_) => false,
        }
    }

    /// Whether somebody reads it who may draw on the same terminal, as a pager.
    #[must_use]
    pub fn has_reader(&self) -> bool {
        self.kind == Kind::Pipe
    }

    /// Whether what a command prints on its standard output goes there too.
    #[must_use]
    pub fn is_joined(&self) -> bool {
        self.standard
    }

    /// Whether a newline has to go before what is printed behind a command's output, for
    /// that may have ended in the midst of a line. Readers of JSON lines take an empty
    /// line for a fault: there, it is only where it does no harm.
    #[must_use]
    pub fn needs_newline(&self, format: Format) -> bool {
        match (&self.kind, format) {
            _ if !self.standard => false,
            (Kind::Terminal, _) | (Kind::Pipe, Format::Table) => true,
            (Kind::File(_), _) => ends_in_a_line(Path::new(STANDARD_OUTPUT)),
            (Kind::Pipe, Format::Json) | (Kind::None, _) => false,
        }
    }

    /// Says on standard error what came of it, where the report is in a file.
    pub fn note_end(&self, summary: &Summary) {
        if let Kind::File(name) = &self.kind {
            note(format_args!(
                "{} in {name}: {} judged",
                in_all(summary),
                several(summary.messages_judged, "message")
            ));
        }
    }
}

/// The findings, in words.
pub(super) fn in_all(summary: &Summary) -> String {
    match summary.findings.values().sum() {
        0 => "no finding".to_owned(),
        found => several(found, "finding"),
    }
}

impl Kind {
    fn of_standard_output() -> Self {
        let stdout = io::stdout();
        if stdout.is_terminal() {
            return Self::Terminal;
        }
        let Ok(status) = fstat(&stdout) else {
            return Self::None;
        };
        match FileType::from_raw_mode(status.st_mode) {
            FileType::Fifo | FileType::Socket => Self::Pipe,
            // `/dev/null` keeps nothing.
            FileType::CharacterDevice => Self::None,
            _ => Self::File(file_name()),
        }
    }
}

/// The name of the file that standard output is, from this folder if it is in it.
fn file_name() -> String {
    let Ok(path) = fs::read_link(STANDARD_OUTPUT) else {
        return "the file of standard output".to_owned();
    };
    let folder = env::current_dir().unwrap_or_default();
    let name = path.strip_prefix(&folder).unwrap_or(&path);
    name.display().to_string()
}

/// Whether a file ends in a line that goes on. One that cannot be read, or is none, is
/// taken to.
fn ends_in_a_line(path: &Path) -> bool {
    let last = || {
        let file = File::open(path)?;
        let data = file.metadata()?;
        if data.file_type().is_char_device() {
            return Ok(b'\n');
        }
        match data.len().checked_sub(1) {
            None => Ok(b'\n'),
            Some(at) => {
                let mut byte = [0];
                file.read_exact_at(&mut byte, at)?;
                Ok::<_, io::Error>(byte[0])
            }
        }
    };
    last().map_or(true, |byte| byte != b'\n')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_newline_goes_before_what_would_join_a_line() -> io::Result<()> {
        let place = |kind: Kind, standard| Place { kind, standard };
        for (kind, table, json) in [
            (Kind::Terminal, true, true),
            (Kind::Pipe, true, false),
            (Kind::None, false, false),
        ] {
            let place = place(kind, true);
            assert_eq!(place.needs_newline(Format::Table), table, "{place:?}");
            assert_eq!(place.needs_newline(Format::Json), json, "{place:?}");
        }
        // The file of -o is no command's.
        let named = Place::of(Some(Path::new("x")));
        assert!(!named.needs_newline(Format::Table) && !named.is_joined());
        assert_eq!(Place::of(Some(Path::new("/dev/null"))), Place::none());
        let path = env::temp_dir().join(format!("truncwatch-place-{}", std::process::id()));
        for (text, goes_on) in [("", false), ("a\n", false), ("a", true), ("a\nb", true)] {
            fs::write(&path, text)?;
            assert_eq!(ends_in_a_line(&path), goes_on, "{text:?}");
        }
        fs::remove_file(&path)?;
        assert!(!ends_in_a_line(Path::new("/dev/null")));
        Ok(())
    }

    #[test]
    fn findings_are_counted_in_words() {
        let mut summary = Summary::default();
        assert_eq!(in_all(&summary), "no finding");
        summary.findings.insert("desync", 1);
        assert_eq!(in_all(&summary), "1 finding");
        summary.findings.insert("overrun", 7);
        assert_eq!(in_all(&summary), "8 findings");
    }
}
