//! A private nginx: it serves files with `sendfile`, and is a proxy.

mod options;

use std::fs;
use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use rustix::process::Signal;

pub use self::options::Options;
use self::options::configuration;
use crate::client::Addr;
use crate::processes::{children_of, is_dead, signal};
use crate::temp::TempDir;

/// Where Debian puts it.
const BINARY: &str = "/usr/sbin/nginx";

/// How long all workers may take to come up, and how long nginx may take to leave.
const PATIENCE: Duration = Duration::from_secs(10);

/// How often either is looked at.
const TICK: Duration = Duration::from_millis(5);

/// A running nginx with a folder of its own for everything it reads or writes. Stopped on drop.
#[derive(Debug)]
pub struct Nginx {
    master: Child,
    port: u16,
    folder: TempDir,
}

impl Nginx {
    /// Starts it and waits until every worker is there.
    ///
    /// It listens on a free TCP port of 127.0.0.1 and on a Unix socket, serves the files below
    /// [`Nginx::root`] with `sendfile`, logs no accesses and keeps connections alive.
    ///
    /// # Errors
    /// If nginx is not installed or does not come up; with the end of its error log.
    pub fn start(options: &Options) -> Result<Self> {
        // nginx cannot choose a port itself, and one that was free may be taken a moment later.
        let mut attempts = 5;
        loop {
            attempts -= 1;
            match Self::start_on(free_port()?, options) {
                Err(error) if attempts > 0 && format!("{error}").contains("in use") => {}
                result => return result,
            }
        }
    }

    /// Its TCP address.
    pub fn tcp(&self) -> Addr {
        Addr::Tcp(SocketAddr::from((Ipv4Addr::LOCALHOST, self.port)))
    }

    /// Its Unix socket.
    pub fn unix(&self) -> Addr {
        Addr::Unix(self.folder.path().join("nginx.sock"))
    }

    /// The folder whose files it serves.
    pub fn root(&self) -> PathBuf {
        self.folder.path().join("root")
    }

    /// Writes a file below [`Nginx::root`].
    ///
    /// # Errors
    /// Those of writing a file.
    pub fn put(&self, name: &str, content: &[u8]) -> io::Result<()> {
        fs::write(self.root().join(name), content)
    }

    /// The same of a file of this length that takes no room.
    ///
    /// # Errors
    /// Those of writing a file.
    pub fn put_hole(&self, name: &str, length: u64) -> io::Result<()> {
        fs::File::create(self.root().join(name))?.set_len(length)
    }

    /// Cuts a file below [`Nginx::root`] to this length, under a worker that may be sending it.
    ///
    /// # Errors
    /// Those of opening and truncating a file.
    pub fn shrink(&self, name: &str, length: u64) -> io::Result<()> {
        let file = fs::OpenOptions::new()
            .write(true)
            .open(self.root().join(name))?;
        file.set_len(length)
    }

    /// The process id of the master, which serves nobody itself.
    pub fn master_pid(&self) -> u32 {
        self.master.id()
    }

    /// The process ids of the workers, in ascending order.
    ///
    /// # Errors
    /// If `/proc` cannot be read.
    pub fn worker_pids(&self) -> io::Result<Vec<u32>> {
        let mut workers = children_of(self.master.id())?;
        // What it was started under may have had children of its own.
        workers.retain(|pid| {
            let name = fs::read_to_string(format!("/proc/{pid}/comm"));
            name.is_ok_and(|name| name.trim_end() == "nginx")
        });
        Ok(workers)
    }

    /// Kills the master and all workers, as the kernel does where memory is short, and waits
    /// until they are dead.
    ///
    /// # Errors
    /// If they are gone already.
    pub fn kill(&mut self) -> io::Result<()> {
        let workers = self.worker_pids()?;
        // The master first: it would start new workers.
        self.master.kill()?;
        for worker in &workers {
            signal(*worker, Signal::KILL)?;
        }
        self.master.wait()?;
        // A process dies when it gets its turn, and nobody here waits for a worker.
        let deadline = Instant::now() + PATIENCE;
        while !workers.iter().all(|worker| is_dead(*worker)) && Instant::now() < deadline {
            thread::sleep(TICK);
        }
        Ok(())
    }

    fn start_on(port: u16, options: &Options) -> Result<Self> {
        let folder = TempDir::new()?;
        fs::create_dir(folder.path().join("root"))?;
        fs::create_dir(folder.path().join("temp"))?;
        let conf = folder.path().join("nginx.conf");
        fs::write(&conf, configuration(folder.path(), port, options))?;
        let log = folder.path().join("error.log");

        let mut command = match &options.under[..] {
            [] => Command::new(BINARY),
            [program, arguments @ ..] => {
                let mut command = Command::new(program);
                command.args(arguments).arg(BINARY);
                command
            }
        };
        let master = command
            .arg("-p")
            .arg(folder.path())
            .arg("-c")
            .arg(&conf)
            // Before it has read its configuration, nginx would open the log it was built with.
            .arg("-e")
            .arg(&log)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .with_context(|| format!("cannot run {BINARY}; is nginx installed?"))?;
        let mut nginx = Self {
            master,
            port,
            folder,
        };

        let deadline = Instant::now() + PATIENCE;
        while nginx.worker_pids()?.len() < options.workers {
            let gone = nginx.master.try_wait()?;
            if gone.is_some() || Instant::now() > deadline {
                let log = fs::read_to_string(&log).unwrap_or_default();
                bail!("nginx did not start: {}", log.trim_end());
            }
            thread::sleep(TICK);
        }
        Ok(nginx)
    }

    fn stop(&mut self) -> io::Result<()> {
        if self.master.try_wait()?.is_some() {
            return Ok(());
        }
        let workers = self.worker_pids()?;
        signal(self.master.id(), Signal::TERM)?;
        let deadline = Instant::now() + PATIENCE;
        while self.master.try_wait()?.is_none() {
            if Instant::now() > deadline {
                // The master first: it would start new workers.
                self.master.kill()?;
                for worker in workers {
                    signal(worker, Signal::KILL)?;
                }
                self.master.wait()?;
                return Ok(());
            }
            thread::sleep(TICK);
        }
        Ok(())
    }
}

impl Drop for Nginx {
    fn drop(&mut self) {
        if let Err(error) = self.stop() {
            eprintln!(
                "testbed: cannot stop nginx (process {}): {error}",
                self.master.id()
            );
        }
    }
}

fn free_port() -> io::Result<u16> {
    Ok(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?
        .local_addr()?
        .port())
}
