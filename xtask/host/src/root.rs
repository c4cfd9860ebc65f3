//! Where things are, and who we are.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use xshell::{Cmd, Shell, cmd};

/// The workspace's folder.
pub fn folder() -> &'static Path {
    let host = Path::new(env!("CARGO_MANIFEST_DIR"));
    host.ancestors().nth(2).unwrap_or(host)
}

/// A shell that stands there.
pub fn shell() -> Result<Shell> {
    let shell = Shell::new()?;
    shell.change_dir(folder());
    Ok(shell)
}

/// Where cargo puts what it builds.
pub fn target() -> PathBuf {
    std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| folder().join("target"), PathBuf::from)
}

/// Whether this runs as root.
pub fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

/// Whether this runs in continuous integration, where what cannot run fails.
pub fn is_ci() -> bool {
    std::env::var_os("CI").is_some_and(|value| !value.is_empty() && value != "false")
}

/// Whether a program is on the PATH or in the folders that only root's PATH
/// has.
pub fn has(program: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path)
        .chain(["/usr/sbin", "/sbin"].map(PathBuf::from))
        .any(|folder| folder.join(program).is_file())
}

/// A command as root: as it is if we are, else through sudo.
pub fn as_root<'a>(shell: &'a Shell, program: &str) -> Cmd<'a> {
    if is_root() {
        cmd!(shell, "{program}")
    } else {
        cmd!(shell, "sudo {program}")
    }
}

/// Builds the release binary, as the user that we are; its path.
pub fn build_truncwatch() -> Result<PathBuf> {
    let shell = shell()?;
    let cargo = cargo();
    cmd!(
        shell,
        "{cargo} build --quiet --release --locked --package truncwatch --bin truncwatch"
    )
    .run()
    .context("truncwatch could not be built")?;
    Ok(target().join("release/truncwatch"))
}

/// The cargo that runs this.
pub fn cargo() -> String {
    std::env::var("CARGO").unwrap_or_else(|_| "cargo".to_owned())
}
