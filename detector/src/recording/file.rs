//! The file of a recording: what is there already is not lost by mistake.

use std::{
    fs::{self, File, OpenOptions, Permissions},
    io::{self, Read as _, Write},
    os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _},
    path::{Path, PathBuf},
};

use super::MAGIC;

/// Only its owner may read it: it tells of other users' processes.
const MODE: u32 = 0o600;

/// Where a recording is to be written.
#[derive(Debug)]
pub struct RecordingFile {
    path: PathBuf,
    file: File,
    /// It was not there before.
    made: bool,
    /// What was written before the first flush; `None` after it.
    held: Option<Vec<u8>>,
}

/// Why a recording cannot be written there.
#[derive(Debug, thiserror::Error)]
pub enum FileError {
    /// Something is there.
    #[error(
        "{0} is there already and would be lost: give another file with -o, or --force to replace it"
    )]
    Exists(String),
    /// It cannot be opened.
    #[error("cannot write the recording to {0}: {1}")]
    Open(String, io::Error),
}

impl RecordingFile {
    /// Opens a file for a recording. One that is there and not empty is refused
    /// without `force`; with it, it stays as it is until the first flush, that is
    /// until the watch has begun. One that is made here goes away again if that
    /// never comes.
    ///
    /// # Errors
    ///
    /// If it cannot be opened, or is there.
    pub fn open(path: &Path, force: bool) -> Result<Self, FileError> {
        let name = || path.display().to_string();
        let failed = |error| FileError::Open(name(), error);
        let mut options = OpenOptions::new();
        options.write(true).mode(MODE);
        let (file, made) = match options.clone().create_new(true).open(path) {
            Ok(file) => (file, true),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                (options.create(true).open(path).map_err(failed)?, false)
            }
            Err(error) => return Err(failed(error)),
        };
        let there = file.metadata().map_err(failed)?;
        if there.is_file() && there.len() > 0 && !force {
            return Err(FileError::Exists(name()));
        }
        Ok(Self {
            path: path.to_owned(),
            file,
            made,
            held: Some(Vec::new()),
        })
    }
}

impl Write for RecordingFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match &mut self.held {
            Some(held) => {
                held.extend_from_slice(bytes);
                Ok(bytes.len())
            }
            None => self.file.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        if let Some(held) = self.held.take() {
            if self.file.metadata()?.is_file() {
                self.file.set_permissions(Permissions::from_mode(MODE))?;
                self.file.set_len(0)?;
            }
            self.file.write_all(&held)?;
        }
        self.file.flush()
    }
}

impl Drop for RecordingFile {
    fn drop(&mut self) {
        if self.made && self.held.is_some() {
            // An empty file is no loss if it stays.
            drop(fs::remove_file(&self.path));
        }
    }
}

/// Whether the file with this path is a recording.
#[must_use]
pub fn is_recording(path: &Path) -> bool {
    // Nothing else is read of: a pipe would be waited for.
    if !fs::metadata(path).is_ok_and(|it| it.is_file()) {
        return false;
    }
    let mut start = [0; MAGIC.len()];
    let read = File::open(path).and_then(|mut file| file.read_exact(&mut start));
    read.is_ok() && start == MAGIC
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folder(name: &str) -> PathBuf {
        let folder = std::env::temp_dir().join(format!("truncwatch-{}-{name}", std::process::id()));
        fs::create_dir_all(&folder).expect("a folder");
        folder
    }

    fn record(path: &Path, force: bool) -> Result<(), FileError> {
        let mut file = RecordingFile::open(path, force)?;
        file.write_all(&MAGIC).expect("held");
        file.flush().expect("written");
        Ok(())
    }

    #[test]
    fn what_is_there_is_kept_until_the_watch_has_begun() {
        let folder = folder("kept");
        let path = folder.join("watch.rec");
        fs::write(&path, "precious").expect("written");
        let refused = record(&path, false).map_err(|error| error.to_string());
        assert!(refused.is_err_and(|text| text.contains("--force")));
        // Begun, and then there is no privilege.
        let mut file = RecordingFile::open(&path, true).expect("opened");
        file.write_all(&MAGIC).expect("held");
        drop(file);
        assert_eq!(fs::read(&path).expect("there"), b"precious");
        assert!(!is_recording(&path));
        record(&path, true).expect("replaced");
        assert_eq!(fs::read(&path).expect("there"), MAGIC);
        assert!(is_recording(&path));
        let mode = fs::metadata(&path).expect("there").permissions().mode();
        assert_eq!(mode & 0o777, MODE);
        fs::remove_dir_all(folder).expect("removed");
    }

    #[test]
    fn one_that_never_began_leaves_nothing() {
        let folder = folder("nothing");
        let path = folder.join("watch.rec");
        drop(RecordingFile::open(&path, false).expect("opened"));
        assert!(!path.exists());
        // An empty one is none, and stays.
        fs::write(&path, "").expect("written");
        drop(RecordingFile::open(&path, false).expect("opened"));
        assert!(path.exists());
        record(&path, false).expect("written");
        assert!(record(&path, false).is_err());
        fs::remove_dir_all(folder).expect("removed");
    }
}
