//! The Python environment with the pinned packages.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};

use crate::server::{target_dir, testbed_dir};

/// What is installed, in the environment's folder: written when all of it is.
const INSTALLED: &str = "installed.txt";

/// Makes the environment if it is not there or not as pinned; its interpreter.
pub(super) fn environment() -> Result<PathBuf> {
    let pinned = testbed_dir()?.join("scripts/requirements.txt");
    let wanted = fs::read_to_string(&pinned)?;
    let target = target_dir()?;
    fs::create_dir_all(&target)?;
    // One at a time: tests run in several threads, and there may be several runs.
    let lock = File::create(target.join("python.lock"))?;
    lock.lock()?;
    let folder = target.join("python");
    let interpreter = folder.join("bin/python3");
    let installed = fs::read_to_string(folder.join(INSTALLED)).ok();
    // It is gone where a system's Python was replaced: a link that leads nowhere.
    if installed.as_ref() != Some(&wanted) || !interpreter.exists() {
        make(&folder, &interpreter, &pinned)?;
        fs::write(folder.join(INSTALLED), wanted)?;
    }
    Ok(interpreter)
}

fn make(folder: &Path, interpreter: &Path, pinned: &Path) -> Result<()> {
    if folder.exists() {
        fs::remove_dir_all(folder)?;
    }
    let venv = Command::new("python3")
        .args(["-m", "venv"])
        .arg(folder)
        .status()
        .context("cannot run python3")?;
    ensure!(
        venv.success(),
        "python3 -m venv failed; on Debian it needs the package python3-venv"
    );
    let pip = Command::new(interpreter)
        .args(["-m", "pip", "install", "--quiet", "--requirement"])
        .arg(pinned)
        .status()?;
    ensure!(pip.success(), "pip could not install {}", pinned.display());
    Ok(())
}
