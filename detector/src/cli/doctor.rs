//! The command line of `truncwatch doctor`.

use clap::Args;

use crate::{doctor::Options, report::ColorChoice};

/// How to print what `doctor` found.
#[derive(Args, Clone, Copy, Debug)]
pub(super) struct DoctorArguments {
    /// Print one JSON object instead of a table
    #[arg(long)]
    json: bool,

    /// When to use colours; auto heeds NO_COLOR and TERM=dumb in the environment
    #[arg(long, value_enum, value_name = "WHEN", default_value = "auto")]
    color: ColorChoice,
}

impl DoctorArguments {
    /// The same as the doctor takes it.
    pub(super) fn build(self) -> Options {
        Options {
            json: self.json,
            color: self.color,
        }
    }
}

pub(super) const DOCTOR_STATUS: &str = "\
Exit status:
  0  everything works
  2  watching cannot work; the remedy is in the table
  3  watching works, and something is not seen";
