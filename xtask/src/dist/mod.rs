//! What is installed: a program that needs no libraries, in a package for Debian
//! and in an archive for other systems. The book, for the web.
//!
//! | file | what it does |
//! | --- | --- |
//! | `tree.rs` | puts every file where it belongs |
//! | `checks.rs` | asks other people's tools what they think of `packaging/` |

mod checks;
mod tree;

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result, bail};
use clap::Args;
use host::root;
use xshell::{Shell, cmd};

/// What to build.
#[derive(Args)]
pub(crate) struct Arguments {
    /// Only check what is in packaging/, and build nothing
    #[arg(long)]
    check: bool,
}

/// Builds and checks; says where it is.
pub(crate) fn run(arguments: &Arguments) -> Result<()> {
    let shell = root::shell()?;
    checks::packaging(&shell)?;
    if arguments.check {
        return Ok(());
    }
    let binary = build(&shell)?;
    checks::is_static(&binary)?;
    let version = cmd!(shell, "{binary} --version").quiet().read()?;
    let version = version.split_whitespace().last().context("no version")?;
    let folder = root::target().join("dist");
    host::apt::remove(&folder)?;
    fs::create_dir_all(&folder)?;
    let name = format!("truncwatch-{version}-{}", std::env::consts::ARCH);
    let tree = tree::Tree {
        shell: &shell,
        binary: &binary,
    };
    let archive = tree.archive(&folder, &name)?;
    println!("{}", archive.display());
    if root::has("dpkg-deb") {
        println!("{}", tree.package(&folder, version)?.display());
    } else {
        println!("LEFT OUT: the package for Debian: there is no dpkg-deb");
    }
    book(&shell, &folder)
}

/// Builds the book as HTML if mdbook is installed.
fn book(shell: &Shell, folder: &Path) -> Result<()> {
    if !root::has("mdbook") {
        println!("LEFT OUT: the book: there is no mdbook (cargo install mdbook)");
        return Ok(());
    }
    let (source, to) = (root::folder(), folder.join("book"));
    cmd!(shell, "mdbook build --dest-dir {to} {source}")
        .quiet()
        .ignore_stderr()
        .run()
        .context("mdbook refuses the book")?;
    println!("{}", to.join("index.html").display());
    Ok(())
}

/// The package alone, in this folder.
pub(crate) fn package(folder: &Path) -> Result<PathBuf> {
    let shell = root::shell()?;
    let binary = build(&shell)?;
    let tree = tree::Tree {
        shell: &shell,
        binary: &binary,
    };
    tree.package(folder, "0")
}

/// A static program: of musl where rustup has that target, else with glibc's
/// static libraries, whose users and groups then come from the files in /etc only.
fn build(shell: &Shell) -> Result<PathBuf> {
    let arch = std::env::consts::ARCH;
    let musl = format!("{arch}-unknown-linux-musl");
    let has_musl = cmd!(shell, "rustc --print target-libdir --target {musl}")
        .quiet()
        .ignore_stderr()
        .read()
        .is_ok_and(|folder| Path::new(&folder).is_dir());
    let target = if has_musl {
        musl
    } else {
        println!("rustup has no {musl} here: glibc, linked statically");
        format!("{arch}-unknown-linux-gnu")
    };
    let cargo = root::cargo();
    // With a target that is named, build scripts are not built for it.
    let _flags = shell.push_env("RUSTFLAGS", "-C target-feature=+crt-static");
    cmd!(
        shell,
        "{cargo} build --quiet --release --locked --package truncwatch --bin truncwatch --target {target}"
    )
    .run()
    .context("truncwatch could not be built")?;
    let binary = root::target().join(target).join("release/truncwatch");
    if !binary.is_file() {
        bail!("cargo built no {}", binary.display());
    }
    Ok(binary)
}
