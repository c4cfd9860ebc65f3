//! `truncwatch record`: a watch that is written down.

use std::{
    collections::BTreeMap,
    io::{self, BufWriter, Write},
};

use anyhow::{Context as _, Result, ensure};
use jiff::Timestamp;

use super::{
    RecordOptions,
    clock::monotonic_ns,
    events::{Watch, watch},
    filter::filter,
};
use crate::{
    capture::live::process,
    command::Prepared,
    recording::{About, Process, RecordedJudge, RecordingFile, Totals, Writer},
    report::{Format, Outcome, Place, Printer, note},
};

/// Watches as [`super::run`] does, and records it. Findings are printed only if
/// they are asked for as JSON; the summary goes to standard error.
///
/// # Errors
///
/// As [`super::run`], and if the recording cannot be written.
pub fn record(asked: &RecordOptions) -> Result<Outcome> {
    let options = &asked.watch;
    for pid in &options.pids {
        process::check(*pid)?;
    }
    let command = Prepared::new(&options.command)?;
    let filter = filter(options)?;
    let path = options
        .reporting
        .output
        .as_deref()
        .context("give a file with -o")?;
    ensure!(
        path != "-",
        "a recording is written to a file: give its path with -o"
    );
    let name = path.display();
    let cannot = || format!("cannot write the recording to {name}");
    let file = RecordingFile::open(path, asked.force)?;
    let about = About {
        truncwatch: env!("CARGO_PKG_VERSION").to_owned(),
        begun: Timestamp::now().to_string(),
        monotonic_ns: monotonic_ns(),
        show_query: options.reporting.show_query,
    };
    let writer = Writer::new(Box::new(BufWriter::new(file)), about).with_context(cannot)?;
    let format = options.reporting.format;
    let json = format == Format::Json;
    let out: Box<dyn Write> = if json {
        Box::new(io::stdout())
    } else {
        Box::new(io::sink())
    };
    let printer = Printer::new(out, format, false, None);
    let place = if json { Place::of(None) } else { Place::none() };
    let feed = RecordedJudge::new(Some(writer));
    let (summary, outcome) = watch(options, command, filter, (printer, place), feed)?;
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

impl Watch<'_> {
    /// The last of it.
    pub(super) fn record_totals(
        &mut self,
        kernel: &BTreeMap<&'static str, u64>,
        missed: u64,
    ) -> Result<()> {
        let Self {
            engine, summary, ..
        } = self;
        let unknown_records = engine.unknown_records();
        engine.finish_recording(|| Totals {
            seconds: summary.seconds,
            kernel: kernel
                .iter()
                .map(|(name, count)| ((*name).to_owned(), *count))
                .collect(),
            missed,
            unknown_records,
            command_status: summary.command_status,
            not_seen: summary.not_seen.clone(),
            processes: summary
                .processes
                .listed()
                .map(|(pid, comm, exe)| Process {
                    pid,
                    comm: comm.map(str::to_owned),
                    exe: exe.map(str::to_owned),
                })
                .collect(),
        })
    }
}
