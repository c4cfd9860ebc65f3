//! Folders that are filled once, by version.

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::Result;
use host::apt;

use super::arch::Arch;

/// A folder below ours that is filled only once, and is there only when it is
/// full.
pub(super) fn once(
    arch: &Arch,
    name: &str,
    fill: impl FnOnce(&Path) -> Result<()>,
) -> Result<PathBuf> {
    let full = arch.folder().join(name);
    if !full.exists() {
        let part = arch.folder().join("part");
        apt::remove(&part)?;
        fs::create_dir_all(&part)?;
        fill(&part)?;
        fs::rename(&part, &full)?;
    }
    Ok(full)
}

/// The numbers in a version, which have its order.
pub(super) fn numbers(version: &str) -> Vec<u64> {
    version
        .split(|letter: char| !letter.is_ascii_digit())
        .filter_map(|number| number.parse().ok())
        .collect()
}
