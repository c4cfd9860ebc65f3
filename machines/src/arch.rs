//! The two kinds of machine that are emulated: what differs, one value each.

use std::path::PathBuf;

use host::root;

/// One kind.
pub(super) struct Arch {
    /// Debian's name of it.
    pub(super) debian: &'static str,
    /// What binaries are built for.
    pub(super) target: &'static str,
    /// Whether this machine is another kind: what is built does not run here.
    pub(super) foreign: bool,
    /// QEMU's program, and Debian's package that has it.
    pub(super) qemu: &'static str,
    pub(super) qemu_package: &'static str,
    /// What QEMU is to emulate.
    pub(super) machine: &'static str,
    /// For the kernel, its console; for `init.sh`, seconds until a test is ended.
    pub(super) command_line: &'static str,
    /// Where all that is for it is kept, below `target`.
    folder: &'static str,
    /// The kernels that are booted if none are named.
    pub(super) series: &'static [&'static str],
    /// The oldest kernel that truncwatch does not refuse.
    pub(super) floor: [u64; 2],
}

/// The kernels are Debian's of today: of `oldstable`'s security support, of each
/// release since, and of sid. None between 6.1 and 6.12 can be had from Debian
/// any more.
pub(super) const X86_64: Arch = Arch {
    debian: "amd64",
    target: "x86_64-unknown-linux-gnu",
    foreign: false,
    qemu: "qemu-system-x86_64",
    qemu_package: "qemu-system-x86",
    // `-M microvm` hangs now and then.
    machine: "-M q35 -cpu max",
    command_line: "console=ttyS0 LIMIT=600",
    folder: "vm",
    series: &["5.10", "6.1", "6.12", "6.18", "newest"],
    floor: [5, 15],
};

/// Before 6.5 functions are to be traced, which arm64 refuses on Debian's 6.1.
pub(super) const ARM64: Arch = Arch {
    debian: "arm64",
    target: "aarch64-unknown-linux-gnu",
    foreign: true,
    qemu: "qemu-system-aarch64",
    qemu_package: "qemu-system-arm",
    machine: "-M virt -cpu cortex-a57",
    command_line: "console=ttyAMA0 LIMIT=600",
    folder: "vm/arm64",
    series: &["6.1", "6.12", "6.18", "newest"],
    floor: [6, 5],
};

impl Arch {
    /// Where all of this is kept.
    pub(super) fn folder(&self) -> PathBuf {
        root::target().join(self.folder)
    }
}
