//! The tests of the live kernel on other kernels: Debian's, each booted by
//! QEMU with a file system in memory that holds nothing but the tests.
//!
//! | module | what it does |
//! | --- | --- |
//! | [`declared`] | which kernels, and what truncwatch is said to do on each |
//! | [`fetch`] | the kernels and a static shell, from Debian |
//! | [`qemu`] | QEMU, installed or from Debian |
//! | [`build`] | truncwatch, its tests and what they start, as static binaries |
//! | [`image`] | the file system, and the script that runs in it |
//! | [`boot`] | runs one machine and reads what it says |
//! | [`table`] | kernels and results side by side |

mod boot;
mod build;
mod declared;
mod fetch;
mod image;
mod qemu;
mod table;

use std::path::PathBuf;

use anyhow::{Result, bail};
use clap::Args;

use self::{boot::Boot, fetch::Kernel};
use crate::root;

/// What to run.
#[derive(Args)]
pub(crate) struct Arguments {
    /// Kernels by the beginning of their version, such as 6.12, or `newest`
    #[arg(default_values = declared::SERIES)]
    kernels: Vec<String>,

    /// Only load and attach; show how many instructions the verifier walked
    #[arg(long)]
    verifier: bool,

    /// Only tests whose names contain this, or another that is given
    #[arg(long)]
    test: Vec<String>,

    /// Run each test so many times
    #[arg(long, value_name = "N", default_value_t = 1)]
    repeat: usize,
}

/// Boots every kernel; fails if one does something that is not declared.
pub(crate) fn run(arguments: &Arguments) -> Result<()> {
    if !cfg!(target_arch = "x86_64") {
        bail!("the kernels are for x86-64, and so must this machine be");
    }
    let fetched = fetch::all(&arguments.kernels)?;
    let built = build::all(arguments.verifier)?;
    let tests = if arguments.verifier {
        Vec::new()
    } else {
        let tests = built.tests(&arguments.test)?.into_iter();
        tests
            .flat_map(|test| std::iter::repeat_n(test, arguments.repeat))
            .collect()
    };
    let image = image::pack(&fetched.busybox, &built, &tests)?;
    let mut boots = Vec::new();
    let mut differences = Vec::new();
    for kernel in &fetched.kernels {
        boot::forget(kernel)?;
        let mut boot = boot::run(&fetched.qemu, kernel, &image, "")?;
        let mut differ = declared::differences(kernel, &boot, tests.len());
        if boot.loads() && !arguments.verifier {
            for degraded in &declared::DEGRADED {
                let command_line = format!("TESTS=no {}", degraded.command_line);
                let without = boot::run(&fetched.qemu, kernel, &image, &command_line)?;
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

/// Where all of this is kept.
fn folder() -> PathBuf {
    root::target().join("vm")
}
