//! A live watch: joins capture, judge and report.
//!
//! | file | what it does |
//! | --- | --- |
//! | `options.rs` | what a command asks of a watch |
//! | `filter.rs` | what is looked at: names become numbers |
//! | `settings.rs` | how an engine watches |
//! | `engine.rs` | every watch: capture and judge, joined |
//! | `intake.rs` | records from the kernel side to the judge |
//! | `before.rs` | connections that were open before, and are gone |
//! | `stalls.rs` | what makes no progress |
//! | `gather.rs`, `stacks.rs` | findings on their way to be told, in order |
//! | `sweep.rs` | sockets that are gone, unseen |
//! | `socket_scan.rs` | which sockets exist |
//! | `clock.rs` | the clock of the records |
//! | `programs.rs` | what is known of processes |
//! | `events.rs` | the command's watch: what it waits for, and when it is over |
//! | `start.rs` | how it begins |
//! | `findings.rs` | what it prints |
//! | `messages.rs` | what is watched, in words |
//! | `record.rs` | a watch that is written down |

mod before;
mod clock;
pub(crate) mod engine;
mod events;
mod filter;
mod findings;
mod gather;
mod intake;
mod messages;
mod options;
mod programs;
mod record;
pub(crate) mod settings;
mod socket_scan;
mod stacks;
mod stalls;
mod start;
mod sweep;

use std::io::{self, Write};

use anyhow::Result;

use self::{events::watch, filter::filter};
pub use self::{
    options::{Options, RecordOptions},
    record::record,
};
pub(crate) use self::{programs::Program, stacks::PendingFinding};
use crate::{
    capture::live::process,
    command::Prepared,
    recording::RecordedJudge,
    report::{Outcome, Place, create_file},
};

/// Watches until a signal, the end of the processes, or a limit.
///
/// # Errors
///
/// If the watch cannot begin, or the report cannot be written. Each error's
/// text says what to do next.
pub fn run(options: &Options) -> Result<Outcome> {
    for pid in &options.pids {
        process::check(*pid)?;
    }
    let command = Prepared::new(&options.command)?;
    let filter = filter(options)?;
    let out: Box<dyn Write> = match &options.reporting.output {
        Some(path) => Box::new(create_file(path, None)?),
        None => Box::new(io::stdout()),
    };
    let printer = options.reporting.printer(out, options.reporting.columns());
    let place = Place::of(options.reporting.output.as_deref());
    let (_, outcome) = watch(
        options,
        command,
        filter,
        (printer, place),
        RecordedJudge::default(),
    )?;
    Ok(outcome)
}
