//! A command that is started to be watched: it does not run its first
//! instruction before the watch is in place.

mod user;

use std::{
    ffi::{OsStr, OsString},
    fs::File,
    io::{self, Read as _, Write as _},
    os::{
        fd::{AsRawFd as _, OwnedFd},
        unix::{fs::PermissionsExt as _, process::CommandExt as _, process::ExitStatusExt as _},
    },
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus},
    thread::JoinHandle,
};

use nix::sys::signal::{Signal, kill};
use rustix::{
    pipe::{PipeFlags, pipe_with},
    process::{Pid, PidfdFlags, Resource, Rlimit, getpgid, getrlimit, pidfd_open, setrlimit},
    thread::{CapabilitySet, configure_capability_in_ambient_set},
};
use tokio::io::{Interest, unix::AsyncFd};

pub use self::user::{User, UserError};
use crate::process::signals::{Inherited, Received};

/// Capabilities that truncwatch is given to watch without root (docs/permissions.md).
const OURS: [CapabilitySet; 4] = [
    CapabilitySet::BPF,
    CapabilitySet::PERFMON,
    CapabilitySet::DAC_READ_SEARCH,
    CapabilitySet::SYS_PTRACE,
];

/// Why a command could not be run. Each message says what to do next.
#[derive(Debug, thiserror::Error)]
pub enum CommandError {
    /// No such program.
    #[error(
        "cannot run {}: command not found; give its path, or see whether it is on root's PATH", .0.display()
    )]
    NotFound(PathBuf),
    /// It is not a program.
    #[error("cannot run {}: it is not an executable file", .0.display())]
    NotExecutable(PathBuf),
    /// Whom it would run as is not known.
    #[error(transparent)]
    User(#[from] UserError),
    /// The kernel refused.
    #[error("cannot run {}: {source}", .program.display())]
    Failed {
        /// The program.
        program: PathBuf,
        /// Why.
        source: io::Error,
    },
}

/// A command, looked up and not started.
#[derive(Clone, Debug)]
pub struct Prepared {
    program: PathBuf,
    arguments: Vec<OsString>,
    user: Option<User>,
    /// How many files it may have open: truncwatch may allow itself more.
    files: Rlimit,
}

impl Prepared {
    /// Looks it up, as execvp(3) would; `None` without words.
    ///
    /// # Errors
    ///
    /// If there is no such program, or the user it would run as is not known.
    pub fn new(words: &[OsString]) -> Result<Option<Self>, CommandError> {
        let Some((program, arguments)) = words.split_first() else {
            return Ok(None);
        };
        look_up(program, std::env::var_os("PATH").as_deref())?;
        Ok(Some(Self {
            program: program.into(),
            arguments: arguments.to_vec(),
            user: User::behind_sudo()?,
            files: getrlimit(Resource::Nofile),
        }))
    }

    /// Starts a process for it that waits, before its program, until it is
    /// [let go](Waiting::go).
    ///
    /// # Errors
    ///
    /// If there can be no process.
    pub fn start(self, inherited: Inherited) -> Result<Waiting, CommandError> {
        let Self {
            program,
            arguments,
            user,
            files,
        } = self;
        let failed = |source: io::Error| CommandError::Failed {
            program: program.clone(),
            source,
        };
        let (told, tell) = pipe_with(PipeFlags::CLOEXEC).map_err(|error| failed(error.into()))?;
        let (gate, opener) = pipe_with(PipeFlags::CLOEXEC).map_err(|error| failed(error.into()))?;
        let mut command = Command::new(&program);
        command.args(arguments);
        if let Some(user) = &user {
            user.environment(&mut command);
        }
        let (mut tell, mut gate) = (File::from(tell), File::from(gate));
        let child_opener = opener.as_raw_fd();
        let before_exec = move || {
            // Its copy of the end that we write to: with it open, the child
            // would wait for ever if we ended first.
            // SAFETY: a number that is open in this child, from the fork, and
            // that nothing in it uses any more.
            unsafe { rustix::io::close(child_opener) };
            tell.write_all(&std::process::id().to_ne_bytes())?;
            gate.read_exact(&mut [0])?;
            inherited.restore()?;
            setrlimit(Resource::Nofile, files)?;
            // What truncwatch was given instead of root is not the command's.
            for capability in OURS {
                configure_capability_in_ambient_set(capability, false)?;
            }
            user.as_ref().map_or(Ok(()), User::become_it)
        };
        // SAFETY: between fork and exec it makes system calls and nothing else:
        // it takes no lock and allocates nothing.
        unsafe { command.pre_exec(before_exec) };
        // spawn returns when the program runs, hence in a thread: until then
        // the child waits. The pipes' ends that are the child's go with the
        // command.
        let spawning = std::thread::Builder::new()
            .spawn(move || command.spawn())
            .map_err(|source| CommandError::Failed {
                program: program.clone(),
                source,
            })?;
        let mut number = [0; 4];
        let told = File::from(told).read_exact(&mut number);
        let waiting = Waiting {
            pid: u32::from_ne_bytes(number),
            program,
            opener,
            spawning,
        };
        match told {
            Ok(()) => Ok(waiting),
            // It never came to be: go says why.
            Err(error) => Err(waiting.go().err().unwrap_or(CommandError::Failed {
                program: PathBuf::from("the command"),
                source: error,
            })),
        }
    }
}

/// Checks that there is such a program.
fn look_up(program: &OsStr, path: Option<&OsStr>) -> Result<(), CommandError> {
    let named = Path::new(program);
    let executable = |file: &Path| {
        file.metadata()
            .is_ok_and(|data| data.is_file() && data.permissions().mode() & 0o111 != 0)
    };
    if program.as_encoded_bytes().contains(&b'/') {
        return match (named.exists(), executable(named)) {
            (false, _) => Err(CommandError::NotFound(named.into())),
            (true, false) => Err(CommandError::NotExecutable(named.into())),
            (true, true) => Ok(()),
        };
    }
    // What execvp(3) takes where PATH is not set.
    let path = path.unwrap_or(OsStr::new("/bin:/usr/bin"));
    let found = !program.is_empty()
        && std::env::split_paths(path).any(|folder| executable(&folder.join(named)));
    found
        .then_some(())
        .ok_or_else(|| CommandError::NotFound(named.into()))
}

/// A process that waits before its program.
#[derive(Debug)]
pub struct Waiting {
    pid: u32,
    program: PathBuf,
    opener: OwnedFd,
    spawning: JoinHandle<io::Result<Child>>,
}

impl Waiting {
    /// Its number, which the program keeps.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.pid
    }

    /// Lets it run its program. Must be called within a tokio runtime.
    ///
    /// # Errors
    ///
    /// If the kernel does not run the program.
    pub fn go(self) -> Result<Running, CommandError> {
        let Self {
            program,
            opener,
            spawning,
            ..
        } = self;
        let failed = |source| CommandError::Failed { program, source };
        let opened = rustix::io::write(&opener, &[1]);
        drop(opener);
        let child = match spawning.join() {
            Ok(child) => child,
            Err(panic) => std::panic::resume_unwind(panic),
        };
        let watch = || {
            let mut child = child?;
            opened?;
            let pid = i32::try_from(child.id()).ok().and_then(Pid::from_raw);
            let pid = pid.ok_or(io::ErrorKind::InvalidData)?;
            let ended = pidfd_open(pid, PidfdFlags::NONBLOCK)
                .map_err(io::Error::from)
                .and_then(|fd| {
                    // SAFETY: an owned descriptor stays open and the same as
                    // long as it lives, which is inside the AsyncFd.
                    unsafe { AsyncFd::register_with_interest(fd, Interest::READABLE) }
                        .map_err(io::Error::from)
                });
            match ended {
                Ok(ended) => Ok(Running { child, pid, ended }),
                Err(error) => {
                    child.kill()?;
                    child.wait()?;
                    Err(error)
                }
            }
        };
        watch().map_err(failed)
    }
}

/// The command, with its program.
#[derive(Debug)]
pub struct Running {
    child: Child,
    pid: Pid,
    ended: AsyncFd<OwnedFd>,
}

impl Running {
    /// Returns when it has ended.
    ///
    /// # Errors
    ///
    /// If it cannot be waited for.
    pub async fn ended(&self) -> io::Result<()> {
        // It stays readable: never cleared.
        self.ended.readable().await.map(drop)
    }

    /// How it ended, once it has: waits otherwise.
    ///
    /// # Errors
    ///
    /// If it cannot be waited for.
    pub fn status(&mut self) -> io::Result<i32> {
        self.child.wait().map(status)
    }

    /// Passes on a signal that it did not get itself: a terminal sends its
    /// signals to the command too, unless that left our process group.
    pub fn pass_on(&self, received: Received) {
        let ours = getpgid(None).ok();
        if received.from_terminal && getpgid(Some(self.pid)).ok() == ours {
            return;
        }
        self.send(received.signal);
    }

    /// Sends a signal.
    pub fn send(&self, signal: Signal) {
        // It is not waited for before `status`, so that the number is its own;
        // that it has ended meanwhile is told by `ended`.
        let pid = nix::unistd::Pid::from_raw(self.pid.as_raw_nonzero().get());
        if kill(pid, signal).is_err() {}
    }
}

/// A status as shells give it (`$?`): the exit status, or 128 and the number of
/// the signal that killed it.
fn status(status: ExitStatus) -> i32 {
    status
        .code()
        .or_else(|| status.signal().map(|signal| 128 + signal))
        .unwrap_or(-1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_is_looked_up_as_a_shell_does() {
        let path = Some(OsStr::new("/nonexistent:/bin:/usr/bin"));
        assert!(look_up(OsStr::new("sh"), path).is_ok());
        assert!(look_up(OsStr::new("/bin/sh"), None).is_ok());
        for missing in ["", "no-such-program", "/nonexistent/sh"] {
            let found = look_up(OsStr::new(missing), path);
            assert!(matches!(found, Err(CommandError::NotFound(_))), "{missing}");
        }
        for no_program in ["/etc/passwd", "/etc"] {
            let found = look_up(OsStr::new(no_program), path);
            assert!(matches!(found, Err(CommandError::NotExecutable(_))));
        }
    }

    #[test]
    fn a_status_is_what_a_shell_says() {
        assert_eq!(status(ExitStatus::from_raw(3 << 8)), 3);
        assert_eq!(status(ExitStatus::from_raw(9)), 137);
    }
}
