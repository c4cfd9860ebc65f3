//! QEMU 10 or later: installed, or from Debian's packages without installing
//! them.

use std::{
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context as _, Result, bail};
use host::root;
use xshell::{Shell, cmd};

use super::{
    arch::Arch,
    cache::{numbers, once},
    host_packages,
};

/// The oldest that is used: 7.2, Debian 12's own, crashes Linux 6.12 in a third
/// of the runs.
const OLDEST: u64 = 10;

/// Its program, and where that is.
pub(super) struct Qemu {
    program: &'static str,
    place: Place,
}

enum Place {
    /// On the PATH.
    Installed,
    /// In this folder, with the libraries that are not installed.
    Unpacked(PathBuf),
}

impl Qemu {
    /// Adds the program to a command that runs another, with the libraries and
    /// the firmware that it needs.
    pub(super) fn add_to(&self, command: &mut Command) {
        let Place::Unpacked(folder) = &self.place else {
            command.arg(self.program);
            return;
        };
        command
            .arg(folder.join("usr/bin").join(self.program))
            .env("LD_LIBRARY_PATH", host_packages::libraries(folder))
            // No module of another QEMU.
            .env("QEMU_MODULE_DIR", "/nonexistent");
        for part in ["usr/share/seabios", "usr/share/qemu"] {
            command.arg("-L").arg(folder.join(part));
        }
    }
}

/// The one that is installed if it is new enough, else Debian's for this
/// machine's release with the libraries that are not installed.
pub(super) fn find(arch: &Arch) -> Result<Qemu> {
    let program = arch.qemu;
    let shell = Shell::new()?;
    if root::has(program)
        && cmd!(shell, "{program} --version")
            .quiet()
            .read()
            .is_ok_and(|text| numbers(&text).first() >= Some(&OLDEST))
    {
        let place = Place::Installed;
        return Ok(Qemu { program, place });
    }
    let package = arch.qemu_package;
    let unpacked = once(arch, "qemu", |into| {
        println!("fetching QEMU");
        unpack(arch, into).with_context(|| {
            format!(
                "QEMU 10 or later is neither installed nor can it be fetched; \
                 install {package} (of Debian's backports, on Debian 12)"
            )
        })
    })?;
    let place = Place::Unpacked(unpacked);
    Ok(Qemu { program, place })
}

fn unpack(arch: &Arch, into: &Path) -> Result<()> {
    let codename = host_packages::codename()?;
    let backports = format!("{codename}-backports");
    let apt = host_packages::packages(&arch.folder().join("apt-qemu"), &codename)?;
    let package = arch.qemu_package;
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
    apt.unpack_with_needs(&[package], release, into)
}
