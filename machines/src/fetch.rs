//! Kernels and a static shell from Debian's packages, unpacked below
//! `target/vm` by version. What is there already is not fetched again.

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result};
use host::apt::{Apt, Suite};

use super::{
    arch::{Arch, X86_64},
    cache::{numbers, once},
    qemu::{self, Qemu},
};

/// Where the kernels are; versions move from one to another.
const SUITES: [Suite<'_>; 8] = [
    Suite::Main("bullseye"),
    Suite::Security("bullseye-security"),
    Suite::Main("bookworm"),
    Suite::Security("bookworm-security"),
    Suite::Main("trixie"),
    Suite::Security("trixie-security"),
    Suite::Main("trixie-backports"),
    Suite::Main("sid"),
];

/// What is needed to boot.
pub(super) struct Fetched {
    pub(super) qemu: Qemu,
    pub(super) kernels: Vec<Kernel>,
    /// For the emulated machine, and for this one.
    pub(super) busybox: PathBuf,
    pub(super) packer: PathBuf,
}

/// A kernel that is ready to boot.
pub(super) struct Kernel {
    /// As Debian has it, such as `6.12.117-1`.
    pub(super) version: String,
    pub(super) image: PathBuf,
}

impl Kernel {
    /// Whether it is older than this major and minor version.
    pub(super) fn is_older_than(&self, version: [u64; 2]) -> bool {
        numbers(&self.version).get(..2) < Some(&version[..])
    }
}

/// Fetches what is not there yet.
pub(super) fn all(arch: &Arch, series: &[String]) -> Result<Fetched> {
    let apt = packages(arch)?;
    let busybox = shell(arch, &apt)?;
    Ok(Fetched {
        qemu: qemu::find(arch)?,
        kernels: kernels(arch, &apt, series)?,
        packer: if arch.foreign {
            shell(&X86_64, &packages(&X86_64)?)?
        } else {
            busybox.clone()
        },
        busybox,
    })
}

fn packages(arch: &Arch) -> Result<Apt> {
    let folder = arch.folder().join("apt");
    Apt::of(arch.debian, &folder, &SUITES).context(
        "kernels cannot be fetched: this needs Debian's apt, its keyring package \
         debian-archive-keyring, and a Debian mirror in the machine's apt sources",
    )
}

/// For each series the newest kernel for virtual machines. It is found by its
/// package's name: the meta-packages lead only to the newest of each suite.
fn kernels(arch: &Arch, apt: &Apt, series: &[String]) -> Result<Vec<Kernel>> {
    let ending = format!("-cloud-{}", arch.debian);
    let names: Vec<_> = apt
        .names("linux-image-")?
        .into_iter()
        // Meta-packages have no third number, or none at all.
        .filter(|name| {
            name.strip_suffix(&ending)
                .is_some_and(|version| numbers(version).len() > 2)
        })
        .collect();
    let mut images = apt.available(&names)?;
    // The version of a backport is the one that it is of, with something behind.
    images.sort_by_key(|image| match image.version.split_once('~') {
        Some((version, _)) => (numbers(version), false),
        None => (numbers(&image.version), true),
    });
    let newest = |series: &String| {
        images
            .iter()
            .rfind(|image| series == "newest" || image.version.starts_with(&format!("{series}.")))
            .with_context(|| {
                format!("Debian has no kernel {series} for virtual machines (any more)")
            })
    };
    series
        .iter()
        .map(|series| {
            let image = newest(series)?;
            let version = &image.version;
            let unpacked = once(arch, &format!("linux-{version}"), |into| {
                println!("fetching Linux {version}");
                apt.unpack(&image.package, version, into)?;
                // Since 7.2 the image's package only leads to that of the binary.
                let binary = image.package.replace("linux-image-", "linux-binary-");
                if find(into, "vmlinuz").is_none() {
                    apt.unpack(&binary, version, into)?;
                }
                Ok(())
            })?;
            Ok(Kernel {
                version: version.clone(),
                image: find(&unpacked, "vmlinuz")
                    .with_context(|| format!("no kernel in {}", image.package))?,
            })
        })
        .collect()
}

fn shell(arch: &Arch, apt: &Apt) -> Result<PathBuf> {
    let available = apt.available(&["busybox-static".to_owned()])?;
    let newest = available.first().context("Debian has no busybox-static")?;
    let version = &newest.version;
    let unpacked = once(arch, &format!("busybox-{version}"), |into| {
        apt.unpack(&newest.package, version, into)
    })?;
    find(&unpacked, "busybox").context("no program in busybox-static")
}

/// The first file whose name begins so.
fn find(folder: &Path, start: &str) -> Option<PathBuf> {
    let mut entries: Vec<_> = fs::read_dir(folder).ok()?.filter_map(Result::ok).collect();
    entries.sort_by_key(fs::DirEntry::path);
    entries.iter().find_map(|entry| {
        let path = entry.path();
        let kind = entry.file_type().ok()?;
        if kind.is_dir() {
            return find(&path, start);
        }
        let name = entry.file_name();
        (kind.is_file() && name.to_string_lossy().starts_with(start)).then_some(path)
    })
}
