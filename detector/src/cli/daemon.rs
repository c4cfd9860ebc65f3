//! The command line of `truncwatch daemon`.

use std::path::PathBuf;

use clap::Args;

/// Where the daemon's configuration is.
#[derive(Args, Clone, Debug)]
pub struct DaemonOptions {
    /// Read this configuration [default: /etc/truncwatch/truncwatch.toml, if it is
    /// there]
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,

    /// Say whether the configuration is right, and do nothing else
    #[arg(long)]
    pub check_config: bool,
}

pub(super) const DAEMON_NOTES: &str = "\
Without a configuration every process on the host is watched, findings go to
the journal, or as JSON lines to standard output where there is none, and
metrics are at http://127.0.0.1:9849/metrics.
/etc/truncwatch/truncwatch.toml, as it is shipped, explains every key.

Signals:
  SIGHUP             read the configuration again; counters and limits stay
  SIGTERM, SIGINT    end: what is open is judged, what was held back is told

Exit status:
  0  ended by a signal, whatever was found
  2  could not do the work, or the configuration is wrong";
