//! Building the server with cargo.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};

use super::HyperVersion;

/// Builds the server against `version` in release mode and returns the path of the binary.
///
/// Quick when there is nothing to do. The result is below `target/testbed/` in the workspace, one
/// folder per version because both binaries have the same name. The lock file is obeyed. `CARGO`
/// names the cargo to use, as cargo itself sets it for whatever it runs.
///
/// # Errors
/// If cargo cannot be started or fails; its own messages are on standard error.
pub fn build(version: HyperVersion) -> Result<PathBuf> {
    let package = version.package();
    let testbed = testbed_dir()?;
    let workspace = testbed
        .parent()
        .context("the testbed has no parent folder")?;
    let target = workspace.join("target/testbed").join(&package);
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());

    let status = Command::new(&cargo)
        .args(["build", "--release", "--locked", "--quiet", "--target-dir"])
        .arg(&target)
        .current_dir(testbed.join(&package))
        // It would move the binary to a folder that is not the one returned.
        .env_remove("CARGO_BUILD_TARGET")
        .status()
        .with_context(|| format!("cannot run {}", Path::new(&cargo).display()))?;
    ensure!(
        status.success(),
        "building the test server for {version} failed: {status}"
    );

    let binary = target.join("release/hyper-server");
    ensure!(
        binary.is_file(),
        "cargo succeeded but {} is not there",
        binary.display()
    );
    Ok(binary)
}

/// The folder above this crate's.
fn testbed_dir() -> Result<&'static Path> {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .context("this crate has no parent folder")
}
