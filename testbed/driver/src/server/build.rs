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
    build_package(&version.package(), &["hyper-server"])?
        .pop()
        .with_context(|| format!("no test server for {version}"))
}

/// Builds a package of the testbed that is outside the workspace; the paths of these binaries.
pub(crate) fn build_package(package: &str, binaries: &[&str]) -> Result<Vec<PathBuf>> {
    let target = target_dir()?.join(package);
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());

    let status = Command::new(&cargo)
        .args(["build", "--release", "--locked", "--quiet", "--target-dir"])
        .arg(&target)
        .current_dir(testbed_dir()?.join(package))
        // It would move the binary to a folder that is not the one returned.
        .env_remove("CARGO_BUILD_TARGET")
        .status()
        .with_context(|| format!("cannot run {}", Path::new(&cargo).display()))?;
    ensure!(
        status.success(),
        "building the test servers in {package} failed: {status}"
    );

    binaries
        .iter()
        .map(|name| {
            let binary = target.join("release").join(name);
            ensure!(
                binary.is_file(),
                "cargo succeeded but {} is not there",
                binary.display()
            );
            Ok(binary)
        })
        .collect()
}

/// Where what is built for the testbed goes.
pub(crate) fn target_dir() -> Result<PathBuf> {
    let workspace = testbed_dir()?
        .parent()
        .context("the testbed has no parent folder")?;
    Ok(workspace.join("target/testbed"))
}

/// The folder above this crate's.
pub(crate) fn testbed_dir() -> Result<&'static Path> {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .context("this crate has no parent folder")
}
