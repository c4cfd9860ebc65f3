//! The command line of `truncwatch record`.

use clap::Args;

use super::watch::WatchArguments;
use crate::watch::RecordOptions;

/// What to record: the options of a watch.
#[derive(Args, Clone, Debug)]
#[command(
    about = "Watch, and keep what was judged in a file, for truncwatch analyze",
    after_help = RECORD_NOTES,
    override_usage = "truncwatch record [OPTIONS] -o FILE [-- COMMAND [ARGUMENTS]]",
    mut_arg("output", |argument| argument
        .required(true)
        .help("Write the recording to this file, which only you may read")),
    mut_arg("json", |argument| argument
        .help("Print the findings too, as JSON lines; nothing is printed otherwise")),
    mut_arg("format", |argument| argument.hide(true)),
    mut_arg("color", |argument| argument.hide(true)),
    mut_arg("brief", |argument| argument.hide(true)),
    mut_arg("show_query", |argument| argument
        .help("Keep request targets whole; what follows `?` is taken out otherwise")),
)]
pub(super) struct RecordArguments {
    /// What to watch.
    #[command(flatten)]
    pub(super) watching: WatchArguments,

    /// Replace the file if it is there; without, that is refused
    #[arg(long)]
    force: bool,
}

impl RecordArguments {
    /// The same as the watch takes it.
    pub(super) fn build(self) -> RecordOptions {
        RecordOptions {
            watch: self.watching.build(),
            force: self.force,
        }
    }
}

const RECORD_NOTES: &str = "\
A recording holds what the judge read: the framing of messages (first lines,
Content-Length, Transfer-Encoding and Connection, sizes of chunks), counts,
times, addresses, and the stacks of findings. Other fields and the bytes of
bodies are taken out before it is written.

Examples:
  sudo truncwatch record -o watch.rec --pid 4242
      Record a watch until Ctrl-C.
  truncwatch analyze watch.rec
      Judge it again: the same findings, also on another machine.

Exit status: that of a watch.";
