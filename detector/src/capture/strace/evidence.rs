//! Which calls strace was asked for, as far as the lines of a log show it.
//!
//! A log does not say with which `-e trace` it was made. A line of a call shows
//! that this call was asked for; that there is none of another shows nothing: the
//! program may not have made it, or strace may have left it out. So what a call
//! that is in no line could refute is no proof, unless other lines show that the
//! whole class it belongs to was asked for (strace(1), `-e trace`; the classes are
//! those of strace 6.1, src/linux/64/syscallent.h).
//!
//! Lists of calls by name are told from classes by calls that nobody names who
//! looks for bytes: `rseq` is in no class, so everything was traced; where `lseek` or
//! `mmap` is among four calls of `%desc`, all of it was. `epoll_wait` and `epoll_ctl`
//! alone, all that a server that waits for its clients has after its start, make it
//! likely only: [`Sure::Likely`].

/// The calls that bring bytes to a socket, those first that are in `%desc`.
const SENDS: [&str; 7] = [
    "write", "writev", "splice", "sendfile", "sendto", "sendmsg", "sendmmsg",
];

/// The calls that take bytes from a socket.
const RECEIVES: [&str; 5] = ["read", "readv", "recvfrom", "recvmsg", "recvmmsg"];

/// Calls in `%desc` that are no matter of what a socket carries: in no list of names
/// of one who looks for that. Some are in `%file` or `%memory` too.
const UNNAMED: [&str; 18] = [
    "fstat",
    "newfstatat",
    "lseek",
    "mmap",
    "getdents64",
    "ftruncate",
    "fallocate",
    "fadvise64",
    "fsync",
    "fdatasync",
    "flock",
    "eventfd2",
    "timerfd_create",
    "timerfd_settime",
    "signalfd4",
    "inotify_init1",
    "memfd_create",
    "pipe2",
];

/// Calls in `%desc` that may be in one.
const NAMED: [&str; 16] = [
    "epoll_wait",
    "epoll_ctl",
    "read",
    "readv",
    "pread64",
    "pwrite64",
    "openat",
    "ioctl",
    "fcntl",
    "dup",
    "dup2",
    "dup3",
    "poll",
    "ppoll",
    "pselect6",
    "epoll_create1",
];

/// The first two of them.
const WAITS: u32 = 3;

/// How sure it is that calls were asked for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Sure {
    /// Nothing shows it.
    #[default]
    No,
    /// Most likely: a list of calls by name might look the same.
    Likely,
    /// Lines show it that a list of names would not give.
    Yes,
}

/// What the lines so far show.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Evidence {
    /// All calls were asked for.
    everything: bool,
    /// Calls of [`UNNAMED`], a bit each.
    desc: u32,
    /// Calls of [`NAMED`], a bit each.
    named: u32,
    /// Kinds of calls that are in `%net` alone.
    net: u8,
    /// Calls of classes that are no matter of descriptors.
    other: u8,
    /// Calls that make processes.
    makes: bool,
    /// Calls that are in `%process`, and make none.
    process: bool,
    /// Those of them that end a process.
    exits: bool,
    /// A process, or a thread, ended by itself.
    ended: bool,
    /// Lines have the threads' numbers: strace followed children (`-f`).
    follows: bool,
    /// `connect` or `socketpair` is there.
    opens: bool,
    /// Such as strace writes into files.
    by_file: bool,
    /// Calls of [`SENDS`], a bit each.
    sends: u8,
    /// Calls of [`RECEIVES`], a bit each.
    receives: u8,
    /// Something else than the calls of an excerpt: [`Self::is_excerpt`].
    more: bool,
}

impl Evidence {
    /// Somebody says so.
    pub(super) fn all() -> Self {
        Self {
            everything: true,
            ..Self::default()
        }
    }

    /// A line tells of this call.
    pub(super) fn call(&mut self, name: &[u8]) {
        // The same, with more arguments.
        let name: &[u8] = match name {
            b"epoll_pwait" | b"epoll_pwait2" => b"epoll_wait",
            name => name,
        };
        if let Some(at) = SENDS.iter().position(|it| it.as_bytes() == name) {
            self.sends |= 1 << at;
        }
        if let Some(at) = RECEIVES.iter().position(|it| it.as_bytes() == name) {
            self.receives |= 1 << at;
        }
        if let Some(at) = UNNAMED.iter().position(|it| it.as_bytes() == name) {
            self.desc |= 1 << at;
        } else if let Some(at) = NAMED.iter().position(|it| it.as_bytes() == name) {
            self.named |= 1 << at;
        }
        match name {
            // In no class (getpid and gettid: in %pure).
            b"rseq" | b"getrandom" | b"sched_yield" | b"set_robust_list" | b"set_tid_address"
            | b"arch_prctl" | b"prlimit64" | b"sysinfo" | b"membarrier" | b"getpid" | b"gettid"
            | b"sched_getaffinity" | b"sched_setaffinity" => self.everything = true,
            b"accept" | b"accept4" => self.net |= 1,
            b"recvfrom" | b"recvmsg" | b"recvmmsg" => self.net |= 2,
            b"sendto" | b"sendmsg" | b"sendmmsg" => self.net |= 4,
            b"socket" | b"socketpair" | b"connect" | b"bind" | b"listen" => self.net |= 8,
            b"setsockopt" | b"getsockopt" | b"getsockname" | b"getpeername" => self.net |= 16,
            b"clone" | b"clone3" | b"fork" | b"vfork" => self.makes = true,
            b"execve" | b"execveat" | b"wait4" | b"waitid" => self.process = true,
            b"exit_group" | b"exit" => self.exits = true,
            b"futex" => self.other |= 1,
            b"brk" | b"munmap" | b"mprotect" | b"madvise" => self.other |= 2,
            b"rt_sigaction" | b"rt_sigprocmask" | b"sigaltstack" => self.other |= 4,
            b"clock_nanosleep" | b"nanosleep" | b"clock_gettime" => self.other |= 8,
            _ => {}
        }
        self.opens |= matches!(name, b"connect" | b"socketpair");
        self.more |= !matches!(
            name,
            b"accept"
                | b"accept4"
                | b"recvfrom"
                | b"recv"
                | b"recvmsg"
                | b"read"
                | b"readv"
                | b"send"
                | b"sendto"
                | b"sendmsg"
                | b"write"
                | b"writev"
                | b"sendfile"
                | b"epoll_ctl"
                | b"epoll_wait"
                | b"poll"
                | b"ppoll"
                | b"shutdown"
                | b"close"
        );
        self.everything |= self.other.count_ones() > 2
            || (self.other.count_ones() > 1 && self.desc | self.named != 0);
    }

    /// A line has its thread's number.
    pub(super) fn follows(&mut self, by_file: bool) {
        self.follows = true;
        self.by_file |= by_file;
    }

    /// A line that no excerpt of one connection has.
    pub(super) fn more(&mut self) {
        self.more = true;
    }

    /// A process or thread ended: `killed`, or by a call that would be in a line.
    pub(super) fn ended(&mut self, killed: bool) {
        self.ended |= !killed;
        self.more = true;
    }

    /// `%desc`: the calls that send bytes to any descriptor, that make copies of
    /// one, and that close it.
    fn desc(self) -> Sure {
        let calls = self.desc.count_ones() + self.named.count_ones();
        // Whoever waits for sockets, and asked for a call that writes; and who asked for
        // calls of so many kinds that all of them is the shortest way to say it.
        let waits = self.waits() && self.sends & 3 != 0;
        if self.everything || (self.desc != 0 && calls >= 4) {
            Sure::Yes
        } else if waits || (self.other != 0 && calls >= 3) {
            Sure::Likely
        } else {
            Sure::No
        }
    }

    /// What a server that waits for its clients has of `%desc` after its start.
    pub fn waits(self) -> bool {
        self.named & WAITS == WAITS
    }

    /// `%net`: the calls that send bytes to sockets only.
    fn net(self) -> Sure {
        match self.net.count_ones() {
            _ if self.everything => Sure::Yes,
            0 => Sure::No,
            1 => Sure::Likely,
            _ => Sure::Yes,
        }
    }

    /// There is a call that only sockets take.
    pub(super) fn has_net(self) -> bool {
        self.net != 0
    }

    /// Made with a command like the one that is recommended, as far as it shows.
    pub fn resembles_recommended(self) -> bool {
        self.follows && self.net != 0 && self.desc | self.named != 0
    }

    /// `%process`: a process that was made is in the log.
    pub fn tells_of_children(self) -> bool {
        self.everything || self.makes || self.exits || (self.process && !self.ended)
    }

    /// All calls that may have sent bytes on a connection are in the log, by
    /// whichever process.
    pub fn sends(self) -> Sure {
        if self.follows || self.tells_of_children() {
            self.desc().min(self.net())
        } else {
            Sure::No
        }
    }

    /// All calls that may have kept another descriptor of a connection are, but
    /// for those that make processes.
    pub fn copies(self) -> Sure {
        self.desc().min(self.net())
    }

    /// Children are in the log with whatever they do, if with no more.
    pub fn follows_children(self) -> bool {
        self.follows
    }

    /// strace wrote it with `-o`: lines have numbers without brackets.
    pub fn is_by_file(self) -> bool {
        self.by_file
    }

    /// It has lines of calls that open connections.
    pub fn opens(self) -> bool {
        self.net & 1 != 0 || self.opens
    }

    /// Nothing but the calls of few connections: as somebody has it who took the
    /// lines of one from a log, and knows what else there was.
    pub fn is_excerpt(self) -> bool {
        !self.more
    }

    /// The calls that take bytes from a socket, of which there is no line; none where it
    /// is certain that they were asked for.
    pub fn unseen_receives(self) -> Vec<&'static str> {
        // Both are in the same classes.
        if self.sends() == Sure::Yes {
            return Vec::new();
        }
        let unseen = |at: usize| self.receives & (1 << at) == 0;
        let all = RECEIVES.iter().enumerate();
        all.filter_map(|(at, name)| unseen(at).then_some(*name))
            .collect()
    }

    /// The calls that bring bytes to a socket, of which there is no line.
    pub fn unseen_sends(self) -> Vec<&'static str> {
        let unseen = |at: usize| self.sends & (1 << at) == 0;
        let all = SENDS.iter().enumerate();
        all.filter_map(|(at, name)| unseen(at).then_some(*name))
            .collect()
    }
}
