//! Where the daemon tells what it finds.

mod entry;
mod journal;

use std::{
    io::{self, Write as _},
    path::Path,
};

use libsystemd::logging::Priority;

use self::entry::Entry;
use super::{config::Output, limiter::HeldBack};
use crate::{
    judge::Fault,
    report::{HeldBackProcess, Reported, finding_json, held_back_json, note},
};

/// Where journald listens (systemd-journald.service(8)).
const JOURNAL: &str = "/run/systemd/journal/socket";

/// A place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    Journal,
    Stdout,
}

/// The place that the configuration asks for.
#[derive(Debug)]
pub(super) struct Sink {
    place: Place,
    /// What was to be told and could not be.
    pub(super) failures: u64,
    /// The last one failed, and that was said.
    failing: bool,
}

impl Sink {
    pub(super) fn new(output: Output) -> Self {
        let journal = Path::new(JOURNAL).exists();
        let place = match (output, journal) {
            (Output::Auto, true) | (Output::Journal, _) => Place::Journal,
            (Output::Auto, false) | (Output::Stdout, _) => Place::Stdout,
        };
        let failing = place == Place::Journal && !journal;
        if failing {
            note(format_args!(
                "there is no journal ({JOURNAL}): findings are printed on standard output until there is"
            ));
        }
        Self {
            place,
            failures: 0,
            failing,
        }
    }

    /// In words.
    pub(super) fn name(&self) -> &'static str {
        match self.place {
            Place::Journal if self.failing => "standard output until there is a journal",
            Place::Journal => "the journal",
            Place::Stdout => "standard output",
        }
    }

    /// Tells a finding.
    pub(super) fn finding(&mut self, reported: &Reported<'_>) {
        let priority = match reported.finding.fault {
            Fault::Local => Priority::Warning,
            Fault::Peer | Fault::Unknown => Priority::Notice,
        };
        self.tell(
            finding_json(reported),
            Entry {
                id: entry::FINDING,
                priority,
                text: entry::finding(reported),
            },
        );
    }

    /// Tells how many findings were not told one by one.
    pub(super) fn held_back(&mut self, held: &HeldBack) {
        let process = held.process.as_ref();
        let process = process.map(|of| HeldBackProcess {
            pid: of.pid,
            comm: &of.comm,
            exe: of.exe.as_deref(),
            unit: of.unit.as_deref(),
        });
        let json = held_back_json(held.cause, process, held.count, held.period);
        self.tell(
            json,
            Entry {
                id: entry::HELD_BACK,
                priority: Priority::Notice,
                text: entry::held_back(held),
            },
        );
    }

    fn tell(&mut self, json: io::Result<String>, entry: Entry) {
        let told = json.and_then(|json| match self.place {
            // What the journal does not take is not lost.
            Place::Journal => match journal::send(&json, &entry) {
                Err(error) => {
                    print(&json)?;
                    Err(error)
                }
                sent => sent,
            },
            Place::Stdout => print(&json),
        });
        match told {
            Ok(()) => self.failing = false,
            Err(error) => {
                self.failures += 1;
                if !self.failing {
                    let instead = match self.place {
                        Place::Journal => "; it is printed on standard output",
                        Place::Stdout => "",
                    };
                    note(format_args!(
                        "cannot tell a finding to {}: {error}{instead}",
                        self.name()
                    ));
                    self.failing = true;
                }
            }
        }
    }
}

fn print(json: &str) -> io::Result<()> {
    let mut out = io::stdout().lock();
    writeln!(out, "{json}")?;
    out.flush()
}
