//! Signals as events, with who sent them: a terminal's Ctrl-C reaches the
//! command that is watched by itself, one that `kill` sent does not.

use std::{io, os::fd::AsFd as _};

use nix::{
    errno::Errno,
    sys::{
        signal::{SigHandler, SigSet, SigmaskHow, Signal, pthread_sigmask, signal},
        signalfd::{SfdFlags, SignalFd},
    },
};
use tokio::io::{Interest, unix::AsyncFd};

/// Those that end a watch.
const ENDING: [Signal; 3] = [Signal::SIGINT, Signal::SIGTERM, Signal::SIGHUP];

/// Those that are passed on to a command besides.
const PASSED_ON: [Signal; 3] = [Signal::SIGQUIT, Signal::SIGUSR1, Signal::SIGUSR2];

/// `SI_KERNEL` (sigaction(2)): the kernel sent it, for a terminal to its whole
/// foreground process group.
const SI_KERNEL: i32 = 0x80;

/// A signal that came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Received {
    /// Which.
    pub signal: Signal,
    /// A terminal's: its whole foreground process group got it.
    pub from_terminal: bool,
}

/// Which signals were blocked before they were taken: what a command has to
/// inherit.
#[derive(Clone, Copy, Debug)]
pub struct Inherited(SigSet);

/// Signals that wait to be read instead of interrupting.
#[derive(Debug)]
pub struct Signals {
    blocked: SignalFd,
    inherited: Inherited,
}

impl Signals {
    /// Takes them, in this thread and those that it starts from now on. With
    /// `all`, those too that only matter to a command.
    ///
    /// # Errors
    ///
    /// If the kernel refuses.
    pub fn take(all: bool) -> io::Result<Self> {
        let mut set = SigSet::empty();
        for signal in ENDING {
            set.add(signal);
        }
        for signal in PASSED_ON.into_iter().filter(|_| all) {
            set.add(signal);
        }
        let mut mask = SigSet::empty();
        pthread_sigmask(SigmaskHow::SIG_BLOCK, Some(&set), Some(&mut mask))?;
        // A shell that starts a job in the background lets it ignore SIGINT,
        // and a signal that is ignored is never read: `kill -INT` has to end
        // the watch from a script too, and the command likewise, which inherits
        // this. What nohup lets us ignore stays so.
        for number in [Signal::SIGINT, Signal::SIGTERM] {
            // SAFETY: blocked, so that nothing happens by default; no handler
            // is replaced, for this program sets none.
            unsafe { signal(number, SigHandler::SigDfl) }?;
        }
        let flags = SfdFlags::SFD_NONBLOCK | SfdFlags::SFD_CLOEXEC;
        Ok(Self {
            blocked: SignalFd::with_flags(&set, flags)?,
            inherited: Inherited(mask),
        })
    }

    /// How they were before.
    #[must_use]
    pub fn inherited(&self) -> Inherited {
        self.inherited
    }

    /// One that has come, if one has.
    ///
    /// # Errors
    ///
    /// If it cannot be read.
    pub fn next(&self) -> io::Result<Option<Received>> {
        let Some(info) = self.blocked.read_signal()? else {
            return Ok(None);
        };
        let number = i32::try_from(info.ssi_signo).map_err(|_| Errno::EINVAL)?;
        Ok(Some(Received {
            signal: Signal::try_from(number)?,
            from_terminal: info.ssi_code == SI_KERNEL,
        }))
    }

    /// To be waited for in an event loop.
    ///
    /// # Errors
    ///
    /// If the event loop cannot wait.
    pub fn into_async(self) -> io::Result<SignalStream> {
        // SAFETY: the signalfd owns its descriptor, keeps it open and gives the
        // same one as long as it lives, which is inside the AsyncFd.
        let waiting = unsafe { AsyncFd::register_with_interest(self, Interest::READABLE) }?;
        Ok(SignalStream(waiting))
    }
}

impl std::os::fd::AsRawFd for Signals {
    fn as_raw_fd(&self) -> std::os::fd::RawFd {
        self.blocked.as_fd().as_raw_fd()
    }
}

/// [`Signals`] within an event loop.
#[derive(Debug)]
pub struct SignalStream(AsyncFd<Signals>);

impl SignalStream {
    /// The next signal.
    ///
    /// # Errors
    ///
    /// If it cannot be waited for or read.
    pub async fn next(&self) -> io::Result<Received> {
        loop {
            let mut ready = self.0.readable().await?;
            match self.0.get_ref().next()? {
                Some(received) => return Ok(received),
                None => ready.clear_ready(),
            }
        }
    }

    /// One that has come already.
    ///
    /// # Errors
    ///
    /// If it cannot be read.
    pub fn pending(&self) -> io::Result<Option<Received>> {
        self.0.get_ref().next()
    }

    /// How signals were before they were taken.
    #[must_use]
    pub fn inherited(&self) -> Inherited {
        self.0.get_ref().inherited()
    }
}

impl Inherited {
    /// Blocks these and no others, in a child process before it runs its
    /// program: a call that is safe there (signal-safety(7)).
    pub(crate) fn restore(&self) -> io::Result<()> {
        Ok(pthread_sigmask(
            SigmaskHow::SIG_SETMASK,
            Some(&self.0),
            None,
        )?)
    }
}
