//! The file that a report is written to (`-o`).

use std::{
    fs::{self, File},
    io,
    os::unix::fs::MetadataExt as _,
    path::Path,
};

use anyhow::{Context as _, Result, bail};

use crate::recording::is_recording;

/// What came of writing a report to this file, or to standard output: `true` if the
/// reader has gone away.
///
/// # Errors
///
/// If it was not written for another reason.
pub(crate) fn written_to(output: Option<&Path>, result: io::Result<()>) -> Result<bool> {
    match result {
        Ok(()) => Ok(false),
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(true),
        Err(error) => Err(error).with_context(|| match output {
            Some(path) => format!("cannot write the report to {}", path.display()),
            None => "cannot write the report to standard output (-o FILE is another place)".into(),
        }),
    }
}

/// Opens it. It is replaced, as `>` of a shell does it; but never a recording, which
/// nothing makes again, nor the file that is judged.
///
/// # Errors
///
/// If it is one of those, or cannot be written.
pub(crate) fn create(path: &Path, judged: Option<&Path>) -> Result<File> {
    let name = path.display();
    let which = |path: &Path| fs::metadata(path).ok().map(|it| (it.dev(), it.ino()));
    if let Some(judged) = judged
        && let (Some(one), Some(other)) = (which(path), which(judged))
        && one == other
        && path.is_file()
    {
        bail!(
            "{name} is the file to be judged, and the report would replace it: give another with -o"
        );
    }
    if is_recording(path) {
        bail!("{name} is a recording, and the report would replace it: give another file with -o");
    }
    File::create(path).with_context(|| format!("cannot write the report to {name}"))
}
