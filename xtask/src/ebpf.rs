//! Builds the kernel side from source.
//!
//! The objects are committed, so that users need neither LLVM nor the standard
//! library's source. They are reproducible: the toolchain is pinned, the lock
//! file is committed, paths are remapped, debug sections are stripped (BTF,
//! which the kernel checks, stays), and the source is copied to one fixed
//! folder first: function names hold a hash of where their package lies.

use std::{fs, path::Path};

use anyhow::{Context as _, Result, bail};
use clap::Args;
use host::{root, setup::LLVM};
use xshell::{Shell, cmd};

/// How to build it.
#[derive(Args)]
pub(crate) struct Arguments {
    /// Build and compare with the committed objects instead of replacing them
    #[arg(long)]
    check: bool,

    /// Only run clippy over the kernel side
    #[arg(long, conflicts_with = "check")]
    lint: bool,
}

/// What is built, and where it is committed.
const OBJECTS: [(&str, &str); 2] = [
    ("truncwatch", "detector/bpf/truncwatch.bpf.o"),
    // The same hooks with empty programs, for `cargo xtask bench`.
    ("empty", "bench/bpf/empty.bpf.o"),
];

/// Where the source is built, on every machine.
const BUILD_FOLDER: &str = "/tmp/truncwatch-bpf-build";

/// The packages that are needed there.
const PACKAGES: [&str; 2] = ["detector-ebpf", "detector-common"];

/// Builds, then replaces or compares.
pub(crate) fn run(arguments: &Arguments) -> Result<()> {
    if arguments.lint {
        return cargo("clippy", &["--", "-D", "warnings"]);
    }
    cargo("build", &[])?;
    let built = root::target().join("ebpf/bpfel-unknown-none/release");
    let mut differ = Vec::new();
    for (name, committed) in OBJECTS {
        let committed = root::folder().join(committed);
        let stripped = built.join(format!("{name}.stripped"));
        strip(&built.join(name), &stripped)?;
        let fresh =
            fs::read(&stripped).with_context(|| format!("cannot read {}", stripped.display()))?;
        if arguments.check {
            if fs::read(&committed).ok().as_ref() != Some(&fresh) {
                differ.push(committed.display().to_string());
            }
        } else {
            if let Some(folder) = committed.parent() {
                fs::create_dir_all(folder)?;
            }
            fs::write(&committed, fresh)
                .with_context(|| format!("cannot write {}", committed.display()))?;
            println!("{}", committed.display());
        }
    }
    if !differ.is_empty() {
        bail!(
            "not what the source gives: {}. Run cargo xtask ebpf and commit the result",
            differ.join(", ")
        );
    }
    if arguments.check {
        println!("the committed BPF objects are what the source gives");
    }
    Ok(())
}

/// Runs a command of cargo's over a copy of the kernel side.
fn cargo(command: &str, more: &[&str]) -> Result<()> {
    let shell = root::shell()?;
    // The folder is the same for all: one build at a time.
    let lock = fs::File::create(format!("{BUILD_FOLDER}.lock"))
        .with_context(|| format!("cannot write {BUILD_FOLDER}.lock"))?;
    lock.lock().context("cannot wait for another build")?;
    let sysroot = cmd!(shell, "rustc --print sysroot")
        .read()
        .context("rustc does not run")?;
    let library = format!("{sysroot}/lib/rustlib/src/rust");
    if !Path::new(&library).join("library/Cargo.lock").exists() {
        bail!("the standard library's source is missing: run cargo xtask setup");
    }
    if !root::has("bpf-linker") {
        bail!("bpf-linker is missing: run cargo xtask setup");
    }
    copy_source(&shell)?;
    shell.change_dir(Path::new(BUILD_FOLDER).join("detector-ebpf"));
    let cargo_home = std::env::var("CARGO_HOME")
        .or_else(|_| std::env::var("HOME").map(|home| format!("{home}/.cargo")))?;
    let registry = registry_sources(&cargo_home);
    // The linker's options: BTF; debug information is what BTF is made from.
    let mut flags = vec![
        "-Clink-arg=--btf".to_owned(),
        "-Cdebuginfo=2".to_owned(),
        "-Ctarget-cpu=v3".to_owned(),
    ];
    for (from, to) in [
        (BUILD_FOLDER, "/truncwatch"),
        (&library, "/rustc"),
        (&cargo_home, "/cargo"),
    ] {
        flags.push(format!("--remap-path-prefix={from}={to}"));
    }
    // Last, as the last that matches is taken: registries have a number of
    // their own on each machine.
    for (index, source) in registry.iter().enumerate() {
        let number = if index == 0 {
            String::new()
        } else {
            index.to_string()
        };
        flags.push(format!("--remap-path-prefix={source}=/crates{number}"));
    }
    let _flags = shell.push_env("CARGO_ENCODED_RUSTFLAGS", flags.join("\u{1f}"));
    let _linker = shell.push_env("CARGO_TARGET_BPFEL_UNKNOWN_NONE_LINKER", "bpf-linker");
    // The stable compiler builds core for BPF if it is told that it may.
    let _bootstrap = shell.push_env("RUSTC_BOOTSTRAP", "1");
    let _target = shell.push_env("CARGO_TARGET_DIR", root::target().join("ebpf"));
    let cargo = root::cargo();
    cmd!(
        shell,
        "{cargo} {command} --release --locked -Z build-std=core --target bpfel-unknown-none {more...}"
    )
    .run()
    .with_context(|| format!("cargo {command} of the kernel side failed"))
}

fn copy_source(shell: &Shell) -> Result<()> {
    let folder = Path::new(BUILD_FOLDER);
    if folder.exists() {
        fs::remove_dir_all(folder)
            .with_context(|| format!("{BUILD_FOLDER} is in the way; remove it"))?;
    }
    fs::create_dir(folder)?;
    for package in PACKAGES {
        let from = root::folder().join(package);
        cmd!(shell, "cp -r {from} {BUILD_FOLDER}").quiet().run()?;
    }
    // What the packages inherit: versions and lints.
    let manifest = root::folder().join("Cargo.toml");
    let text = fs::read_to_string(&manifest)?;
    let members = "members = [\"detector-common\"]";
    let text: Vec<_> = text
        .lines()
        .map(|line| {
            if line.starts_with("members = ") {
                members
            } else {
                line
            }
        })
        .collect();
    fs::write(folder.join("Cargo.toml"), text.join("\n"))?;
    Ok(())
}

/// The folders that hold crates' sources, one per registry.
fn registry_sources(cargo_home: &str) -> Vec<String> {
    let Ok(entries) = fs::read_dir(Path::new(cargo_home).join("registry/src")) else {
        return Vec::new();
    };
    let mut folders: Vec<_> = entries
        .filter_map(Result::ok)
        .map(|entry| entry.path().display().to_string())
        .collect();
    folders.sort();
    folders
}

fn strip(from: &Path, to: &Path) -> Result<()> {
    let shell = root::shell()?;
    let strip = format!("{LLVM}/bin/llvm-strip");
    cmd!(shell, "{strip} --strip-debug {from} -o {to}")
        .run()
        .context("llvm-strip does not run: run cargo xtask setup")
}
