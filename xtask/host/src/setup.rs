//! Installs what building, testing and the BPF toolchain need. Each step looks
//! first, and a step that cannot be done says so and how to do it by hand.

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result, bail};
use clap::Args;
use xshell::{Shell, cmd};

use crate::{
    apt::{Apt, Suite},
    root,
};

/// Where Debian packages put the LLVM that bpf-linker is built with.
pub const LLVM: &str = "/usr/lib/llvm-22";

/// What to install.
#[derive(Args)]
pub struct Arguments {
    /// Only what the tests need, not the BPF toolchain
    #[arg(long)]
    tests: bool,
}

/// Programs that the tests use, and the Debian packages that have them.
const TEST_PROGRAMS: [(&str, &str); 6] = [
    ("nginx", "nginx-light"),
    ("strace", "strace"),
    ("node", "nodejs"),
    ("python3", "python3"),
    ("prometheus", "prometheus"),
    ("curl", "curl"),
];

/// The same of `cargo xtask bench`.
const BENCH_PROGRAMS: [(&str, &str); 4] = [
    ("nginx", "nginx-light"),
    ("wrk", "wrk"),
    ("strace", "strace"),
    ("bpftrace", "bpftrace"),
];

/// Services that packages start when they are installed, and where each says that
/// it runs.
const SERVICES: [(&str, &str); 2] = [
    ("nginx", "/run/nginx.pid"),
    ("prometheus", "/run/prometheus.pid"),
];

/// What `python3 -m venv` needs beside Python itself, on Debian.
const VENV_PACKAGE: &str = "python3-venv";

/// The toolchain that rust-toolchain.toml pins.
const RUST: &str = "1.95.0";

/// The linker, and the LLVM that it is built with.
const BPF_LINKER: &str = "0.13.0";
const LLVM_PACKAGES: [&str; 4] = [
    "llvm-22-dev",
    "libpolly-22-dev",
    "libzstd-dev",
    "zlib1g-dev",
];

/// Installs; fails if something is missing in the end.
pub fn run(arguments: &Arguments) -> Result<()> {
    let shell = root::shell()?;
    let mut missing = Vec::new();
    let mut step = |name: &str, result: Result<()>| match result {
        Ok(()) => println!("{name}: ready"),
        Err(error) => {
            println!("{name}: MISSING: {error:#}");
            missing.push(name.to_owned());
        }
    };
    step("test programs", test_programs());
    if !arguments.tests {
        step("the standard library's source", rust_source(&shell));
        step("LLVM 22", llvm(&shell));
        step("bpf-linker", bpf_linker(&shell));
        // Installing LLVM has been seen to remove strace.
        step("test programs, still", test_programs());
    }
    if missing.is_empty() {
        return Ok(());
    }
    bail!(
        "could not be installed: {}; see above for how to",
        missing.join(", ")
    )
}

/// Programs that the tests use.
pub fn test_programs() -> Result<()> {
    let shell = root::shell()?;
    let absent = || {
        let mut absent = absent_programs(&TEST_PROGRAMS);
        if !has_venv(&shell) {
            absent.push(("python3 -m venv", VENV_PACKAGE));
        }
        absent
    };
    programs(&shell, absent)
}

/// Programs that measurements use, beside truncwatch.
pub fn bench_programs() -> Result<()> {
    programs(&root::shell()?, || absent_programs(&BENCH_PROGRAMS))
}

/// Installs what is absent, as far as it is.
fn programs(shell: &Shell, absent: impl Fn() -> Vec<(&'static str, &'static str)>) -> Result<()> {
    let missing = absent();
    if missing.is_empty() {
        return Ok(());
    }
    let packages: Vec<_> = missing.iter().map(|(_, package)| *package).collect();
    apt_install(shell, &packages)?;
    for (service, pid_file) in SERVICES {
        let installed = missing.iter().any(|(program, _)| service == *program);
        if installed && root::has("systemctl") {
            stop_service(shell, service, pid_file);
        }
    }
    let missing: Vec<_> = absent()
        .iter()
        .map(|(program, package)| format!("{program} (Debian: {package})"))
        .collect();
    if !missing.is_empty() {
        bail!("still not there, install it: {}", missing.join(", "));
    }
    Ok(())
}

/// A package starts its service, which nobody asked for; on machines without a
/// running systemd it does not, and this fails.
fn stop_service(shell: &Shell, service: &str, pid_file: &str) {
    let stopped = root::as_root(shell, "systemctl")
        .args(["disable", "--now", service])
        .quiet()
        .ignore_stdout()
        .ignore_stderr()
        .run();
    if stopped.is_err() && Path::new(pid_file).exists() {
        println!("{service} was started by its package and could not be stopped: stop it by hand");
    }
}

/// What libFuzzer is compiled with.
pub fn cpp_compiler() -> Result<()> {
    if std::env::var_os("CXX").is_some() || root::has("c++") {
        return Ok(());
    }
    apt_install(&root::shell()?, &["g++"]).context("a C++ compiler is needed")
}

/// What is not there of them, each with its package.
fn absent_programs(of: &[(&'static str, &'static str)]) -> Vec<(&'static str, &'static str)> {
    of.iter()
        .filter(|(program, _)| !root::has(program))
        .copied()
        .collect()
}

/// Whether Python can make an environment with pip in it: Debian packs the
/// module `ensurepip` apart.
fn has_venv(shell: &Shell) -> bool {
    cmd!(shell, "python3 -c 'import ensurepip, venv'")
        .quiet()
        .ignore_stdout()
        .ignore_stderr()
        .run()
        .is_ok()
}

fn apt_install(shell: &Shell, packages: &[&str]) -> Result<()> {
    let list = packages.join(" ");
    if !root::has("apt-get") {
        bail!("this is no Debian: install what your system has for {list}");
    }
    let manual = || format!("try by hand: sudo apt-get update && sudo apt-get install {list}");
    let apt =
        || root::as_root(shell, "env").args(["DEBIAN_FRONTEND=noninteractive", "apt-get", "-qq"]);
    if !root::is_root() && !root::has("sudo") {
        bail!("not root, and there is no sudo; {}", manual());
    }
    // An old list names versions that are gone.
    apt()
        .arg("update")
        .ignore_stdout()
        .run()
        .with_context(manual)?;
    apt()
        .args(["install", "--yes", "--no-install-recommends"])
        .args(packages)
        .ignore_stdout()
        .run()
        .with_context(manual)
}

/// `core` is compiled for the BPF target from source.
fn rust_source(shell: &Shell) -> Result<()> {
    let sysroot = PathBuf::from(cmd!(shell, "rustc --print sysroot").read()?);
    let library = sysroot.join("lib/rustlib/src/rust/library");
    if library.join("Cargo.lock").exists() {
        return Ok(());
    }
    let version = cmd!(shell, "rustc --version").read()?;
    if !version.contains(RUST) {
        bail!("rustc is {version}, not {RUST}: use rustup, which reads rust-toolchain.toml");
    }
    if root::has("rustup")
        && cmd!(shell, "rustup component add rust-src")
            .quiet()
            .ignore_stderr()
            .run()
            .is_ok()
        && library.join("Cargo.lock").exists()
    {
        return Ok(());
    }
    // rustup's server is out of reach: Debian has the same source.
    debian_rust_source(shell, &library).with_context(|| {
        format!("rustup component add rust-src did not work; put the library folder of Rust {RUST}'s source at {}", library.display())
    })
}

/// Takes the library folder out of Debian's package.
fn debian_rust_source(shell: &Shell, library: &Path) -> Result<()> {
    let folder = root::target().join("setup");
    let apt = Apt::new(&folder, &[Suite::Main("trixie-backports")])?;
    let available = apt.available(&["rust-src".to_owned()])?;
    let package = available
        .iter()
        .find(|package| package.version.starts_with(RUST))
        .with_context(|| format!("Debian's backports no longer have rust-src {RUST}"))?;
    let unpacked = folder.join("unpacked");
    apt.unpack(&package.package, &package.version, &unpacked)?;
    let source = unpacked.join(format!("usr/src/rustc-{RUST}/library"));
    let parent = library.parent().context("no folder for the source")?;
    fs::create_dir_all(parent)?;
    if library.is_symlink() {
        // One that leads nowhere: what it led to is gone.
        fs::remove_file(library)?;
    }
    cmd!(shell, "cp -r {source} {library}").run()?;
    Ok(())
}

fn llvm(shell: &Shell) -> Result<()> {
    let config = Path::new(LLVM).join("bin/llvm-config");
    if config.exists() && Path::new(LLVM).join("lib/libPolly.a").exists() {
        return Ok(());
    }
    apt_install(shell, &LLVM_PACKAGES).context("LLVM 22 with its static libraries is needed")
}

fn bpf_linker(shell: &Shell) -> Result<()> {
    let wanted = format!("bpf-linker {BPF_LINKER}");
    if cmd!(shell, "bpf-linker --version")
        .quiet()
        .ignore_stderr()
        .read()
        .is_ok_and(|version| version == wanted)
    {
        return Ok(());
    }
    let _llvm = shell.push_env("LLVM_PREFIX", LLVM);
    // Not the pinned flags of this workspace's folder.
    shell.change_dir(std::env::temp_dir());
    let cargo = root::cargo();
    let result = cmd!(
        shell,
        "{cargo} install --quiet --locked bpf-linker --version {BPF_LINKER} --no-default-features --features llvm-22"
    )
    .run();
    shell.change_dir(root::folder());
    result.context("cargo install bpf-linker failed")
}
