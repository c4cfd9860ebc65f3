//! Measurements.

use anyhow::Result;
use clap::Args;

/// What to measure.
#[derive(Args)]
pub(crate) struct Arguments {
    /// Print one JSON object per measurement
    #[arg(long)]
    json: bool,
}

/// Runs the measurements.
pub(crate) fn run(_arguments: &Arguments) -> Result<()> {
    Ok(())
}
