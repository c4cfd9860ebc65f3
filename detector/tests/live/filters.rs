//! Which processes and connections are watched. A process that is told to cuts
//! a message short, whose promised length says which one it was.

use std::{
    fs,
    io::{BufRead as _, BufReader, Write as _},
    path::{Path, PathBuf},
    process::{ChildStdout, Command, Stdio},
    thread,
    time::Duration,
};

use anyhow::{Context as _, Result, ensure};
use testbed::watcher::{Report, Watcher};

use crate::servers::{Reaped, truncwatch};

/// Gives itself a name; for each line, a length, sends less than that much,
/// over a Unix socket pair or from a TCP port.
const PROGRAM: &str = r#"
import socket, sys
open("/proc/self/comm", "w").write(sys.argv[1])
if len(sys.argv) > 2:
    listener = socket.create_server(("127.0.0.1", int(sys.argv[2])))
    print(listener.getsockname()[1], flush=True)
else:
    print(0, flush=True)
for line in sys.stdin:
    if len(sys.argv) > 2:
        b = socket.create_connection(listener.getsockname())
        a, _ = listener.accept()
    else:
        a, b = socket.socketpair()
    b.sendall(b"GET /x HTTP/1.1\r\nHost: x\r\n\r\n")
    a.recv(1000)
    a.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\nshort" % int(line))
    a.shutdown(socket.SHUT_WR)
    print("done", flush=True)
"#;

struct Talker {
    process: Reaped,
    answers: BufReader<ChildStdout>,
    port: String,
}

impl Talker {
    fn start(name: &str, more: &[&str]) -> Result<Self> {
        let mut child = Command::new("python3")
            .args(["-c", PROGRAM, name])
            .args(more)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let answers = BufReader::new(child.stdout.take().context("no output")?);
        let mut talker = Self {
            process: Reaped(child),
            answers,
            port: String::new(),
        };
        talker.port = talker.answer()?;
        Ok(talker)
    }

    fn answer(&mut self) -> Result<String> {
        let mut line = String::new();
        self.answers.read_line(&mut line)?;
        Ok(line.trim().to_owned())
    }

    /// Cuts a message of this length short.
    fn cut(&mut self, length: u32) -> Result<()> {
        let input = self.process.0.stdin.as_mut().context("no input")?;
        writeln!(input, "{length}")?;
        ensure!(self.answer()? == "done");
        Ok(())
    }

    fn move_to(&self, group: &Group) -> Result<()> {
        fs::write(
            group.0.join("cgroup.procs"),
            self.process.0.id().to_string(),
        )?;
        Ok(())
    }
}

/// A control group, removed when this goes away.
struct Group(PathBuf);

impl Group {
    fn create(path: PathBuf) -> Result<Self> {
        fs::create_dir(&path)?;
        Ok(Self(path))
    }

    /// Below the root, with a name that no other test has.
    fn top(name: &str) -> Result<Self> {
        let table = fs::read_to_string("/proc/self/mountinfo")?;
        let mount = table
            .lines()
            .filter(|line| line.contains(" - cgroup2 "))
            .find_map(|line| line.split(' ').nth(4))
            .context("no control groups of version 2")?;
        let name = format!("truncwatch-{}-{name}", std::process::id());
        Self::create(Path::new(mount).join(name))
    }

    fn argument(&self) -> &str {
        self.0.to_str().unwrap_or_default()
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        for _ in 0..50 {
            // It is busy until its processes are gone.
            if fs::remove_dir(&self.0).is_ok() {
                return;
            }
            thread::sleep(Duration::from_millis(20));
        }
    }
}

fn watch(arguments: &[&str]) -> Result<Watcher> {
    Watcher::start(truncwatch(), arguments)
}

/// The promised lengths of the messages that were found, in order of size:
/// connections are independent of each other.
fn found(report: &Report) -> Vec<u64> {
    let sizes = report.sizes();
    let mut found: Vec<_> = sizes.into_iter().map(|(promised, _)| promised).collect();
    found.sort_unstable();
    found
}

#[test]
fn by_name_also_if_it_gets_it_later() -> Result<()> {
    let mut one = Talker::start("tw-one", &[])?;
    let mut two = Talker::start("tw-two", &[])?;
    let mut other = Talker::start("tw-other", &[])?;
    let watcher = watch(&["--comm", "tw-one", "--comm", "tw-two"])?;
    let mut late = Talker::start("tw-two", &[])?;
    other.cut(900)?;
    one.cut(901)?;
    two.cut(902)?;
    late.cut(903)?;
    let report = watcher.stop()?;
    assert_eq!(found(&report), [901, 902, 903]);
    // No entry for others.
    assert_eq!(report.count("connections"), Some(6), "{}", report.summary);
    Ok(())
}

#[test]
fn by_name_as_long_as_the_kernel_keeps_it() -> Result<()> {
    let mut one = Talker::start("tw-name-15-byte", &[])?;
    let watcher = watch(&["--comm", "tw-name-15-bytes-and-more"])?;
    one.cut(904)?;
    let report = watcher.stop()?;
    assert_eq!(found(&report), [904]);
    let said = "tw-name-15-byte is looked for";
    assert!(report.errors.contains(said), "{}", report.errors);
    Ok(())
}

#[test]
fn by_control_group_with_those_below() -> Result<()> {
    let group = Group::top("outer")?;
    let inner = Group::create(group.0.join("inner"))?;
    let beside = Group::top("beside")?;
    let mut outer = Talker::start("tw-outer", &[])?;
    let mut below = Talker::start("tw-inner", &[])?;
    let mut other = Talker::start("tw-beside", &[])?;
    outer.move_to(&group)?;
    below.move_to(&inner)?;
    other.move_to(&beside)?;
    let watcher = watch(&["--cgroup", group.argument()])?;
    outer.cut(911)?;
    below.cut(912)?;
    other.cut(913)?;
    let report = watcher.stop()?;
    assert_eq!(found(&report), [911, 912]);
    assert_eq!(report.count("connections"), Some(4), "{}", report.summary);
    drop((outer, below, other));
    drop(inner);
    Ok(())
}

#[test]
fn by_unit_also_when_it_is_started_anew() -> Result<()> {
    let slice = Group::top("test.slice")?;
    let name = format!("tw-test-{}.service", std::process::id());
    let unit = Group::create(slice.0.join(&name))?;
    let mut first = Talker::start("tw-unit", &[])?;
    first.move_to(&unit)?;
    // As systemctl takes it: without the ending.
    let watcher = watch(&["--unit", name.trim_end_matches(".service")])?;
    first.cut(921)?;
    drop(first);
    drop(unit);
    let unit = Group::create(slice.0.join(&name))?;
    let mut second = Talker::start("tw-unit", &[])?;
    second.move_to(&unit)?;
    thread::sleep(Duration::from_millis(200));
    second.cut(922)?;
    let report = watcher.stop()?;
    assert_eq!(found(&report), [921, 922]);
    drop(second);
    drop(unit);
    Ok(())
}

#[test]
fn by_port_of_either_side() -> Result<()> {
    let mut one = Talker::start("tw-port", &["0"])?;
    let mut other = Talker::start("tw-port", &["0"])?;
    let watcher = watch(&["--port", &one.port])?;
    one.cut(931)?;
    other.cut(932)?;
    let report = watcher.stop()?;
    assert_eq!(found(&report), [931]);
    // The server's and the client's socket.
    assert_eq!(report.count("connections"), Some(2), "{}", report.summary);
    Ok(())
}

#[test]
fn different_kinds_have_to_fit_all() -> Result<()> {
    let mut one = Talker::start("tw-both", &["0"])?;
    let mut two = Talker::start("tw-both", &["0"])?;
    let mut three = Talker::start("tw-neither", &["0"])?;
    let ports = ["--port", &one.port, "--port", &three.port];
    let all: Vec<_> = ["--comm", "tw-both"].into_iter().chain(ports).collect();
    let watcher = watch(&all)?;
    let pid = one.process.0.id().to_string();
    let by_pid = watch(&["--pid", &pid, "--port", &one.port])?;
    let not_by_pid = watch(&["--pid", &pid, "--comm", "tw-neither"])?;
    one.cut(941)?;
    two.cut(942)?;
    three.cut(943)?;
    assert_eq!(found(&watcher.stop()?), [941]);
    assert_eq!(found(&by_pid.stop()?), [941]);
    assert_eq!(found(&not_by_pid.stop()?), [] as [u64; 0]);
    Ok(())
}

/// A process that passed and forked: its child may be the one that ends the
/// connection.
#[test]
fn a_child_of_one_that_passed_ends_its_connections() -> Result<()> {
    let program = "
import os, socket, sys, time
open('/proc/self/comm', 'w').write('tw-forks')
sys.stdin.readline()
a, b = socket.socketpair()
b.sendall(b'GET /x HTTP/1.1\\r\\nHost: x\\r\\n\\r\\n')
a.recv(1000)
a.sendall(b'HTTP/1.1 200 OK\\r\\nContent-Length: 951\\r\\n\\r\\nshort')
if os.fork():
    a.close()
else:
    time.sleep(0.2)
    a.shutdown(socket.SHUT_WR)
    os._exit(0)
os.wait()
";
    let mut child = Command::new("python3")
        .args(["-c", program])
        .stdin(Stdio::piped())
        .spawn()?;
    thread::sleep(Duration::from_millis(300));
    let watcher = watch(&["--comm", "tw-forks"])?;
    drop(child.stdin.take());
    child.wait()?;
    assert_eq!(found(&watcher.stop()?), [951]);
    Ok(())
}
