//! QEMU 10 or later: installed, or from Debian's packages without installing
//! them.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context as _, Result, bail};
use xshell::{Shell, cmd};

use super::{
    fetch::{numbers, once},
    folder,
};
use crate::{
    apt::{Apt, Suite},
    root,
};

/// The oldest that is used: 7.2, Debian 12's own, crashes Linux 6.12 in a third
/// of the runs.
const OLDEST: u64 = 10;

const PROGRAM: &str = "qemu-system-x86_64";

/// Where it is.
pub(super) enum Qemu {
    /// On the PATH.
    Installed,
    /// In this folder, with the libraries that are not installed.
    Unpacked(PathBuf),
}

impl Qemu {
    /// Adds the program to a command that runs another, with the libraries and
    /// the firmware that it needs.
    pub(super) fn add_to(&self, command: &mut Command) {
        let Self::Unpacked(folder) = self else {
            command.arg(PROGRAM);
            return;
        };
        let libraries = ["usr/lib/x86_64-linux-gnu", "lib/x86_64-linux-gnu"];
        let libraries = libraries.map(|part| folder.join(part).display().to_string());
        command
            .arg(folder.join("usr/bin").join(PROGRAM))
            .env("LD_LIBRARY_PATH", libraries.join(":"))
            // No module of another QEMU.
            .env("QEMU_MODULE_DIR", "/nonexistent");
        for part in ["usr/share/seabios", "usr/share/qemu"] {
            command.arg("-L").arg(folder.join(part));
        }
    }
}

/// The one that is installed if it is new enough, else Debian's for this
/// machine's release with the libraries that are not installed.
pub(super) fn find() -> Result<Qemu> {
    let program = PROGRAM;
    let shell = Shell::new()?;
    if root::has(program)
        && cmd!(shell, "{program} --version")
            .quiet()
            .read()
            .is_ok_and(|text| numbers(&text).first() >= Some(&OLDEST))
    {
        return Ok(Qemu::Installed);
    }
    let unpacked = once("qemu", |into| {
        println!("fetching QEMU");
        unpack(into).context(
            "QEMU 10 or later is neither installed nor can it be fetched; \
             install qemu-system-x86 (of Debian's backports, on Debian 12)",
        )
    })?;
    Ok(Qemu::Unpacked(unpacked))
}

fn unpack(into: &Path) -> Result<()> {
    let release = fs::read_to_string("/etc/os-release")?;
    let codename = release
        .lines()
        .find_map(|line| line.strip_prefix("VERSION_CODENAME="))
        .context("/etc/os-release has no VERSION_CODENAME")?;
    let backports = format!("{codename}-backports");
    let security = format!("{codename}-security");
    let apt = Apt::new(
        &folder().join("apt-qemu"),
        &[
            Suite::Main(codename),
            Suite::Main(&backports),
            Suite::Security(&security),
        ],
    )?;
    let package = "qemu-system-x86";
    let available = apt.available(&[package.to_owned()])?;
    let ready = |version: &str| numbers(version).get(1) >= Some(&OLDEST);
    if !available.iter().any(|found| ready(&found.version)) {
        bail!("{codename} has no QEMU {OLDEST}");
    }
    let backport = |version: &str| version.contains("~bpo");
    let release = available
        .iter()
        .all(|found| backport(&found.version) || !ready(&found.version))
        .then_some(&*backports);
    apt.unpack_with_needs(package, release, into)
}
