//! How fast a log of strace is judged, against `grep -c sendto` on the same
//! file, and with how much memory.

use std::{
    fmt, fs,
    io::{BufWriter, Write as _},
    path::Path,
    process::{Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, bail};
use host::root;
use serde::Serialize;

use super::statistics::median;

/// Memory within which a log of any size is to be judged.
const TARGET_MIB: f64 = 64.0;

/// Of so many connections one is cut short.
const SHORT: u64 = 10_000;

/// How often the memory is looked at.
const TICK: Duration = Duration::from_millis(5);

/// Seconds for the whole log.
#[derive(Serialize)]
pub(super) struct Analyze {
    rounds: u32,
    bytes: u64,
    lines: u64,
    findings: u64,
    analyze_seconds: f64,
    grep_seconds: f64,
    /// Median of the rounds' ratios.
    ratio: f64,
    analyze_mb_per_second: f64,
    /// `VmHWM` of the analysis (proc(5)).
    peak_mib: f64,
    target_mib: f64,
}

pub(super) fn measure(truncwatch: &Path, rounds: u32, megabytes: u64) -> Result<Analyze> {
    let log = root::target().join("bench-analyze.log");
    let (lines, short) = write_log(&log, megabytes * 1_000_000)
        .with_context(|| format!("cannot write {}", log.display()))?;
    let bytes = fs::metadata(&log)?.len();
    let (mut ours, mut greps) = (Vec::new(), Vec::new());
    let mut peak_kib = 0;
    for round in 1..=rounds {
        let mut command = Command::new("grep");
        let (seconds, _) = time(command.args(["-c", "sendto"]).arg(&log))?;
        greps.push(seconds);
        let mut command = Command::new(truncwatch);
        let (seconds, kib) = time(command.args(["analyze", "--json"]).arg(&log))?;
        ours.push(seconds);
        peak_kib = peak_kib.max(kib);
        eprintln!("analyze: round {round} of {rounds}");
    }
    let output = Command::new(truncwatch)
        .args(["analyze", "--json"])
        .arg(&log)
        .output()?;
    let findings = output.stdout.split(|byte| *byte == b'\n').count() as u64 - 2;
    fs::remove_file(&log)?;
    if findings != short || output.status.code() != Some(1) {
        bail!("{short} responses are short, and {findings} were found");
    }
    let ratio = median(ours.iter().zip(&greps).map(|(ours, grep)| ours / grep));
    let analyze_seconds = median(ours);
    Ok(Analyze {
        rounds,
        bytes,
        lines,
        findings,
        analyze_seconds,
        grep_seconds: median(greps),
        ratio,
        analyze_mb_per_second: bytes as f64 / 1e6 / analyze_seconds,
        peak_mib: peak_kib as f64 / 1024.0,
        target_mib: TARGET_MIB,
    })
}

/// Seconds that a command takes, and the most memory it had, in KiB.
fn time(command: &mut Command) -> Result<(f64, u64)> {
    let name = command.get_program().to_string_lossy().into_owned();
    let start = Instant::now();
    // Not to /dev/null: grep stops at the first line if it counts for nobody.
    let child = command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .with_context(|| format!("cannot run {name}"))?;
    let status = format!("/proc/{}/status", child.id());
    let mut peak = 0;
    // In another thread, so that the end is noticed at once.
    let watcher = thread::spawn(move || {
        while let Ok(text) = fs::read_to_string(&status) {
            let Some(kib) = text
                .lines()
                .find_map(|line| line.strip_prefix("VmHWM:"))
                .and_then(|value| value.trim().strip_suffix(" kB")?.parse().ok())
            else {
                break;
            };
            peak = kib;
            thread::sleep(TICK);
        }
        peak
    });
    // To the end, so that it never waits for us.
    let output = child.wait_with_output()?;
    let (status, counted) = (output.status, !output.stdout.is_empty());
    let seconds = start.elapsed().as_secs_f64();
    if !counted || !matches!(status.code(), Some(0 | 1)) {
        bail!("{name} failed: {status}");
    }
    let Ok(peak) = watcher.join() else {
        bail!("the memory of {name} could not be read");
    };
    Ok((seconds, peak))
}

/// Writes a log as `strace -f -tt -yy -s 200` of a server with many
/// connections; the number of its lines, and of the responses that are short.
fn write_log(path: &Path, bytes: u64) -> Result<(u64, u64)> {
    let mut out = BufWriter::with_capacity(1 << 20, fs::File::create(path)?);
    let (mut written, mut lines, mut short) = (0_u64, 0, 0);
    let body = "x".repeat(157);
    let file = "\\177ELF\\2\\1\\1\\0\\0".repeat(12);
    let mut connection = 0;
    while written < bytes {
        let second = connection / 1000 % 60;
        let micros = connection % 1000;
        let thread = 7600 + connection % 4;
        let at = format!("{thread}  00:46:{second:02}.{micros:03}");
        let socket = format!("7<socket:[{}]>", 310_000 + connection);
        let cut = connection % SHORT == SHORT - 1;
        short += u64::from(cut);
        // The last call of a response that is short.
        let sent = if cut { 30_000 } else { 40_000 };
        let mut text = String::new();
        for line in [
            "001 epoll_wait(4<anon_inode:[eventpoll]>, [{events=EPOLLIN, data={u32=5, u64=5}}], 1024, -1) = 1".to_owned(),
            format!("002 accept4(6<socket:[120691]>, {{sa_family=AF_UNIX}}, [110 => 2], SOCK_CLOEXEC|SOCK_NONBLOCK) = {socket}"),
            "003 futex(0x7f1c534cc000, FUTEX_WAKE_PRIVATE, 1) = 1".to_owned(),
            format!("004 recvfrom({socket}, \"GET /{connection} HTTP/1.1\\r\\nHost: x\\r\\n\\r\\n\", 8192, 0, NULL, NULL) = {}", 26 + connection.to_string().len()),
            "005 openat(AT_FDCWD</srv>, \"/srv/images/a.jpg\", O_RDONLY|O_CLOEXEC) = 8</srv/images/a.jpg>".to_owned(),
            format!("006 read(8</srv/images/a.jpg>, \"{file}\"..., 65536) = 65536"),
            "007 close(8</srv/images/a.jpg>) = 0".to_owned(),
            format!("008 sendto({socket}, \"HTTP/1.1 200 OK\\r\\nContent-Length: 100000\\r\\n\\r\\n{body}\"..., 100043, MSG_NOSIGNAL, NULL, 0) = 60043"),
            format!("009 sendto({socket}, \"{body}xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx\"..., 40000, MSG_NOSIGNAL, NULL, 0) = {sent}"),
            format!("010 shutdown({socket}, SHUT_WR) = 0"),
            format!("011 recvfrom({socket}, \"\", 8192, 0, NULL, NULL) = 0"),
            format!("012 close({socket}) = 0"),
        ] {
            text.push_str(&at);
            text.push_str(&line);
            text.push('\n');
            lines += 1;
        }
        out.write_all(text.as_bytes())?;
        written += text.len() as u64;
        connection += 1;
    }
    out.flush()?;
    Ok((lines, short))
}

impl fmt::Display for Analyze {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            rounds,
            lines,
            findings,
            analyze_seconds,
            grep_seconds,
            ratio,
            analyze_mb_per_second,
            peak_mib,
            target_mib,
            ..
        } = self;
        let gigabytes = self.bytes as f64 / 1e9;
        write!(
            f,
            "analyze: a log of {gigabytes:.2} GB, {lines} lines, {rounds} interleaved rounds
  truncwatch analyze {analyze_seconds:.2} s ({analyze_mb_per_second:.0} MB/s), grep -c sendto {grep_seconds:.2} s: {ratio:.1} times as long
  peak memory {peak_mib:.1} MiB (target: {target_mib:.0} MiB); {findings} short responses, all found, and nothing else"
        )
    }
}
