//! The tests of the live kernel on other kernels: Debian's, each booted by
//! QEMU with a file system in memory that holds nothing but the tests.
//!
//! | module | what it does |
//! | --- | --- |
//! | `arch` | the kinds of machine |
//! | `declared` | which kernels, and what truncwatch is said to do on each |
//! | `cache` | folders that are filled once |
//! | `fetch` | the kernels and a static shell, from Debian |
//! | `qemu` | QEMU, installed or from Debian |
//! | `cross` | a compiler for the other kind, installed or from Debian |
//! | `host_packages` | where those two come from |
//! | `build` | truncwatch, its tests and what they start, as static binaries |
//! | `image` | the file system, and the script that runs in it |
//! | `boot` | runs one machine and reads what it says |
//! | `table` | kernels and results side by side |
//! | `service` | the package under systemd, and the script that tries it |

mod arch;
mod boot;
mod build;
mod cache;
mod cross;
mod declared;
mod fetch;
mod host_packages;
mod image;
mod qemu;
mod service;
mod table;

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail};
use clap::Args;

use self::{
    arch::{ARM64, Arch, X86_64},
    boot::Boot,
    build::Built,
    fetch::{Fetched, Kernel},
};

/// What to run.
#[derive(Args)]
pub struct Arguments {
    /// Kernels by the beginning of their version, such as 6.12, or `newest`
    /// [default: 5.10 6.1 6.12 6.18 newest; for arm64 without 5.10]
    kernels: Vec<String>,

    /// Emulate arm64, with Debian's kernels for that
    #[arg(long)]
    arm64: bool,

    /// Only load and attach; show how many instructions the verifier walked
    #[arg(long)]
    verifier: bool,

    /// Boot systemd with the package unpacked, and try the service [default: 6.12]
    #[arg(long, conflicts_with_all = ["arm64", "verifier", "test"])]
    systemd: bool,

    /// Only tests whose names contain this, or another that is given
    #[arg(long)]
    test: Vec<String>,

    /// Run each test N times
    #[arg(long, value_name = "N", default_value_t = 1)]
    repeat: usize,
}

/// Boots every kernel. `package` builds truncwatch's Debian package into a folder and
/// returns its path.
///
/// # Errors
///
/// If a machine cannot be built or booted, or does something that is not declared.
pub fn run(arguments: &Arguments, package: impl Fn(&Path) -> Result<PathBuf>) -> Result<()> {
    if !cfg!(target_arch = "x86_64") {
        bail!("this builds and emulates on a machine of the x86-64 kind");
    }
    if arguments.systemd {
        return service::run(&arguments.kernels, package);
    }
    let arch = if arguments.arm64 { &ARM64 } else { &X86_64 };
    let kernels = if arguments.kernels.is_empty() {
        arch.series.iter().map(ToString::to_string).collect()
    } else {
        arguments.kernels.clone()
    };
    let fetched = fetch::all(arch, &kernels)?;
    let built = build::all(arch, arguments.verifier)?;
    let tests = if arguments.verifier {
        Vec::new()
    } else {
        let list = list(arch, &fetched, &built)?;
        let tests = build::chosen(&list, &arguments.test).into_iter();
        tests
            .flat_map(|test| std::iter::repeat_n(test, arguments.repeat))
            .collect()
    };
    let image = image::pack(arch, &fetched, &built, &tests)?;
    let mut boots = Vec::new();
    let mut differences = Vec::new();
    for kernel in &fetched.kernels {
        boot::forget(arch, kernel)?;
        let mut boot = boot::run(arch, &fetched.qemu, kernel, &image, "")?;
        let mut differ = declared::differences(arch, kernel, &boot, tests.len());
        if boot.loads() && !arguments.verifier {
            for degraded in &declared::DEGRADED {
                let command_line = format!("TESTS=no {}", degraded.command_line);
                let without = boot::run(arch, &fetched.qemu, kernel, &image, &command_line)?;
                let difference = degraded.difference(&without);
                boot.degraded.push(difference.is_none());
                differ.extend(difference);
            }
        }
        for difference in differ {
            println!("{}: {difference}", kernel.version);
            differences.push(difference);
        }
        boots.push((kernel, boot));
    }
    println!("\n{}", table(arguments, &boots));
    if !differences.is_empty() {
        bail!("{} differences from what is declared", differences.len());
    }
    Ok(())
}

fn table(arguments: &Arguments, boots: &[(&Kernel, Boot)]) -> String {
    if arguments.verifier {
        table::of_instructions(boots)
    } else {
        table::of_results(boots)
    }
}

/// All tests that there are. What does not run on this machine is asked in an
/// emulated one.
fn list(arch: &Arch, fetched: &Fetched, built: &Built) -> Result<Vec<String>> {
    if !arch.foreign {
        return built.list();
    }
    let kernel = fetched.kernels.last().context("no kernel is named")?;
    let image = image::pack(arch, fetched, built, &[])?;
    boot::forget(arch, kernel)?;
    let boot = boot::run(arch, &fetched.qemu, kernel, &image, "TESTS=list")?;
    if boot.list.is_empty() {
        bail!("the tests could not be listed on Linux {}", kernel.version);
    }
    Ok(boot.list)
}
