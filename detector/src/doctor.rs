//! `truncwatch doctor`: says what works on this kernel with these privileges,
//! and proves it with a message that it cuts short itself.

use std::{
    io::{self, Read as _, Write as _},
    net::Shutdown,
    os::unix::net::UnixStream,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, ensure};

use crate::{
    capture::live::{self, Filter, Live, cgroup::Hierarchy, probe, process},
    check::{Check, State},
    judge::{Cause, Judge},
    report::{
        ColorChoice, columns,
        doctor::{self, Diagnosis},
    },
    stack::{Answer, Copied, Copies, Frame, Resolver, Room, Stack},
};

/// How long the finding may take: a shutdown waits 150 ms to be judged.
const PATIENCE: Duration = Duration::from_secs(5);

/// How to print what was found.
#[derive(Clone, Copy, Debug, Default)]
pub struct Options {
    /// One JSON object instead of a table.
    pub json: bool,
    /// When to use colours.
    pub color: ColorChoice,
}

/// Tries everything and prints what came of it; the exit status.
///
/// # Errors
///
/// If it cannot be printed.
pub fn run(options: &Options) -> Result<u8> {
    let mut checks = probe::probe();
    if verdict(&checks) != State::Missing {
        checks.extend(proof());
    }
    // Filters are code that the kernel has not seen yet.
    if verdict(&checks) != State::Missing {
        checks.push(proof_with_filters());
    }
    let system = rustix::system::uname();
    let kernel = format!(
        "{} {} {}",
        system.sysname().to_string_lossy(),
        system.release().to_string_lossy(),
        system.machine().to_string_lossy()
    );
    let verdict = verdict(&checks);
    let diagnosis = Diagnosis {
        kernel: &kernel,
        verdict,
        checks: &checks,
    };
    let text = if options.json {
        doctor::json(&diagnosis)?
    } else {
        doctor::table(
            &diagnosis,
            options.color.wanted(),
            columns(io::stdout()).unwrap_or(doctor::COLUMNS),
        )
    };
    let mut out = io::stdout().lock();
    match writeln!(out, "{text}").and_then(|()| out.flush()) {
        // Nobody reads it: the status tells all the same.
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => {}
        written => written.context("cannot write the report")?,
    }
    Ok(match verdict {
        State::Works => 0,
        State::Missing => 2,
        State::Degraded => 3,
    })
}

/// The worst of all.
fn verdict(checks: &[Check]) -> State {
    let states = checks.iter().map(|check| check.state);
    states.max().unwrap_or(State::Works)
}

fn proof() -> Vec<Check> {
    const FEATURE: &str = "a message cut short";
    match find_a_message_cut_short(Filter::default()) {
        Ok(stack) => vec![
            Check::works(FEATURE, "was sent by truncwatch to itself, and found"),
            unwound(&stack),
        ],
        Err(error) => vec![Check::fails(FEATURE, State::Missing, &one_line(&error))],
    }
}

/// What the stack of truncwatch's own shutdown shows: it has to lead here.
fn unwound(stack: &Stack) -> Check {
    const FEATURE: &str = "stacks";
    let here = |frame: &Frame| {
        let symbol = frame.symbol.as_deref().unwrap_or_default();
        symbol.contains("find_a_message_cut_short")
    };
    match &stack.incomplete {
        _ if stack.frames.iter().any(here) => {
            Check::works(FEATURE, "who ended that message was found too")
        }
        // A program without symbols has its addresses.
        None => Check::works(FEATURE, "unwound to their end, without names"),
        Some(why) => Check::fails(
            FEATURE,
            State::Degraded,
            &format!("findings do not say who called: {why}"),
        ),
    }
}

fn proof_with_filters() -> Check {
    const FEATURE: &str = "filters";
    let own = process::comm(std::process::id()).unwrap_or_default();
    let hierarchy = Hierarchy::find().ok();
    let filter = Filter {
        comms: vec![own],
        // The root: every process is in it.
        cgroups: hierarchy
            .and_then(|hierarchy| hierarchy.group(hierarchy.mount()).ok())
            .into_iter()
            .collect(),
        ports: Vec::new(),
    };
    match find_a_message_cut_short(filter) {
        Ok(_) => Check::works(FEATURE, "the same found by name and control group"),
        Err(error) => Check::fails(FEATURE, State::Degraded, &one_line(&error)),
    }
}

fn resolve(copied: Copied) -> Stack {
    let resolver = match Resolver::start() {
        Ok(resolver) => resolver,
        Err(error) => return Stack::none(&format!("no thread for it: {error}")),
    };
    resolver.give(0, copied, Room::AMPLE);
    match resolver.wait(PATIENCE) {
        Answer::Stack(_, stack) => stack,
        Answer::Failed => Stack::none("it could not be unwound"),
    }
}

fn one_line(error: &anyhow::Error) -> String {
    let text = format!("{error:#}");
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// Watches this process while it cuts a message short; the stack of that.
#[inline(never)]
fn find_a_message_cut_short(filter: Filter) -> Result<Stack> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("cannot start the event loop")?;
    let _within = runtime.enter();
    let mut live = Live::start(&live::Options {
        filter,
        ..live::Options::default()
    })?;
    live.watch(std::process::id());
    let (mut server, mut client) = UnixStream::pair().context("cannot make a socket pair")?;
    client.write_all(b"GET /doctor HTTP/1.1\r\nHost: doctor\r\n\r\n")?;
    let mut request = [0; 256];
    ensure!(server.read(&mut request)? > 0, "the socket pair is closed");
    server.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nshort")?;
    server.shutdown(Shutdown::Write)?;
    let until = Instant::now() + PATIENCE;
    let mut judge = Judge::new();
    let mut copies = Copies::new(Room::AMPLE);
    while Instant::now() < until {
        live.drain(u64::MAX, |record| {
            if let Ok(record) = record {
                judge.take(record);
            }
        });
        let waiting: Vec<_> = judge.waiting().map(|(cookie, _)| cookie).collect();
        for cookie in waiting {
            judge.settle(cookie, live.connection(cookie).as_ref());
        }
        let found = judge.take_findings();
        if let Some(finding) = found.first() {
            ensure!(
                finding.cause == Cause::PrematureShutdown && finding.missing() == Some(95),
                "it was found to be {} with {:?} bytes missing: please report this",
                finding.cause.name(),
                finding.missing()
            );
            live.drain_stacks(|piece| copies.take(piece, piece.time_ns));
            let at = finding.ending.time_ns;
            let copied = copies.remove(finding.tid, at, at);
            return Ok(copied.map_or_else(|| Stack::none("it was not copied"), resolve));
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    anyhow::bail!(
        "it was sent, and not found (kernel side: {:?}): please report this",
        live.stats()
    )
}
