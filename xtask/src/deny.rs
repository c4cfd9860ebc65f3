//! Licences, bans, sources and, where their list can be had, advisories of the
//! dependencies: `deny.toml`. A chore, not a stage of CI: no registry that CI reaches has
//! a current build of cargo-deny, and to compile it takes minutes.

use anyhow::{Context as _, Result};
use host::root;
use xshell::cmd;

/// The version that `deny.toml` is written for.
const VERSION: &str = "0.20.2";

/// Installs cargo-deny into the target folder, if need be, and runs it.
pub(crate) fn run() -> Result<()> {
    let shell = root::shell()?;
    let cargo = root::cargo();
    let tools = root::target().join("tools");
    let deny = tools.join("bin/cargo-deny");
    if !deny.is_file() {
        cmd!(
            shell,
            "{cargo} install cargo-deny --version {VERSION} --locked --root {tools}"
        )
        .run()
        .context("cargo-deny cannot be had")?;
    }
    cmd!(shell, "{deny} check bans licenses sources")
        .run()
        .context("a dependency is not what deny.toml allows")?;
    if cmd!(shell, "{deny} check advisories").run().is_err() {
        println!("LEFT OUT or failed: advisories, see above");
    }
    Ok(())
}
