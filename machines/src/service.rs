//! The service as it is shipped: Debian's systemd is the first process of an emulated
//! machine, with the package unpacked and nothing configured, and the script
//! `service.sh` does to the service what happens to one.

use std::{
    fs,
    os::unix::fs::{PermissionsExt as _, symlink},
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result, bail};
use host::apt::{self, Apt, Suite};
use testbed::server::HyperVersion;
use xshell::{Shell, cmd};

use super::{
    arch::X86_64,
    boot, build,
    cache::once,
    fetch::{self, Fetched},
    image,
};

/// The release whose systemd it is, and the kernel that comes with it.
const RELEASE: &str = "trixie";
const KERNEL: &str = "6.12";

/// The kernel starts it; it goes over to a file system that can be mounted on, as
/// services with one of their own need it.
const INIT: &str = r#"#!/usr/bin/busybox sh
busybox mount -t tmpfs -o mode=755 root /new
for entry in /*; do
    [ "$entry" = /new ] || busybox cp -a "$entry" /new/
done
exec busybox switch_root /new /usr/lib/systemd/systemd
"#;

/// What the script is to systemd.
const UNIT: &str = "[Unit]
Description=What happens to a service
After=basic.target
[Service]
ExecStart=/usr/bin/busybox sh /vm/service.sh
StandardOutput=file:/dev/ttyS0
StandardError=inherit
";

/// Files that Debian's scripts would write.
const FILES: [(&str, &str); 5] = [
    (
        "etc/passwd",
        "root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534::/:/bin/false\n",
    ),
    (
        "etc/group",
        "root:x:0:\nadm:x:4:\ntty:x:5:\nnogroup:x:65534:\n",
    ),
    ("etc/machine-id", "5d3a1c0e7b6f4f0e9a8d2c4b6e8f0a1c\n"),
    ("etc/hostname", "trial\n"),
    ("etc/systemd/system/trial.service", UNIT),
];

const SCRIPT: &str = include_str!("service.sh");

/// Not asked for by anything, and large.
const UNNEEDED: [&str; 5] = [
    "usr/share/doc",
    "usr/share/man",
    "usr/share/locale",
    "usr/share/i18n",
    "usr/lib/x86_64-linux-gnu/gconv",
];

const COMMAND_LINE: &str = "systemd.unit=multi-user.target systemd.show_status=no";

/// Boots each of these kernels; fails if a step does.
pub(super) fn run(kernels: &[String], package: impl Fn(&Path) -> Result<PathBuf>) -> Result<()> {
    let arch = &X86_64;
    let kernels = if kernels.is_empty() {
        &[KERNEL.to_owned()]
    } else {
        kernels
    };
    let fetched = fetch::all(arch, kernels)?;
    let image = pack(&fetched, package)?;
    let mut failed = Vec::new();
    for kernel in &fetched.kernels {
        boot::forget(arch, kernel)?;
        let boot = boot::run(arch, &fetched.qemu, kernel, &image, COMMAND_LINE)?;
        if !boot.complete {
            failed.push(format!("{}: it did not come to its end", kernel.version));
        }
        let (took, steps) = (boot.tests.len(), SCRIPT.matches("\nstep ").count());
        if took != steps {
            failed.push(format!("{}: {took} of {steps} steps", kernel.version));
        }
        let warnings = boot.warnings.iter();
        failed.extend(warnings.map(|warning| format!("{}: {warning}", kernel.version)));
        let steps = boot.tests.iter().filter(|step| step.status != 0);
        failed.extend(steps.map(|step| format!("{}: {}", kernel.version, step.name)));
    }
    if !failed.is_empty() {
        bail!("{}", failed.join("; "));
    }
    Ok(())
}

/// Packs the file system; its path.
fn pack(fetched: &Fetched, package: impl Fn(&Path) -> Result<PathBuf>) -> Result<PathBuf> {
    let arch = &X86_64;
    let systemd = once(arch, &format!("systemd-{RELEASE}"), |into| {
        println!("fetching systemd of {RELEASE}");
        let security = format!("{RELEASE}-security");
        let suites = [Suite::Main(RELEASE), Suite::Security(&security)];
        let apt = Apt::of_nothing(arch.debian, &arch.folder().join("apt-systemd"), &suites)?;
        // First of all: what the others' folders lead to.
        apt.unpack_with_needs(&["base-files"], None, into)?;
        apt.unpack_with_needs(&["systemd", "dash"], None, into)
    })?;
    println!("building the package and a server");
    let package = package(&arch.folder())?;
    let built = build::all(arch, false)?;
    let image = arch.folder().join("image-systemd");
    apt::remove(&image)?;
    let shell = Shell::new()?;
    cmd!(shell, "cp -a {systemd} {image}").quiet().run()?;
    for folder in UNNEEDED {
        apt::remove(&image.join(folder))?;
    }
    cmd!(shell, "dpkg -x {package} {image}").quiet().run()?;
    for folder in ["new", "proc", "sys", "dev", "run", "tmp", "vm", "root"] {
        fs::create_dir_all(image.join(folder))?;
    }
    for (name, text) in FILES {
        let path = image.join(name);
        fs::create_dir_all(path.parent().context("no folder")?)?;
        fs::write(&path, text).with_context(|| format!("cannot write {}", path.display()))?;
    }
    let wants = image.join("etc/systemd/system/multi-user.target.wants");
    fs::create_dir_all(&wants)?;
    symlink("../trial.service", wants.join("trial.service"))?;
    fs::write(image.join("vm/service.sh"), SCRIPT)?;
    let (_, server) = built
        .servers
        .iter()
        .find(|(version, _)| *version == HyperVersion::V1_12_0)
        .context("no server was built")?;
    program(server, &image.join("vm/hyper-server"))?;
    program(&fetched.busybox, &image.join("usr/bin/busybox"))?;
    fs::write(image.join("init"), INIT)?;
    fs::set_permissions(image.join("init"), fs::Permissions::from_mode(0o755))?;
    let packed = arch.folder().join("image-systemd.cpio.gz");
    image::archive(&fetched.packer, &image, &packed)?;
    Ok(packed)
}

fn program(from: &Path, to: &Path) -> Result<()> {
    fs::copy(from, to).with_context(|| format!("cannot copy {}", from.display()))?;
    Ok(())
}
