//! The command line of `truncwatch doctor`.

use clap::Args;

use super::ColorChoice;

/// How to print what `doctor` found.
#[derive(Args, Clone, Copy, Debug)]
pub struct DoctorOptions {
    /// Print one JSON object instead of a table
    #[arg(long)]
    pub json: bool,

    /// When to use colours; auto heeds NO_COLOR and TERM=dumb in the environment
    #[arg(long, value_enum, value_name = "WHEN", default_value = "auto")]
    pub color: ColorChoice,
}

pub(super) const DOCTOR_STATUS: &str = "\
Exit status:
  0  everything works
  2  watching cannot work; the remedy is in the table
  3  watching works, and something is not seen";
