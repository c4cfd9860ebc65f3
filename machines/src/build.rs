//! truncwatch, its tests and what they start, as static binaries, which run on
//! any kernel with nothing beside them.

use std::path::PathBuf;

use anyhow::{Context as _, Result};
use host::root;
use serde_json::Value;
use testbed::server::HyperVersion;
use xshell::{Shell, cmd};

use super::{
    arch::{Arch, X86_64},
    cross,
    declared::LEFT_OUT,
};

/// What was built: where a binary is, and where the tests look for it.
pub(super) struct Built {
    pub(super) truncwatch: PathBuf,
    /// The tests; none when only truncwatch was asked for.
    pub(super) live: Option<PathBuf>,
    /// The servers, by version, and the testbed's programs, by name.
    pub(super) servers: Vec<(HyperVersion, PathBuf)>,
    pub(super) programs: Vec<(&'static str, PathBuf)>,
}

impl Built {
    /// What the tests say that they are.
    pub(super) fn list(&self) -> Result<Vec<String>> {
        let live = self.live.as_ref().context("no tests were built")?;
        let shell = Shell::new()?;
        let list = cmd!(shell, "{live} --list").quiet().ignore_stderr();
        Ok(list.read()?.lines().map(str::to_owned).collect())
    }
}

/// The names of the tests to run, of this list: that contain one of these parts,
/// if there are any.
pub(super) fn chosen(list: &[String], parts: &[String]) -> Vec<String> {
    list.iter()
        .filter_map(|line| line.strip_suffix(": test"))
        .filter(|test| parts.is_empty() || parts.iter().any(|part| test.contains(part)))
        .filter(|test| !LEFT_OUT.iter().any(|(left_out, _)| test.contains(left_out)))
        .map(str::to_owned)
        .collect()
}

/// Builds truncwatch, and all the rest unless only that is wanted.
pub(super) fn all(arch: &Arch, only_truncwatch: bool) -> Result<Built> {
    let shell = root::shell()?;
    let _environment = arch
        .foreign
        .then(|| cross::environment(arch, &shell))
        .transpose()?;
    let _flags = shell.push_env("RUSTFLAGS", "-C target-feature=+crt-static");
    // Nothing here is debugged, and half the size is loaded in half the time.
    let _debug = shell.push_env("CARGO_PROFILE_DEV_DEBUG", "0");
    println!("building static binaries (the first time takes minutes)");
    let truncwatch = build(
        arch,
        &shell,
        &["build", "--package", "truncwatch"],
        "truncwatch",
    )?;
    if only_truncwatch {
        return Ok(Built {
            truncwatch,
            live: None,
            servers: Vec::new(),
            programs: Vec::new(),
        });
    }
    let tests = ["test", "--no-run", "--package", "truncwatch"];
    let live = build(
        arch,
        &shell,
        &[&tests[..], &["--test", "live"]].concat(),
        "live",
    )?;
    let programs = ["calls", "crowd"]
        .into_iter()
        .map(|name| {
            let arguments = ["build", "--package", "testbed", "--bin", name];
            Ok((name, build(arch, &shell, &arguments, name)?))
        })
        .collect::<Result<_>>()?;
    let servers = HyperVersion::ALL
        .into_iter()
        .map(|version| {
            let package = format!("testbed/hyper-{}", version.number());
            shell.change_dir(root::folder().join(package));
            Ok((
                version,
                build(arch, &shell, &["build", "--release"], "hyper-server")?,
            ))
        })
        .collect::<Result<_>>()?;
    Ok(Built {
        truncwatch,
        live: Some(live),
        servers,
        programs,
    })
}

/// Where cargo says that it put the executable of this name.
fn build(arch: &Arch, shell: &Shell, arguments: &[&str], name: &str) -> Result<PathBuf> {
    let cargo = root::cargo();
    // Naming the target, even where it is this machine's own, keeps the flags
    // from what runs while building.
    let triple = arch.target;
    let library: &[&str] = if arch.foreign {
        &["-Z", "build-std"]
    } else {
        &[]
    };
    // Shared: cargo keeps targets apart.
    let mut target = X86_64.folder().join("build");
    if arguments.contains(&"--release") {
        // The servers' packages are not of the workspace, and of one name.
        target.push(shell.current_dir().file_name().context("no folder")?);
    }
    let messages = cmd!(
        shell,
        "{cargo} {arguments...} --quiet --locked {library...} --target {triple} --target-dir {target} --message-format json-render-diagnostics"
    )
    .quiet()
    .read()
    .with_context(|| format!("{name} could not be built as a static binary"))?;
    messages
        .lines()
        .filter_map(|line| serde_json::from_str::<Value>(line).ok())
        .filter(|message| message.pointer("/target/name") == Some(&name.into()))
        .find_map(|message| Some(PathBuf::from(message.get("executable")?.as_str()?)))
        .with_context(|| format!("cargo built no {name}"))
}
