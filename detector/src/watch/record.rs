//! `truncwatch record`: a watch that is written down.

use std::{
    collections::BTreeMap,
    io::{self, BufWriter, Write},
};

use anyhow::{Context as _, Result, ensure};
use jiff::Timestamp;

use super::{Engine, Watch, clock::monotonic_ns, filter, process, watch};
use crate::{
    cli::RecordOptions,
    command::Prepared,
    judge::Finding,
    recording::{About, Feed, Frame, Process, Program, RecordingFile, Totals, Writer},
    report::{Format, Outcome, Place, Printer, note},
};

/// Watches as [`super::run`] does, and records it. Findings are printed only if
/// they are asked for as JSON; the summary goes to standard error.
///
/// # Errors
///
/// As [`super::run`], and if the recording cannot be written.
pub fn record(options: &RecordOptions) -> Result<Outcome> {
    let cli = &options.watching;
    for pid in &cli.pid {
        process::check(*pid)?;
    }
    let command = Prepared::new(&cli.command)?;
    let filter = filter(cli)?;
    let path = cli.output.as_deref().context("give a file with -o")?;
    ensure!(
        path != "-",
        "a recording is written to a file: give its path with -o"
    );
    let name = path.display();
    let cannot = || format!("cannot write the recording to {name}");
    let file = RecordingFile::open(path, options.force)?;
    let about = About {
        truncwatch: env!("CARGO_PKG_VERSION").to_owned(),
        begun: Timestamp::now().to_string(),
        monotonic_ns: monotonic_ns(),
        show_query: cli.show_query,
    };
    let writer = Writer::new(Box::new(BufWriter::new(file)), about).with_context(cannot)?;
    let json = cli.format() == Format::Json;
    let out: Box<dyn Write> = if json {
        Box::new(io::stdout())
    } else {
        Box::new(io::sink())
    };
    let printer = Printer::new(out, cli.format(), false, None);
    let place = if json { Place::of(None) } else { Place::none() };
    let feed = Feed::new(Some(writer));
    let (summary, outcome) = watch(cli, command, filter, (printer, place), feed)?;
    if !json {
        let written = write!(io::stderr(), "{summary}");
        // As with notes: it is no result.
        drop(written);
    }
    note(format_args!(
        "recorded in {name}; judge it with: truncwatch analyze {name}"
    ));
    Ok(outcome)
}

impl Engine {
    /// Records that these findings are taken, and their programs.
    pub(super) fn record_report(&mut self, findings: &[Finding]) {
        let Some(writer) = self.judge.writer() else {
            return;
        };
        for finding in findings {
            let exe = self.programs.seen(finding);
            writer.frame(&Frame::Program(Program {
                pid: finding.pid,
                exe,
            }));
        }
        writer.report(self.missed);
    }

    /// What is recorded so far is in the file.
    pub(super) fn flush_recording(&mut self) -> Result<()> {
        let Some(writer) = self.judge.writer() else {
            return Ok(());
        };
        writer.flush().context("cannot write the recording")
    }
}

impl Watch<'_> {
    /// The last of it.
    pub(super) fn record_totals(
        &mut self,
        kernel: &BTreeMap<&'static str, u64>,
        missed: u64,
    ) -> Result<()> {
        let totals = Totals {
            seconds: self.summary.seconds,
            kernel: kernel
                .iter()
                .map(|(name, count)| ((*name).to_owned(), *count))
                .collect(),
            missed,
            unknown_records: self.engine.unknown_records,
            command_status: self.summary.command_status,
            not_seen: self.summary.not_seen.clone(),
            processes: self
                .summary
                .processes
                .listed()
                .map(|(pid, comm, exe)| Process {
                    pid,
                    comm: comm.map(str::to_owned),
                    exe: exe.map(str::to_owned),
                })
                .collect(),
        };
        let Some(writer) = self.engine.judge.writer() else {
            return Ok(());
        };
        writer.frame(&Frame::Totals(totals));
        writer.finish().context("cannot write the recording")
    }
}
