//! Programs for this machine that are not installed: from the packages of its
//! own release of Debian, unpacked.

use std::{fs, path::Path};

use anyhow::{Context as _, Result};
use host::apt::{Apt, Suite};

/// The name of the release.
pub(super) fn codename() -> Result<String> {
    let release = fs::read_to_string("/etc/os-release")?;
    let codename = release
        .lines()
        .find_map(|line| line.strip_prefix("VERSION_CODENAME="))
        .context("/etc/os-release has no VERSION_CODENAME")?;
    Ok(codename.to_owned())
}

/// Its packages, and those of its backports.
pub(super) fn packages(folder: &Path, codename: &str) -> Result<Apt> {
    let backports = format!("{codename}-backports");
    let security = format!("{codename}-security");
    Apt::new(
        folder,
        &[
            Suite::Main(codename),
            Suite::Main(&backports),
            Suite::Security(&security),
        ],
    )
}

/// Where libraries are in a folder that packages were unpacked in, for
/// `LD_LIBRARY_PATH`.
pub(super) fn libraries(unpacked: &Path) -> String {
    ["usr/lib/x86_64-linux-gnu", "lib/x86_64-linux-gnu"]
        .map(|part| unpacked.join(part).display().to_string())
        .join(":")
}
