//! Bad input gets one clear line, exit status 2, and nothing else.

use std::{
    os::unix::process::CommandExt as _,
    process::{Command, Output},
};

use anyhow::Result;

use crate::servers::{truncwatch, truncwatch_for_everybody};

/// The one line; fails if there are more, or if something was printed beside.
fn refused(output: &Output) -> String {
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(2), "{text}");
    assert_eq!(text.lines().count(), 1, "{text}");
    assert!(output.stdout.is_empty());
    text
}

#[test]
fn no_such_process() -> Result<()> {
    let output = Command::new(truncwatch())
        .args(["--pid", "4194305"])
        .output()?;
    assert!(refused(&output).contains("no process 4194305"));
    Ok(())
}

#[test]
fn a_thread_instead_of_its_process() -> Result<()> {
    let (sender, receiver) = std::sync::mpsc::channel();
    let (_done, wait) = std::sync::mpsc::channel::<()>();
    std::thread::spawn(move || {
        let tid = std::fs::read_link("/proc/thread-self");
        // The test is over when the other end is gone.
        if sender.send(tid).is_ok() && wait.recv().is_ok() {}
    });
    let path = receiver.recv()??;
    let tid = path
        .file_name()
        .map(|name| name.to_string_lossy().into_owned())
        .unwrap_or_default();
    let output = Command::new(truncwatch()).args(["--pid", &tid]).output()?;
    assert!(refused(&output).contains(&format!("--pid {}", std::process::id())));
    Ok(())
}

#[test]
fn not_root() -> Result<()> {
    let (_folder, copy) = truncwatch_for_everybody()?;
    let output = Command::new(&copy)
        .args(["--pid", "1"])
        .uid(65534)
        .gid(65534)
        .current_dir("/")
        .output()?;
    assert!(refused(&output).contains("sudo"));
    Ok(())
}

/// Runs truncwatch in a mount namespace of its own, after these commands.
pub(crate) fn with_mounts(commands: &str, arguments: &str) -> Result<Output> {
    let script = format!("{commands} && exec \"$0\" {arguments}");
    Ok(Command::new("unshare")
        .args(["--mount", "--propagation", "private", "sh", "-c", &script])
        .arg(truncwatch())
        .output()?)
}

#[test]
fn tracefs_that_is_not_mounted_is_mounted() -> Result<()> {
    let unmount = "umount -l /sys/kernel/tracing /sys/kernel/debug 2>/dev/null; true";
    let output = with_mounts(unmount, "--pid $$ --duration 0.1")?;
    // exec keeps the number: it watches itself, which is as good as any.
    let text = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(0), "{text}");
    Ok(())
}

#[test]
fn tracefs_that_cannot_be_mounted() -> Result<()> {
    let output = with_mounts("mount -t tmpfs -o ro none /sys/kernel", "--pid 1")?;
    assert!(refused(&output).contains("mount -t tracefs"));
    Ok(())
}

#[test]
fn kernel_types_that_cannot_be_read() -> Result<()> {
    let output = with_mounts("mount --bind /dev/null /sys/kernel/btf/vmlinux", "--pid 1")?;
    assert!(refused(&output).contains("BTF"));
    let output = with_mounts("mount -t tmpfs none /sys/kernel/btf", "--pid 1")?;
    assert!(refused(&output).contains("CONFIG_DEBUG_INFO_BTF"));
    Ok(())
}

/// From here on bpf(2) fails with `EPERM`, as in containers whose seccomp filter
/// refuses it (seccomp(2)).
fn refuse_bpf() -> std::io::Result<()> {
    let statement = |code: u32, k: u32, jf: u8| libc::sock_filter {
        code: code as u16,
        jt: 0,
        jf,
        k,
    };
    let refuse = libc::SECCOMP_RET_ERRNO | libc::EPERM as u32;
    let mut filter = [
        // The number comes first in struct seccomp_data.
        statement(libc::BPF_LD | libc::BPF_W | libc::BPF_ABS, 0, 0),
        statement(
            libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K,
            libc::SYS_bpf as u32,
            1,
        ),
        statement(libc::BPF_RET | libc::BPF_K, refuse, 0),
        statement(libc::BPF_RET | libc::BPF_K, libc::SECCOMP_RET_ALLOW, 0),
    ];
    let program = libc::sock_fprog {
        len: filter.len() as u16,
        filter: filter.as_mut_ptr(),
    };
    // SAFETY: the kernel copies the program and the filter, which outlive the call.
    let failed = unsafe {
        libc::prctl(
            libc::PR_SET_SECCOMP,
            libc::SECCOMP_MODE_FILTER,
            &raw const program,
        )
    };
    if failed != 0 {
        return Err(std::io::Error::last_os_error());
    }
    Ok(())
}

#[test]
fn bpf_that_a_seccomp_filter_refuses() -> Result<()> {
    let mut command = Command::new(truncwatch());
    command.args(["--pid", "1", "--duration", "0.1"]);
    // SAFETY: makes a system call and allocates nothing.
    unsafe { command.pre_exec(refuse_bpf) };
    assert!(refused(&command.output()?).contains("seccomp"));
    Ok(())
}

#[test]
fn a_report_that_cannot_be_written() -> Result<()> {
    let output = Command::new(truncwatch())
        .args(["--pid", "1", "-o", "/nonexistent/report"])
        .output()?;
    assert!(refused(&output).contains("/nonexistent/report"));
    let output = Command::new(truncwatch())
        .args(["--duration", "0.1", "-o", "/dev/full"])
        .output()?;
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{said}");
    assert!(
        said.contains("cannot write the report to /dev/full"),
        "{said}"
    );
    Ok(())
}

#[test]
fn commands_that_cannot_be_run() -> Result<()> {
    for (command, why) in [
        ("no-such-program", "command not found"),
        ("/nonexistent/program", "command not found"),
        ("/etc/passwd", "not an executable file"),
    ] {
        let output = Command::new(truncwatch()).args(["--", command]).output()?;
        assert!(refused(&output).contains(why));
    }
    let output = Command::new(truncwatch())
        .args(["--", "true"])
        .env("SUDO_UID", "me")
        .output()?;
    assert!(refused(&output).contains("SUDO_UID"));
    Ok(())
}

#[test]
fn control_groups_that_are_not_there() -> Result<()> {
    for (arguments, why) in [
        (["--cgroup", "/no/such/group"], "no control group"),
        (["--cgroup", "/etc"], "no control group of version 2"),
        (["--unit", "no-such-unit"], "no-such-unit.service"),
    ] {
        let output = Command::new(truncwatch()).args(arguments).output()?;
        assert!(refused(&output).contains(why), "{arguments:?}");
    }
    // Only those of version 1, or none.
    let none = "umount -l /sys/fs/cgroup/unified; umount -l /sys/fs/cgroup; true";
    let output = with_mounts(none, "--unit nginx")?;
    assert!(refused(&output).contains("version 2"));
    let script = "exec \"$0\" --cgroup /";
    let output = Command::new("unshare")
        .args(["--cgroup", "sh", "-c", script])
        .arg(truncwatch())
        .output()?;
    assert!(refused(&output).contains("--cgroupns=host"));
    Ok(())
}

#[test]
fn more_names_and_ports_than_the_kernel_side_takes() -> Result<()> {
    let output = Command::new(truncwatch())
        .args(["--comm", "nginx"].repeat(17))
        .output()?;
    assert!(refused(&output).contains("at most 16 names"));
    let output = Command::new(truncwatch())
        .args(["--port", "80"].repeat(257))
        .output()?;
    assert!(refused(&output).contains("at most 256 ports"));
    Ok(())
}

#[test]
fn bad_usage() -> Result<()> {
    for arguments in [
        &["--pid", "0"][..],
        &["--follow"],
        &["--nonsense"],
        &["trace.log"],
        &["--"],
    ] {
        let output = Command::new(truncwatch()).args(arguments).output()?;
        assert!(refused(&output).contains("--help"), "{arguments:?}");
    }
    Ok(())
}

/// Where few files may be open, the limit is raised, or named: nothing else seems missing.
#[test]
fn too_few_open_files() -> Result<()> {
    let limited = |limit: &str, arguments: &str| {
        Command::new("sh")
            .args(["-c", &format!("ulimit {limit}; exec \"$0\" {arguments}")])
            .arg(truncwatch())
            .output()
    };
    for limit in ["-n 20", "-n 60", "-n 100"] {
        let output = limited(limit, "--pid 1 --duration 0.1")?;
        let said = refused(&output);
        assert!(said.contains("RLIMIT_NOFILE"), "{limit}: {said}");
        let output = limited(limit, "doctor")?;
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        assert_eq!(output.status.code(), Some(2), "{said}");
        assert!(!said.contains("no tracepoint"), "{said}");
    }
    // It may be raised for the watch, and not for the command.
    let output = limited("-Sn 60", "-o /dev/null -- sh -c 'ulimit -n'")?;
    assert_eq!(String::from_utf8_lossy(&output.stdout), "60\n");
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    Ok(())
}

#[test]
fn a_process_that_does_not_pass_the_filter_is_said_not_to() -> Result<()> {
    let own = std::process::id().to_string();
    let said = |comm: &str| -> Result<String> {
        let output = Command::new(truncwatch())
            .args(["--pid", &own, "--comm", comm, "--duration", "0.1"])
            .output()?;
        Ok(String::from_utf8_lossy(&output.stderr).into_owned())
    };
    let never = said("no-such-name")?;
    let named = format!("process {own} is named live-");
    assert!(never.contains(&named), "{never}");
    assert!(
        never.contains("no process named no-such-name used a connection"),
        "{never}"
    );
    // By a thread's name.
    let thread = std::fs::read_to_string("/proc/thread-self/comm")?;
    let passes = said(thread.trim())?;
    assert!(!passes.contains("nothing of it is watched"), "{passes}");
    Ok(())
}
