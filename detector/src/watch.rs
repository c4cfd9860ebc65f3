//! A live watch: joins capture, judge and report.

mod record;
mod stacks;

use std::{
    collections::{HashMap, HashSet, hash_map::Entry},
    fs::{self, File},
    io::{self, Write},
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, ensure};
use jiff::Timestamp;
use nix::sys::signal::Signal;
use rustix::time::{ClockId, clock_gettime};
use tokio::time::MissedTickBehavior;

pub use self::record::record;
use self::stacks::{Stacks, Waiting};
use crate::{
    capture::live::{
        self, Filter, Live, MOST_COMMS,
        cgroup::{Cgroup, Hierarchy},
        process, sockets,
    },
    cli::{ColorChoice, Watching},
    command::{Prepared, Running},
    judge::{Cause, Finding},
    recording::{Feed, Frame, Told},
    report::{Counts, Format, Printer, Reported, Status, Summary, When, columns, note},
    signals::{self, Received, Signals},
    stack::Stack,
};

/// How often the records are read where the kernel does not ask for it.
const TICK: Duration = Duration::from_millis(50);

/// How often connections that make no progress are looked for, nanoseconds.
const STALLS: u64 = 250_000_000;

/// How often sockets are looked for that are gone, nanoseconds.
const SWEEP: u64 = 3_000_000_000;

/// How long nothing may be heard of a socket before it is looked for too, and
/// how often, nanoseconds.
const IDLE: u64 = 60_000_000_000;

/// Most processes whose programs are remembered.
const PROGRAMS: usize = 4096;

/// Watches until a signal, the end of the processes, or a limit.
///
/// # Errors
///
/// If the watch cannot begin, or the report cannot be written. Each error's
/// text says what to do next.
pub fn run(cli: &Watching) -> Result<Summary> {
    for pid in &cli.pid {
        process::check(*pid)?;
    }
    let command = Prepared::new(&cli.command)?;
    let filter = filter(cli)?;
    let out: Box<dyn Write> = match &cli.output {
        Some(path) => Box::new(
            File::create(path)
                .with_context(|| format!("cannot write the report to {}", path.display()))?,
        ),
        None => Box::new(io::stdout()),
    };
    // A file is as wide as it likes.
    let columns = columns(io::stdout()).filter(|_| cli.output.is_none());
    let printer = Printer::new(out, cli.format(), color(cli), columns);
    watch(cli, command, filter, printer, Feed::default())
}

/// Watches with all that can be wrong before looked at.
fn watch(
    cli: &Watching,
    command: Option<Prepared>,
    filter: Filter,
    printer: Printer<'_>,
    judge: Feed,
) -> Result<Summary> {
    // Before any other thread and before anything is attached: a signal from
    // here on ends the watch with its summary.
    let signals = Signals::take(command.is_some()).context("cannot wait for signals")?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("cannot start the event loop")?;
    runtime.block_on(async {
        let signals = signals.into_async().context("cannot wait for signals")?;
        let mut watch = Watch::start(cli, printer, filter, command, judge, &signals)?;
        let mut ticks = tokio::time::interval(TICK);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            let over = tokio::select! {
                received = signals.next() => {
                    watch.signalled(received.context("cannot read a signal")?)
                }
                ended = command_ended(watch.command.as_ref()) => {
                    ended.context("cannot wait for the command")?;
                    watch.command_ended()?;
                    true
                }
                _ = ticks.tick() => false,
                ready = watch.live.readable() => {
                    ready.context("cannot wait for the ring buffer")?;
                    false
                }
            };
            if watch.turn()? || over {
                break;
            }
        }
        watch.finish()
    })
}

/// Returns when the command has ended; never without one.
async fn command_ended(command: Option<&Running>) -> io::Result<()> {
    match command {
        Some(command) => command.ended().await,
        None => std::future::pending().await,
    }
}

/// What a connection has to pass, with names looked up.
fn filter(cli: &Watching) -> Result<Filter> {
    ensure!(
        cli.comm.len() <= MOST_COMMS,
        "--comm is given {} times: at most {MOST_COMMS} names can be watched, or the whole host",
        cli.comm.len()
    );
    let mut cgroups = Vec::new();
    if !cli.unit.is_empty() || !cli.cgroup.is_empty() {
        let hierarchy = Hierarchy::find()?;
        for unit in &cli.unit {
            cgroups.append(&mut hierarchy.unit(unit)?);
        }
        for path in &cli.cgroup {
            cgroups.push(hierarchy.group(path)?);
        }
    }
    Ok(Filter {
        comms: cli.comm.clone(),
        cgroups,
        ports: cli.port.clone(),
    })
}

/// A file takes colours only if it is told to.
fn color(cli: &Watching) -> bool {
    match (cli.format(), &cli.output, cli.color) {
        (Format::Json, ..) | (_, Some(_), ColorChoice::Auto) => false,
        (Format::Table, _, choice) => choice.wanted(),
    }
}

struct Watch<'a> {
    cli: &'a Watching,
    live: Live,
    /// Control groups that pass, by their numbers of the last look.
    cgroups: Vec<Cgroup>,
    /// The command that is watched, while it runs.
    command: Option<Running>,
    /// It was asked to end, since a limit was reached, or was not run at all.
    dismissed: bool,
    judge: Feed,
    printer: Printer<'a>,
    status: Status,
    summary: Summary,
    started: Instant,
    /// Findings that are not printed yet.
    stacks: Stacks,
    /// Programs of processes, asked for while they run.
    programs: HashMap<u32, Option<String>>,
    unknown_records: u64,
    /// Calls that the kernel did not show us.
    missed: u64,
    /// When connections that make no progress are looked for again.
    stalls_due: u64,
    /// When sockets that are gone are looked for again, and those that may be.
    sweep_due: u64,
    idle_sweep_due: u64,
    held: HashSet<u64>,
    /// Nobody reads the report any more.
    closed: bool,
}

impl<'a> Watch<'a> {
    fn start(
        cli: &'a Watching,
        printer: Printer<'a>,
        filter: Filter,
        command: Option<Prepared>,
        judge: Feed,
        signals: &signals::Waiting,
    ) -> Result<Self> {
        let object = match &cli.bpf_object {
            Some(path) => Some(
                fs::read(path)
                    .with_context(|| format!("cannot read the BPF object {}", path.display()))?,
            ),
            None => None,
        };
        let cgroups = filter.cgroups.clone();
        let mut live = Live::start(&live::Options {
            watch_all: cli.pid.is_empty() && command.is_none(),
            filter,
            follow: cli.follow || command.is_some(),
            ring_bytes: cli.ring_bytes,
            max_connections: cli.max_connections,
            stacks: !cli.no_stack,
            hidden: cli.hide.clone(),
            object,
        })?;
        let mut programs = HashMap::new();
        let mut stacks = Stacks::new(!cli.no_stack);
        for pid in &cli.pid {
            live.watch(*pid);
            // It may have ended just before; then nobody would tell us.
            process::check(*pid)?;
            programs.insert(*pid, process::exe(*pid));
            stacks.meet(*pid, monotonic_ns());
        }
        if cli.follow {
            // Until there are no new ones: a child that is not watched yet may
            // have children meanwhile; those of the watched the kernel side
            // adds by itself.
            loop {
                let watched = live.watched();
                let found = process::descendants(&cli.pid);
                let new: Vec<_> = found
                    .into_iter()
                    .filter(|pid| !watched.contains(pid))
                    .collect();
                for pid in &new {
                    live.watch(*pid);
                    if process::check(*pid).is_err() {
                        live.unwatch(*pid);
                    }
                }
                if new.iter().all(|pid| process::check(*pid).is_err()) {
                    break;
                }
            }
        }
        // A command's own output would be mixed with it.
        let status = Status::new(command.is_none());
        let mut watch = Self {
            cli,
            live,
            cgroups,
            command: None,
            dismissed: false,
            judge,
            printer,
            status,
            summary: Summary::default(),
            started: Instant::now(),
            stacks,
            programs,
            unknown_records: 0,
            missed: 0,
            stalls_due: 0,
            sweep_due: 0,
            idle_sweep_due: 0,
            held: HashSet::new(),
            closed: false,
        };
        for what in watch.live.reduced() {
            note(format_args!("not seen: {what}"));
        }
        watch.summary.not_seen = watch.live.reduced().to_vec();
        if cli.verbose {
            let verified = watch.live.verified_instructions();
            note(format_args!("instructions verified: {verified:?}"));
        }
        match command {
            Some(command) => watch.run_command(command, signals)?,
            None => {
                watch.note_names();
                note(format_args!("watching {}", watch.scope()));
            }
        }
        Ok(watch)
    }

    /// Starts the command, now that everything is in place.
    fn run_command(&mut self, command: Prepared, signals: &signals::Waiting) -> Result<()> {
        // One that came meanwhile would not reach it: it ends the watch before
        // there is anything to watch.
        if let Some(received) = signals.pending().context("cannot read a signal")? {
            note(format_args!("{}: the command was not run", received.signal));
            self.dismissed = true;
            return Ok(());
        }
        let waiting = command.start(signals.inherited())?;
        self.live.watch(waiting.pid());
        note(format_args!(
            "watching {} and its children (process {}){}",
            self.cli
                .command
                .first()
                .map_or_else(String::new, |name| name.to_string_lossy().into_owned()),
            waiting.pid(),
            self.filters()
        ));
        let pid = waiting.pid();
        self.command = Some(waiting.go()?);
        // It runs its program by now, and may be gone before anything of it is
        // read.
        self.programs.insert(pid, process::exe(pid));
        self.stacks.meet(pid, monotonic_ns());
        Ok(())
    }

    /// What a signal means; `true` if it ends the watch.
    fn signalled(&mut self, received: Received) -> bool {
        match &self.command {
            // The watch ends when the command does.
            Some(command) => {
                command.pass_on(received);
                false
            }
            None => true,
        }
    }

    /// Takes the status of the command, which has ended.
    fn command_ended(&mut self) -> Result<()> {
        let Some(mut command) = self.command.take() else {
            return Ok(());
        };
        let status = command.status().context("cannot wait for the command")?;
        self.summary.command_status = Some(status);
        let left = self.live.watched().len();
        if left > 0 {
            let noun = if left == 1 { "process" } else { "processes" };
            note(format_args!(
                "the command has ended; {left} {noun} that it started still run, and are watched no longer"
            ));
        }
        Ok(())
    }

    /// What is watched, in words.
    fn scope(&self) -> String {
        format!("{}{}", self.roots(), self.filters())
    }

    /// The filters, in words.
    fn filters(&self) -> String {
        let or = |words: Vec<String>| words.join(" or ");
        let mut text = String::new();
        if !self.cli.comm.is_empty() {
            text.push_str(&format!(" named {}", or(self.cli.comm.clone())));
        }
        if !self.cgroups.is_empty() {
            let paths = self.cgroups.iter();
            let paths = paths.map(|group| group.path.display().to_string());
            text.push_str(&format!(" in {}", or(paths.collect())));
        }
        if !self.cli.port.is_empty() {
            let ports = self.cli.port.iter().map(ToString::to_string).collect();
            text.push_str(&format!(" on port {}", or(ports)));
        }
        text
    }

    /// Says which names no process has now: they may be misspelt.
    fn note_names(&self) {
        for name in &self.cli.comm {
            if !process::any_named(name) {
                note(format_args!(
                    "no process has the name {name} now; those to come are watched"
                ));
            }
        }
    }

    /// The processes that are watched, in words.
    fn roots(&self) -> String {
        if self.cli.pid.is_empty() {
            return "every process on this host".to_owned();
        }
        let named: Vec<_> = self
            .cli
            .pid
            .iter()
            .map(|pid| match process::comm(*pid) {
                Some(comm) => format!("{pid} ({comm})"),
                None => pid.to_string(),
            })
            .collect();
        let children = self.live.watched().len().saturating_sub(named.len());
        let followed = match (self.cli.follow, children) {
            (false, _) => String::new(),
            (true, 0) => " and children to come".to_owned(),
            (true, 1) => " and its child".to_owned(),
            (true, count) => format!(" and {count} children"),
        };
        let noun = if named.len() == 1 {
            "process"
        } else {
            "processes"
        };
        format!("{noun} {}{followed}", named.join(", "))
    }

    /// One round; `true` if the watch is over.
    fn turn(&mut self) -> Result<bool> {
        self.drain();
        self.forget();
        self.settle();
        self.note();
        self.sweep();
        self.report()?;
        self.flush_recording()?;
        self.show();
        self.renew_cgroups()?;
        let found: u64 = self.summary.findings.values().sum();
        let ended = !self.cli.pid.is_empty() && !self.live.watches_any();
        if ended {
            self.status.end();
            note(format_args!("no watched process runs any more"));
        }
        let limit = self.cli.count.is_some_and(|count| found >= count)
            || self
                .cli
                .duration
                .is_some_and(|duration| self.started.elapsed() >= duration);
        // What we started we end, and then it ends the watch.
        if let Some(command) = &self.command
            && (limit || self.closed)
        {
            if !self.dismissed {
                self.dismissed = true;
                command.send(Signal::SIGTERM);
            }
            return Ok(false);
        }
        Ok(ended || self.closed || self.dismissed || limit)
    }

    /// Shows how it goes.
    fn show(&mut self) {
        let Self {
            status,
            live,
            judge,
            summary,
            started,
            missed,
            ..
        } = self;
        status.show(|| {
            let kernel = live.stats();
            let stat = |name| kernel.get(name).copied().unwrap_or(0);
            Counts {
                seconds: started.elapsed().as_secs(),
                connections: stat("connections"),
                judged: judge.tally().messages_judged,
                findings: summary.findings.values().sum(),
                unjudged: judge.tally().unjudged.values().sum(),
                lost: stat("ring-full") + *missed,
            }
        });
    }

    /// Follows control groups that were replaced: a unit that is started anew
    /// has a new one.
    fn renew_cgroups(&mut self) -> Result<()> {
        for group in &mut self.cgroups {
            if let Some(id) = group.current_id()
                && id != group.id
            {
                self.live.replace_cgroup(group.id, id)?;
                group.id = id;
            }
        }
        Ok(())
    }

    fn drain(&mut self) {
        let Self {
            live,
            judge,
            programs,
            stacks,
            unknown_records,
            ..
        } = self;
        live.drain(|record| match record {
            Ok(record) => {
                let pid = record.header().tgid;
                if programs.len() >= PROGRAMS {
                    programs.clear();
                }
                if let Entry::Vacant(program) = programs.entry(pid) {
                    program.insert(process::exe(pid));
                    stacks.meet(pid, monotonic_ns());
                }
                judge.take(record);
            }
            Err(_) => *unknown_records += 1,
        });
        for (cookie, hint) in judge.take_hints() {
            live.hint(cookie, hint);
        }
        live.drain_stacks(|piece| stacks.take(piece, monotonic_ns()));
    }

    /// Lets go of what ended.
    fn forget(&mut self) {
        for cookie in self.judge.take_released() {
            self.live.forget(cookie);
        }
    }

    /// Tells what was found wrong on connections that go on, and what makes no
    /// progress.
    fn note(&mut self) {
        let now = monotonic_ns();
        for cookie in self.judge.take_flawed() {
            // One that ended tells by itself.
            if let Some(counters) = self.live.connection(cookie) {
                self.judge.note(cookie, &counters, now);
            }
        }
        let stall = u64::try_from(self.cli.stall.as_nanos()).unwrap_or(u64::MAX);
        if stall == 0 || now < self.stalls_due {
            return;
        }
        self.stalls_due = now + STALLS;
        let owing: Vec<_> = self.judge.owing().collect();
        for cookie in owing {
            if let Some(counters) = self.live.connection(cookie)
                && now.saturating_sub(counters.sent_ns) >= stall
            {
                self.judge.stall(cookie, &counters, now);
            }
        }
    }

    /// Lets go of sockets that do not exist any more and whose end was not seen.
    fn sweep(&mut self) {
        let now = monotonic_ns();
        if now < self.sweep_due {
            return;
        }
        self.sweep_due = now + SWEEP;
        // Those that were there the last time too: a socket that is being
        // closed right now tells by itself.
        let idle = now.saturating_sub(IDLE);
        let all = now >= self.idle_sweep_due;
        if all {
            self.idle_sweep_due = now + IDLE;
        }
        let held: HashMap<_, _> = self
            .judge
            .held()
            .filter(|(_, held)| held.shared || (all && held.last_ns < idle))
            .collect();
        let before = std::mem::replace(&mut self.held, held.keys().copied().collect());
        let old: Vec<_> = held
            .into_iter()
            .filter(|(cookie, held)| !held.shared || before.contains(cookie))
            .collect();
        if old.is_empty() {
            return;
        }
        let Some(existing) = sockets::existing() else {
            return;
        };
        // The counters first: where there are none any more, the record of the
        // end was made before.
        let old: Vec<_> = old
            .into_iter()
            .map(|(cookie, _)| (cookie, self.live.connection(cookie)))
            .collect();
        self.drain();
        let ending: HashSet<_> = self.judge.waiting().map(|(cookie, _)| cookie).collect();
        for (cookie, counters) in old {
            let exists = match &counters {
                Some(counters) => counters.inode == 0 || existing.contains(&counters.inode),
                None => ending.contains(&cookie),
            };
            if !exists {
                self.judge.release(cookie, counters.as_ref());
                self.live.forget(cookie);
            }
        }
    }

    /// Judges the connections that have waited long enough.
    fn settle(&mut self) {
        let now = monotonic_ns();
        let due: Vec<_> = self
            .judge
            .waiting()
            .filter(|(_, due)| now >= *due)
            .map(|(cookie, _)| (cookie, self.live.connection(cookie)))
            .collect();
        if due.is_empty() {
            return;
        }
        // What was recorded before the counters were read is taken first.
        self.drain();
        for (cookie, counters) in due {
            self.judge.settle(cookie, counters.as_ref());
        }
    }

    fn report(&mut self) -> Result<()> {
        let findings = self.judge.take_findings();
        // Asked for only where it matters.
        let recorded = self.judge.writer().is_some();
        if (recorded || !findings.is_empty()) && self.missed == 0 {
            self.missed = self.live.missed();
        }
        self.record_report(&findings);
        for finding in findings {
            if self.missed > 0 {
                self.judge.doubt();
                continue;
            }
            if finding.cause == Cause::PeerClosed && !self.cli.show_peer {
                continue;
            }
            let enough = self
                .cli
                .count
                .is_some_and(|count| self.summary.findings.values().sum::<u64>() >= count);
            if enough {
                break;
            }
            self.summary.count(&finding);
            // As it is now, or as it was when the process was first seen.
            let exe = process::exe(finding.pid)
                .or_else(|| self.programs.get(&finding.pid).cloned().flatten());
            let waiting = Waiting {
                time: wall_time(&finding),
                exe,
                finding,
            };
            self.stacks.push(waiting, monotonic_ns());
        }
        while let Some((waiting, stack)) = self.stacks.pop(monotonic_ns()) {
            self.print(&waiting, &stack)?;
        }
        Ok(())
    }

    fn print(&mut self, waiting: &Waiting, stack: &Stack) -> Result<()> {
        let reported = Reported {
            finding: &waiting.finding,
            time: When::At(waiting.time),
            exe: waiting.exe.as_deref(),
            stack,
            show_query: self.cli.show_query,
        };
        if let Some(writer) = self.judge.writer() {
            let (finding, exe) = (&waiting.finding, waiting.exe.clone());
            let told = Told::new(finding, waiting.time.to_string(), exe, stack);
            writer.frame(&Frame::Told(Box::new(told)));
        }
        let printer = &mut self.printer;
        let written = self.status.aside(|| printer.finding(&reported));
        self.written(written)
    }

    /// A reader that went away ends the watch quietly.
    fn written(&mut self, result: io::Result<()>) -> Result<()> {
        match result {
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => self.closed = true,
            result => result.context("cannot write the report")?,
        }
        Ok(())
    }

    fn finish(mut self) -> Result<Summary> {
        self.status.end();
        let found: u64 = self.summary.findings.values().sum();
        if let Some(count) = self.cli.count
            && found >= count
        {
            note(format_args!(
                "stopped after {count} findings (--count): others may have been judged and are not told"
            ));
        }
        self.drain();
        self.forget();
        // The counters first, then the records: what the counters count was
        // recorded before. Connections that began meanwhile are asked for once
        // more; those that ended meanwhile the judge knows.
        let mut open = self.live.connections();
        self.drain();
        for cookie in self.judge.cookies() {
            if !open.contains_key(&cookie)
                && let Some(counters) = self.live.connection(cookie)
            {
                open.insert(cookie, counters);
            }
        }
        self.drain();
        self.judge.finish(open);
        self.report()?;
        while let Some((waiting, stack)) = self.stacks.pop_last() {
            self.print(&waiting, &stack)?;
        }
        let kernel = self.live.stats();
        self.summary.seconds = self.started.elapsed().as_secs_f64();
        self.summary.take(self.judge.tally(), &kernel);
        let missed = self.live.missed();
        self.summary.events_lost += missed;
        self.summary.incomplete |= missed > 0;
        self.summary.incomplete |= self.unknown_records > 0;
        if self.cli.verbose {
            note(format_args!(
                "kernel side: {kernel:?}, unknown records {}",
                self.unknown_records
            ));
        }
        self.record_totals(&kernel, missed)?;
        if !self.closed {
            let written = self.printer.summary(&self.summary);
            self.written(written)?;
        }
        Ok(self.summary)
    }
}

fn monotonic_ns() -> u64 {
    let now = clock_gettime(ClockId::Monotonic);
    let seconds = u64::try_from(now.tv_sec).unwrap_or(0);
    seconds * 1_000_000_000 + u64::try_from(now.tv_nsec).unwrap_or(0)
}

/// When it was, by the wall clock as it stands now.
fn wall_time(finding: &Finding) -> Timestamp {
    let ago = monotonic_ns().saturating_sub(finding.ending.time_ns);
    let now = Timestamp::now();
    now.checked_sub(Duration::from_nanos(ago)).unwrap_or(now)
}
