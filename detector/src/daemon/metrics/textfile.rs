//! The numbers in a file, for node_exporter's textfile collector: written beside
//! it and renamed, so that no reader sees a part.

use std::{
    fs::{self, OpenOptions, Permissions},
    io::{self, Write as _},
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use super::{Snapshot, snapshot::Form};
use crate::report::note;

/// The file.
#[derive(Debug)]
pub(in crate::daemon) struct Textfile {
    path: PathBuf,
    period: Duration,
    due: Instant,
    /// The last time failed, and that was said.
    failing: bool,
}

impl Textfile {
    pub(in crate::daemon) fn new(path: PathBuf, period: Duration) -> Self {
        Self {
            path,
            period,
            due: Instant::now(),
            failing: false,
        }
    }

    /// Whether it is time to write it.
    pub(in crate::daemon) fn due(&mut self) -> bool {
        let now = Instant::now();
        let due = now >= self.due;
        if due {
            self.due = now + self.period;
        }
        due
    }

    /// Writes it; what goes wrong is said once, and tried again.
    pub(in crate::daemon) fn write(&mut self, snapshot: Snapshot) {
        let text = snapshot.encode(Form::Text).map_err(io::Error::other);
        match text.and_then(|text| replace(&self.path, &text)) {
            Ok(()) => self.failing = false,
            Err(error) if !self.failing => {
                self.failing = true;
                note(format_args!(
                    "cannot write the metrics to {}: {error}; trying again every {} s",
                    self.path.display(),
                    self.period.as_secs()
                ));
            }
            Err(_) => {}
        }
    }
}

impl Drop for Textfile {
    /// Numbers of a daemon that does not run any more would look like news.
    fn drop(&mut self) {
        // Not there is as good as removed.
        if fs::remove_file(&self.path).is_err() {}
    }
}

fn replace(path: &Path, text: &str) -> io::Result<()> {
    // node_exporter reads only what ends in .prom.
    let beside = path.with_extension("prom.new");
    let mut file = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .open(&beside)?;
    // Whatever the umask: another user's node_exporter reads it.
    file.set_permissions(Permissions::from_mode(0o644))?;
    file.write_all(text.as_bytes())?;
    fs::rename(&beside, path)
}
