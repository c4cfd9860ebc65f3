//! A C compiler that links for another kind of machine: installed, or from
//! Debian's packages without installing them.

use anyhow::{Context as _, Result, bail};
use host::root;
use xshell::{PushEnv, Shell, cmd};

use super::{arch::Arch, cache::once, host_packages};

/// It, and the static C library, which is only recommended with it.
const PACKAGES: [&str; 2] = ["gcc-aarch64-linux-gnu", "libc6-dev-arm64-cross"];

const LINKER: &str = "aarch64-linux-gnu-gcc";

/// What a shell has set as long as this is kept, so that cargo builds for the
/// target: the linker, and that the stable compiler may build the standard
/// library from source.
pub(super) struct Environment<'a>(
    #[expect(dead_code, reason = "until it is dropped")] Vec<PushEnv<'a>>,
);

/// Finds the linker and the library's source.
pub(super) fn environment<'a>(arch: &Arch, shell: &'a Shell) -> Result<Environment<'a>> {
    let sysroot = cmd!(shell, "rustc --print sysroot").quiet().read()?;
    let source = format!("{sysroot}/lib/rustlib/src/rust/library/Cargo.lock");
    if !shell.path_exists(source) {
        bail!("the standard library's source is missing: run cargo xtask setup");
    }
    let mut set = vec![
        shell.push_env("RUSTC_BOOTSTRAP", "1"),
        shell.push_env("CARGO_TARGET_AARCH64_UNKNOWN_LINUX_GNU_LINKER", LINKER),
    ];
    if !root::has(LINKER) {
        let unpacked = once(arch, "gcc", |into| {
            println!("fetching a cross compiler");
            let folder = arch.folder().join("apt-gcc");
            host_packages::packages(&folder, &host_packages::codename()?)?
                .unpack_with_needs(&PACKAGES, None, into)
                .with_context(|| format!("install {}", PACKAGES.join(" and ")))
        })?;
        let programs = unpacked.join("usr/bin");
        let path = format!("{}:{}", shell.var("PATH")?, programs.display());
        // Its programs are named after what they link for: they hide no others.
        set.push(shell.push_env("PATH", path));
        set.push(shell.push_env("LD_LIBRARY_PATH", host_packages::libraries(&unpacked)));
    }
    Ok(Environment(set))
}
