//! The command line of `truncwatch daemon`.

use std::path::PathBuf;

use clap::Args;

use crate::daemon::Options;

/// Where the daemon's configuration is.
#[derive(Args, Clone, Debug)]
pub(super) struct DaemonArguments {
    /// Read this configuration [default: /etc/truncwatch/truncwatch.toml, if it is
    /// there]
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,

    /// Say whether the configuration is right, and do nothing else
    #[arg(long)]
    check_config: bool,
}

impl DaemonArguments {
    /// The same as the daemon takes it.
    pub(super) fn build(self) -> Options {
        Options {
            config: self.config,
            check_config: self.check_config,
        }
    }
}

pub(super) const DAEMON_NOTES: &str = "\
Without a configuration every process on the host is watched, findings go to
the journal, or as JSON lines to standard output where there is none, and
metrics are at http://127.0.0.1:9849/metrics.
/etc/truncwatch/truncwatch.toml, as it is shipped, explains every key.

Signals:
  SIGHUP             read the configuration again; counters and limits stay
  SIGTERM, SIGINT    end: what is open is judged, what was held back is reported

Exit status:
  0  ended by a signal, whatever was found
  2  could not do the work, or the configuration is wrong";
