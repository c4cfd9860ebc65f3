//! What a kernel lacks is named, and what can be seen without it is seen.
//! Tracepoints are looked for under a name that no kernel has (`--hide`), fields
//! are taken for missing.

use std::{
    fs,
    io::{Error, Write as _},
    os::unix::{net::UnixStream, process::CommandExt as _},
    process::Command,
};

use anyhow::{Context as _, Result};
use testbed::{
    BIG_BODY, TempDir,
    client::{Trigger, trigger},
    server::HyperVersion,
    watcher::Report,
};
use truncwatch::capture::{
    Record,
    live::{Live, Options, btf::Btf},
};

use crate::servers::{alone, hyper, truncwatch, watch};

/// Its number (include/uapi/linux/capability.h).
const CAP_SYS_ADMIN: libc::c_ulong = 21;

/// Watches one truncated message on a kernel without these.
fn without(names: &[&str]) -> Result<Report> {
    let server = hyper(HyperVersion::V1_8_1)?;
    let options: Vec<_> = names.iter().flat_map(|name| ["--hide", *name]).collect();
    let watcher = watch(server.pid(), &options)?;
    let outcome = trigger(server.addr(), Trigger::Ignore)?;
    let report = watcher.stop()?;
    assert_eq!(
        report.sizes(),
        [(BIG_BODY, outcome.received)],
        "{outcome:?}: {}",
        report.summary
    );
    assert_eq!(report.status.code(), Some(1));
    Ok(report)
}

/// What the summary says is not seen.
fn not_seen(report: &Report) -> Vec<&str> {
    let named = report.summary.get("not_seen");
    let named = named.and_then(serde_json::Value::as_array);
    named
        .into_iter()
        .flatten()
        .filter_map(serde_json::Value::as_str)
        .collect()
}

#[test]
fn hooks_that_can_be_done_without_are_named() -> Result<()> {
    let hooks = [
        "sched_prepare_exec",
        "io_uring_submit_req",
        "io_uring_queue_async_work",
    ];
    // What stands in for some of them on older kernels.
    let others = ["do_close_on_exec", "io_uring_submit_sqe"];
    let report = without(&[&hooks[..], &others].concat())?;
    let named = not_seen(&report);
    for hook in hooks {
        assert!(named.iter().any(|text| text.contains(hook)), "{named:?}");
    }
    Ok(())
}

#[test]
fn fields_that_can_be_done_without_are_named() -> Result<()> {
    let fields = [
        ("tcp_sock.copied_seq", "delivery-at-risk"),
        ("sock.sk_peer_pid", "the peer's process"),
        ("unix_address.name", "the path"),
        ("sock_common.skc_v6_daddr", "IPv6"),
        ("io_kiocb.opcode", "io_uring"),
    ];
    let report = without(&fields.map(|(field, _)| field))?;
    let named = not_seen(&report);
    for (field, feature) in fields {
        let fits = |text: &&str| text.contains(field) && text.contains(feature);
        assert!(named.iter().any(fits), "{field}: {named:?}");
    }
    let finding = report.findings.first();
    for unknown in ["/socket/peer_pid", "/socket/local"] {
        let value = finding.and_then(|finding| finding.pointer(unknown));
        assert_eq!(value, Some(&serde_json::Value::Null), "{unknown}");
    }
    Ok(())
}

/// The function that gives an address a type is found where the kernel has it.
#[test]
fn the_kernels_cast_is_found() -> Result<()> {
    let symbols = fs::read_to_string("/proc/kallsyms")?;
    let is_there = symbols
        .lines()
        .any(|line| line.split(' ').nth(2) == Some("bpf_rdonly_cast"));
    let found = Btf::of_running_kernel()?.function("bpf_rdonly_cast");
    assert_eq!(found.is_some(), is_there);
    Ok(())
}

/// The registers of a call are asked for, as on kernels before 6.2, and hold the same.
#[test]
fn registers_can_be_asked_for() -> Result<()> {
    for hidden in [&[][..], &["task_struct.stack"]] {
        let report = without(hidden)?;
        let named = not_seen(&report);
        assert!(named.is_empty(), "{hidden:?}: {named:?}");
        let finding = report.findings.first().context("no finding")?;
        let calls = finding
            .pointer("/timeline")
            .and_then(serde_json::Value::as_array)
            .context("no timeline")?;
        let number = |value: &serde_json::Value, at| value.pointer(at)?.as_u64();
        let head = number(finding, "/message/head_bytes").context("no head")?;
        let whole = calls.iter().any(|call| {
            call.get("call").is_some_and(|name| name == "writev")
                && number(call, "/offered") == Some(head + BIG_BODY)
        });
        assert!(whole, "{hidden:?}: {calls:?}");
    }
    Ok(())
}

/// Is refused without these, in one line that says so.
pub(crate) fn refused(hidden: &[&str], said: &str) -> Result<()> {
    let options = hidden.iter().flat_map(|name| ["--hide", *name]);
    let output = Command::new(truncwatch())
        .args(options)
        .args(["--duration", "1"])
        .output()?;
    let text = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{hidden:?}: {text}");
    assert_eq!(text.lines().count(), 1, "{text}");
    assert!(text.contains(said), "{text}");
    assert!(output.stdout.is_empty());
    Ok(())
}

#[test]
fn hooks_and_fields_that_counting_needs_are_asked_for() -> Result<()> {
    for needed in [
        "sys_enter_shutdown",
        "sys_exit_accept4",
        "sched_process_exit",
        "sock_common.skc_cookie.counter",
    ] {
        refused(&[needed], needed)?;
    }
    refused(&["sock_send_length", "inet_sendmsg"], "sock_send_length")
}

/// What costs are compared with: programs that do nothing, in place of the embedded ones.
/// There are none for the hooks of older kernels.
#[test]
fn programs_that_do_nothing_take_the_places_of_all() -> Result<()> {
    let folder = TempDir::new()?;
    let object = folder.path().join("empty.bpf.o");
    fs::write(&object, include_bytes!("../../../bench/bpf/empty.bpf.o"))?;
    let _alone = alone();
    for hidden in [&[][..], &["--hide", "steady-tracepoints"]] {
        let output = Command::new(truncwatch())
            .args(["--pid", "1", "--duration", "0.1", "--bpf-object"])
            .arg(&object)
            .args(hidden)
            .output()?;
        let text = String::from_utf8_lossy(&output.stderr);
        let of_older = ["close_on_exec", "inet_recvmsg", "uring_submit_sqe"];
        let older = of_older
            .iter()
            .any(|program| text.contains(&format!("object has no {program}:")));
        let status = if older { 2 } else { 0 };
        assert_eq!(output.status.code(), Some(status), "{text}");
    }
    Ok(())
}

/// The programs that are loaded with these options, as `--verbose` lists them.
fn loaded(options: &[&str]) -> Result<String> {
    let output = Command::new(truncwatch())
        .args(["--verbose", "--pid", "1", "--duration", "0.1"])
        .args(options)
        .output()?;
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{text}");
    Ok(text)
}

/// Whether this kernel may preempt tracepoints.
fn preempts() -> Result<bool> {
    let release = fs::read_to_string("/proc/sys/kernel/osrelease")?;
    let major: u32 = release.split('.').next().unwrap_or_default().parse()?;
    Ok(major >= 7)
}

/// Whether this kernel lets functions be traced.
pub(crate) fn traces_functions() -> bool {
    let traceable = fs::read_to_string("/sys/kernel/tracing/available_filter_functions");
    traceable.is_ok_and(|functions| functions.lines().any(|name| name == "inet_sendmsg"))
}

/// Where typed tracepoints may be preempted, perf's form of them is what counts.
#[test]
fn perf_s_tracepoints_are_used_where_others_may_be_preempted() -> Result<()> {
    let attached = |options: &[&str]| -> Result<(bool, bool)> {
        let text = loaded(options)?;
        let functions = text.contains("counting at the ends of functions");
        let perf = [
            "send_cookie",
            "send_cookie_again",
            "recv_cookie",
            "recv_cookie_again",
            "send_event",
            "recv_event",
        ];
        let perf = perf.map(|program| text.contains(&format!("\"{program}\":")));
        assert!(perf == [true; 6] || perf == [false; 6], "{text}");
        Ok((functions, perf[0]))
    };
    let _alone = alone();
    let (functions, perf) = attached(&["--hide", "steady-tracepoints"])?;
    assert!(functions != perf);
    assert_eq!(attached(&[])?, (functions, preempts()?));
    Ok(())
}

/// And in place of system calls' tracepoints probes, where the kernel has them.
#[test]
fn functions_are_probed_where_tracepoints_of_calls_may_be_preempted() -> Result<()> {
    const PROBES: [(&str, &[&str]); 8] = [
        ("shutdown_probe", &["enter_shutdown"]),
        ("close_probe", &["enter_close"]),
        ("close_range_probe", &["enter_close_range"]),
        ("dup3_probe", &["enter_dup3"]),
        ("connect_probe", &["enter_connect"]),
        ("sendmmsg_probe", &["exit_sendmmsg"]),
        (
            "install_probe",
            &["exit_accept", "exit_accept4", "exit_socketpair"],
        ),
        ("fork_probe", &["fork"]),
    ];
    let _alone = alone();
    let kernel_has_them = fs::exists("/sys/bus/event_source/devices/kprobe")?;
    let lists = |text: &str, name: &str| text.contains(&format!("\"{name}\":"));
    let probed = |options: &[&str], wanted: &dyn Fn(&str) -> bool| -> Result<()> {
        let text = loaded(options)?;
        for (probe, tracepoints) in PROBES {
            let wanted = wanted(probe);
            assert_eq!(lists(&text, probe), wanted, "{probe}: {text}");
            for tracepoint in tracepoints {
                assert_eq!(lists(&text, tracepoint), !wanted, "{tracepoint}: {text}");
            }
        }
        // Linux 7.0 and later tell how often they passed by each.
        let told = text.lines().find(|line| line.contains("missed calls"));
        for (probe, _) in PROBES.iter().filter(|_| preempts().unwrap_or_default()) {
            let counted = told.is_some_and(|line| line.contains(&format!("\"{probe}\"")));
            assert_eq!(counted, wanted(probe), "{probe}: {text}");
        }
        let dup2 = kernel_has_them && wanted("dup2_probe") && cfg!(target_arch = "x86_64");
        assert_eq!(lists(&text, "dup2_probe"), dup2, "{text}");
        Ok(())
    };
    probed(&[], &|_| kernel_has_them && preempts().unwrap_or_default())?;
    let steady = ["--hide", "steady-tracepoints"];
    probed(&steady, &|_| kernel_has_them)?;
    // One that cannot be attached leaves its tracepoints, and only those.
    let without = [&steady[..], &["--hide", "fd_install"]].concat();
    probed(&without, &|probe| {
        kernel_has_them && probe != "install_probe"
    })
}

/// Without `CAP_SYS_ADMIN` perf's events are refused by Debian's kernels, where the level
/// is 3 at first (others know no such level): calls are seen all the same.
#[test]
fn functions_are_traced_where_perf_s_events_are_refused() -> Result<()> {
    const CALLS: [(&str, &str); 9] = [
        ("shutdown_call", "enter_shutdown"),
        ("close_call", "enter_close"),
        ("close_range_call", "enter_close_range"),
        ("dup2_call", "enter_dup2"),
        ("dup3_call", "enter_dup3"),
        ("connect_call", "enter_connect"),
        ("sendmmsg_call", "exit_sendmmsg"),
        ("sendfile_call", "exit_sendfile"),
        ("install_call", "exit_accept4"),
    ];
    let level = fs::read_to_string("/proc/sys/kernel/perf_event_paranoid")?;
    let refuses = level.trim().parse::<i32>()? > 2;
    let _alone = alone();
    let mut command = Command::new(truncwatch());
    command.args(["--verbose", "--pid", "1", "--duration", "0.1"]);
    // SAFETY: one system call, which takes no memory.
    unsafe {
        command.pre_exec(|| {
            let result = libc::prctl(libc::PR_CAPBSET_DROP, CAP_SYS_ADMIN);
            (result == 0).then_some(()).ok_or_else(Error::last_os_error)
        });
    }
    let output = command.output()?;
    let text = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{text}");
    for (call, other) in CALLS {
        let listed = |name: &str| text.contains(&format!("\"{name}\":"));
        assert_eq!(listed(call), refuses, "{call}: {text}");
        assert!(!refuses || !listed(other), "{other}: {text}");
    }
    Ok(())
}

/// Without tracepoints that count, the functions are traced that they are behind,
/// if this kernel lets them be.
#[test]
fn functions_are_traced_where_tracepoints_are_missing() -> Result<()> {
    let hidden = ["sock_send_length"];
    if !traces_functions() {
        return refused(&hidden, "refuses to trace the function");
    }
    let report = without(&hidden)?;
    let without_any = without(&[])?;
    assert_eq!(not_seen(&report), not_seen(&without_any));
    let output = Command::new(truncwatch())
        .args(["--hide", "sock_send_length", "--verbose"])
        .args(["--pid", "1", "--duration", "0.1"])
        .output()?;
    let text = String::from_utf8_lossy(&output.stderr);
    assert!(text.contains("counting at the ends of functions"), "{text}");
    // Whatever the kernel has: what counts nothing is not left out in silence.
    let report = without(&["sock_send_length", "inet6_sendmsg"])?;
    let named = not_seen(&report);
    let unseen = |text: &&str| text.contains("inet6_sendmsg");
    assert!(named.iter().any(unseen), "{named:?}");
    Ok(())
}

/// Whether the connection was seen from its first byte, on which it sends a response
/// with this reason phrase.
fn was_seen_from_the_first(live: &mut Live, mut socket: UnixStream, reason: &str) -> Result<bool> {
    let response = format!("HTTP/1.1 200 {reason}\r\nContent-Length: 0\r\n\r\n");
    socket.write_all(response.as_bytes())?;
    let mut seen = None;
    live.drain(u64::MAX, |record| match record {
        Ok(Record::Sample(sample, bytes)) if bytes.start == response.as_bytes() => {
            seen = Some(sample.from_start == 1);
        }
        _ => {}
    });
    seen.context("no sample of the response")
}

#[test]
fn where_a_call_was_missed_unused_sockets_are_forgotten() -> Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let _within = runtime.enter();
    let mut live = Live::start(&Options::default())?;
    live.watch(std::process::id());
    let (first, _peer) = UnixStream::pair()?;
    assert!(was_seen_from_the_first(&mut live, first, "before")?);
    let (second, _peer) = UnixStream::pair()?;
    live.forget_births()?;
    assert!(!was_seen_from_the_first(&mut live, second, "forgotten")?);
    let (third, _peer) = UnixStream::pair()?;
    assert!(was_seen_from_the_first(&mut live, third, "after")?);
    Ok(())
}
