//! What the service manager hears (sd_notify(3)), and what a kill leaves.

use std::{
    os::unix::net::UnixDatagram,
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use anyhow::{Result, bail};
use testbed::{
    Signal, TempDir,
    bpf::Held,
    server::HyperVersion,
    soak::{Dice, Soak},
};

use super::{Daemon, cut_short, hyper};

/// A service manager's socket, as far as it matters.
struct Manager {
    folder: TempDir,
    socket: UnixDatagram,
}

impl Manager {
    fn new() -> Result<Self> {
        let folder = TempDir::new()?;
        let socket = UnixDatagram::bind(folder.path().join("notify"))?;
        socket.set_read_timeout(Some(Duration::from_secs(10)))?;
        Ok(Self { folder, socket })
    }

    fn start(&self, config: &str, watchdog: Option<Duration>) -> Result<Daemon> {
        Daemon::spawn(config, |command| {
            command.env("NOTIFY_SOCKET", self.folder.path().join("notify"));
            if let Some(period) = watchdog {
                command.env("WATCHDOG_USEC", period.as_micros().to_string());
            }
        })
    }

    fn next(&self) -> Result<String> {
        let mut bytes = [0; 4096];
        let length = self.socket.recv(&mut bytes)?;
        Ok(String::from_utf8_lossy(&bytes[..length]).into_owned())
    }

    /// The next message that is not about the watchdog.
    fn news(&self) -> Result<String> {
        loop {
            let message = self.next()?;
            if !message.contains("WATCHDOG=1") {
                return Ok(message);
            }
        }
    }
}

#[test]
fn it_hears_of_the_beginning_of_reloads_and_of_the_end() -> Result<()> {
    let server = hyper(HyperVersion::V1_12_0)?;
    let manager = Manager::new()?;
    let mut daemon = manager.start("[findings]\noutput = \"stdout\"", None)?;
    let ready = manager.news()?;
    assert!(ready.contains("READY=1"), "{ready}");
    // Every probe is in place by then: what comes next is found.
    cut_short(&server, 5000, 3000)?;
    daemon.findings(server.pid(), 1)?;
    daemon.signal(Signal::HUP)?;
    assert!(manager.news()?.contains("RELOADING=1"));
    assert!(manager.news()?.contains("READY=1"));
    let (status, _) = daemon.stop()?;
    assert!(manager.news()?.contains("STOPPING=1"));
    assert_eq!(status.code(), Some(0));
    Ok(())
}

#[test]
fn the_watchdog_hears_of_progress_and_of_nothing_else() -> Result<()> {
    let manager = Manager::new()?;
    let daemon = manager.start("", Some(Duration::from_secs(1)))?;
    assert!(manager.next()?.contains("READY=1"));
    for _ in 0..3 {
        assert!(manager.next()?.contains("WATCHDOG=1"));
    }
    // An event loop that does not come round any more says nothing.
    daemon.signal(Signal::STOP)?;
    std::thread::sleep(Duration::from_millis(300));
    manager.socket.set_nonblocking(true)?;
    while manager.next().is_ok() {}
    std::thread::sleep(Duration::from_secs(2));
    assert!(manager.next().is_err());
    daemon.signal(Signal::CONT)?;
    let until = Instant::now() + Duration::from_secs(10);
    while manager.next().is_err() {
        if Instant::now() > until {
            bail!("no word after it went on");
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    Ok(())
}

/// Killed at random moments under load, also while it begins: clients and servers
/// notice nothing, the kernel has nothing of it any more, and the next one begins as
/// the first did. `cargo xtask soak --kills 100` is the same for longer.
#[test]
fn a_kill_leaves_nothing_behind() -> Result<()> {
    const CONFIG: &str = "[findings]\noutput = \"stdout\"";
    let load = Soak::start(7, 0)?;
    let mut dice = Dice::new(7);
    for round in 0..10 {
        let early = round % 5 == 4;
        let mut daemon = if early {
            Daemon::spawn(CONFIG, |_| {})?
        } else {
            Daemon::start(CONFIG)?
        };
        let life = dice.below(if early { 200 } else { 1000 });
        std::thread::sleep(Duration::from_millis(life));
        let held = Held::by(daemon.pid())?;
        assert!(early || held.programs.len() > 10, "{held:?}");
        daemon.signal(Signal::KILL)?;
        daemon.wait()?;
        assert_eq!(held.left_in_the_end()?, Held::default());
        assert!(!load.failed(), "a client got what it should not");
    }
    let truth = load.stop()?;
    assert!(truth.healthy > 100, "{truth:?}");
    let server = hyper(HyperVersion::V1_12_0)?;
    let mut daemon = Daemon::start(CONFIG)?;
    cut_short(&server, 5000, 3000)?;
    daemon.findings(server.pid(), 1)?;
    Ok(())
}

/// What the unit that is shipped leaves it: its capabilities as another user, the
/// /proc of `ProtectProc=invisible` and `ProcSubset=pid`, a folder tree that is
/// read-only but for the textfile's, and the umask.
#[test]
fn what_the_unit_gives_it_is_enough() -> Result<()> {
    let unit = std::fs::read_to_string("../packaging/systemd/truncwatch.service")?;
    let line = unit
        .lines()
        .find_map(|line| line.strip_prefix("AmbientCapabilities="))
        .unwrap_or_default();
    let capabilities: String = line
        .split_whitespace()
        .map(|name| format!(",+{}", name.trim_start_matches("CAP_").to_lowercase()))
        .collect();
    assert_eq!(capabilities.matches('+').count(), 4, "{unit}");
    for setting in ["ProtectProc=invisible", "ProcSubset=pid", "UMask=0077"] {
        assert!(unit.lines().any(|line| line == setting), "{setting}");
    }
    let server = hyper(HyperVersion::V1_12_0)?;
    let (folder, copy) = crate::servers::truncwatch_for_everybody()?;
    let prom = folder.path().join("t.prom");
    let file = folder.path().join("c.toml");
    std::fs::write(
        &file,
        format!("[findings]\noutput = \"stdout\"\n[metrics]\ntextfile = {prom:?}"),
    )?;
    let script = "umask 0077 && mount --bind \"$3\" \"$3\" && mount -o remount,bind,ro / && \
        mount -t proc -o hidepid=invisible,subset=pid none /proc && \
        exec setpriv --no-new-privs --reuid 65534 --regid 65534 --clear-groups \
        --inh-caps \"-all$2\" --ambient-caps \"-all$2\" --bounding-set \"-all$2\" \
        \"$0\" daemon --config \"$1\"";
    let mut daemon = Daemon::spawn("", |command| {
        *command = Command::new("unshare");
        command
            .args(["--mount", "--propagation", "private", "sh", "-c", script])
            .args([copy.as_os_str(), file.as_os_str()])
            .arg(&capabilities)
            .arg(folder.path())
            .current_dir("/")
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
    })?;
    daemon.wait_for("truncwatch: watching")?;
    cut_short(&server, 5000, 3000)?;
    let found = daemon.findings(server.pid(), 1)?;
    let exe = found[0]
        .pointer("/process/exe")
        .and_then(|exe| exe.as_str());
    assert!(
        exe.is_some_and(|exe| exe.ends_with("hyper-server")),
        "{found:?}"
    );
    assert!(found[0].pointer("/stack/0").is_some(), "{found:?}");
    let mode = std::os::unix::fs::PermissionsExt::mode(&std::fs::metadata(&prom)?.permissions());
    assert_eq!(mode & 0o777, 0o644);
    Ok(())
}
