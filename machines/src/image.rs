//! The file system that a machine boots into: a static busybox, the script
//! `init.sh`, and the tests, with what they start where they look for it.

use std::{
    fs,
    os::unix::fs::{PermissionsExt as _, symlink},
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result};
use host::{apt, root};
use xshell::{Shell, cmd};

use super::{arch::Arch, build::Built, fetch::Fetched};

/// What runs first in the machine.
const INIT: &str = include_str!("init.sh");

/// Packs it; its path.
pub(super) fn pack(
    arch: &Arch,
    fetched: &Fetched,
    built: &Built,
    tests: &[String],
) -> Result<PathBuf> {
    let image = arch.folder().join("image");
    apt::remove(&image)?;
    let root = Root(image.clone());
    for mount in ["proc", "sys", "dev", "tmp"] {
        fs::create_dir_all(image.join(mount))?;
    }
    root.file(&fetched.busybox, Path::new("/bin/busybox"))?;
    // The tests have this path compiled in.
    root.file(&built.truncwatch, &built.truncwatch)?;
    fs::create_dir_all(image.join("vm"))?;
    symlink(&built.truncwatch, image.join("vm/truncwatch"))?;
    if let Some(live) = &built.live {
        root.file(live, Path::new("/vm/live"))?;
    }
    for (name, program) in &built.programs {
        root.file(program, &Path::new("/vm/target/debug").join(name))?;
    }
    for (version, server) in &built.servers {
        let package = format!("hyper-{}", version.number());
        // Where cargo would run.
        fs::create_dir_all(root.inside(&root::folder().join("testbed").join(&package)))?;
        let release = format!("target/testbed/{package}/release/hyper-server");
        root.file(server, &root::folder().join(release))?;
    }
    fs::write(image.join("vm/tests"), tests.join("\n") + "\n")?;
    let init = image.join("init");
    fs::write(&init, INIT)?;
    fs::set_permissions(&init, fs::Permissions::from_mode(0o755))?;
    let packed = arch.folder().join("image.cpio.gz");
    archive(&fetched.packer, &image, &packed)?;
    Ok(packed)
}

/// The folder that is to become the file system.
struct Root(PathBuf);

impl Root {
    /// Where this absolute path is in it.
    fn inside(&self, path: &Path) -> PathBuf {
        self.0.join(path.strip_prefix("/").unwrap_or(path))
    }

    fn file(&self, from: &Path, to: &Path) -> Result<()> {
        let to = self.inside(to);
        if let Some(parent) = to.parent() {
            fs::create_dir_all(parent)?;
        }
        fs::copy(from, &to).with_context(|| format!("cannot copy {}", from.display()))?;
        Ok(())
    }
}

/// As the kernel wants it (Documentation/filesystems/ramfs-rootfs-initramfs);
/// busybox can write that, so nothing else has to be there.
pub(super) fn archive(busybox: &Path, image: &Path, packed: &Path) -> Result<()> {
    let shell = Shell::new()?;
    shell.change_dir(image);
    let script = "find . | \"$0\" cpio -o -H newc -R 0:0 2>/dev/null | gzip -1 > \"$1\"";
    cmd!(shell, "sh -c {script} {busybox} {packed}")
        .quiet()
        .run()
        .context("the file system could not be packed")
}
