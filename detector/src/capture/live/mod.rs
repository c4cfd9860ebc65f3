//! Live capture: loads the kernel side, attaches it, reads its records.

pub mod btf;
pub mod cgroup;
mod connections;
mod constants;
mod environment;
mod error;
pub mod established;
mod fields;
mod filter;
mod hints;
mod hooks;
mod misses;
mod new_sockets;
mod options;
mod perf;
pub mod probe;
mod probes;
pub mod process;
mod processes;
pub mod queues;
mod shared;
pub mod sockets;

use std::{collections::BTreeMap, sync::atomic::Ordering};

use aya::{
    Ebpf, EbpfLoader,
    maps::{HashMap, MapData, PerCpuArray, RingBuf},
};
use detector_common::{Config, Connection, Hint, Pod, StackPiece, Stat};
use tokio::io::{Interest, unix::AsyncFd};

pub use self::{
    btf::BtfError,
    error::CaptureError,
    filter::{COMM_BYTES, Filter, MOST_COMMS, MOST_PORTS, comm, kept, unit},
    options::{Options, RING_BYTES, Stacks},
};
use self::{
    connections::Connections, filter::Filters, hints::Hints, new_sockets::NewSockets,
    processes::Processes, shared::Shared,
};
use super::{DecodeError, Record};

/// The kernel side, as `cargo xtask ebpf` built it. Set
/// `TRUNCWATCH_BPF_OBJECT` when building to embed another build of it.
static OBJECT: &[u8] = aya::include_bytes_aligned!(env!("TRUNCWATCH_BPF_OBJECT"));

/// The size of a ring that holds so many bytes: a power of two of pages.
fn ring_size(bytes: u32) -> u32 {
    bytes.clamp(4096, 1 << 30).next_power_of_two()
}

/// Gives the kernel its side: the maps are made, the programs are not loaded
/// yet.
fn load(options: &Options, config: &Config) -> Result<Ebpf, CaptureError> {
    let mut loader = EbpfLoader::new();
    loader
        // It reads the kernel's types too, for relocations: there are none.
        .btf(None)
        .override_global("CONFIG", config.bytes(), true)
        .map_max_entries("RECORDS", ring_size(options.ring_bytes));
    loader.map_max_entries("SLOTS", options.slots());
    if let Some(entries) = options.max_connections {
        loader.map_max_entries(
            "CONNECTIONS",
            entries.saturating_sub(options.slots()).max(1),
        );
    }
    if options.stacks == Stacks::None {
        loader.map_max_entries("STACKS", 4096);
    } else if let Some(bytes) = options.stack_bytes {
        loader.map_max_entries("STACKS", ring_size(bytes));
    }
    let object = options.object.as_deref().unwrap_or(OBJECT);
    let object = constants::put(object, config).map_err(CaptureError::NoObject)?;
    Ok(loader.load(&object)?)
}

/// Where the kernel side's probes tell that they work.
fn probe_hits(programs: &mut Ebpf) -> Result<Shared<u64>, CaptureError> {
    const NAME: &str = "PROBE_HITS";
    let map = programs.take_map(NAME).ok_or(CaptureError::Object(NAME))?;
    Shared::new(map, NAME)
}

/// A running capture. Dropping it detaches everything.
pub struct Live {
    /// Keeps programs and their attachments.
    programs: Ebpf,
    misses: misses::Misses,
    unavailable: Vec<String>,
    ring: AsyncFd<RingBuf<MapData>>,
    ring_bytes: u64,
    stacks: RingBuf<MapData>,
    connections: Connections,
    processes: Processes,
    stats: PerCpuArray<MapData, u64>,
    hints: Hints,
    filters: Filters,
    missing_cookies: Shared<u64>,
    new_sockets: NewSockets,
}

impl Live {
    /// Loads and attaches everything. When this returns, every hook is in
    /// place; nothing is recorded until a process is added with
    /// [`Live::watch`] (or `watch_all` is set).
    ///
    /// # Errors
    ///
    /// Must be called within a tokio runtime.
    ///
    /// If privileges, file systems, kernel structures or hooks are missing,
    /// or if the kernel refuses a program.
    pub fn start(options: &Options) -> Result<Self, CaptureError> {
        environment::check()?;
        // The kernel's types are read twice, once for where fields are and once
        // by aya for what the typed hooks are given: one behind the other, since each
        // takes 20 to 40 MiB for a moment.
        let mut fields = btf::Btf::of_running_kernel()?;
        fields.hide(&options.hidden);
        let lacking = fields::lacking(&fields);
        let config = fields::config(&fields, options.scope())?;
        let mut hidden = options.hidden.clone();
        hidden.extend(hooks::other_arguments(&fields));
        drop(fields);
        let mut programs = load(options, &config)?;
        let typed = aya::Btf::from_sys_fs().map_err(|error| CaptureError::Load(error.into()))?;
        let map = |programs: &mut Ebpf, name: &'static str| {
            programs.take_map(name).ok_or(CaptureError::Object(name))
        };
        let ring = RingBuf::try_from(map(&mut programs, "RECORDS")?)?;
        let stacks = RingBuf::try_from(map(&mut programs, "STACKS")?)?;
        let slots = map(&mut programs, "SLOTS")?;
        let connections = Connections::new(slots, map(&mut programs, "CONNECTIONS")?)?;
        let processes = Shared::new(map(&mut programs, "PROCESSES")?, "PROCESSES")?;
        let mut filters = Filters {
            cgroups: HashMap::try_from(map(&mut programs, "CGROUPS")?)?,
            ports: HashMap::try_from(map(&mut programs, "PORTS")?)?,
        };
        filters.fill(&options.filter)?;
        let stats = PerCpuArray::try_from(map(&mut programs, "STATS")?)?;
        let missing_cookies =
            Shared::new(map(&mut programs, "MISSING_COOKIES")?, "MISSING_COOKIES")?;
        let new_sockets = NewSockets::new(map(&mut programs, "NEW_SOCKETS")?)?;
        let hints = Hints(Shared::new(map(&mut programs, "HINTS")?, "HINTS")?);
        let hits = probe_hits(&mut programs)?;
        // Programs that do nothing would not tell.
        let tells = options.object.is_none();
        let reached = hits.as_atomic().filter(|_| tells);
        let mut unavailable = hooks::attach(&mut programs, &typed, &hidden, reached)?;
        drop(hits);
        let (misses, unknown) = misses::Misses::find(&programs);
        unavailable.extend(lacking);
        if !unknown.is_empty() {
            unavailable.push(format!(
                "calls that the kernel leaves out of {}: /proc/self/fdinfo could not be read",
                unknown.join(", ")
            ));
        }
        // SAFETY: the ring buffer owns its descriptor, keeps it open and gives
        // the same one as long as it lives, which is inside the AsyncFd.
        let ring = unsafe { AsyncFd::register_with_interest(ring, Interest::READABLE) }
            .map_err(|error| CaptureError::EventLoop(error.into()))?;
        Ok(Self {
            programs,
            misses,
            unavailable,
            ring,
            ring_bytes: ring_size(options.ring_bytes).into(),
            stacks,
            connections,
            processes: Processes::new(processes),
            stats,
            hints,
            filters,
            missing_cookies,
            new_sockets,
        })
    }

    /// What is not seen, because this kernel lacks a hook or a field that can be
    /// done without, or by [`Live::lacks`]; each in words.
    #[must_use]
    pub fn unavailable(&self) -> &[String] {
        &self.unavailable
    }

    /// Something more is not seen, in words.
    pub fn lacks(&mut self, what: &str) {
        if self.unavailable.iter().all(|known| known != what) {
            self.unavailable.push(what.to_owned());
        }
    }

    /// Whether functions of the kernel's are traced, because it lacks tracepoints
    /// that count. What is judged is the same.
    #[must_use]
    pub fn traces_functions(&self) -> bool {
        self.programs
            .programs()
            .any(|(name, program)| hooks::counts(name) && program.fd().is_ok())
    }

    /// Instructions that the verifier walked for each program (Linux 5.16 and
    /// later tell; it gives up at a million).
    #[must_use]
    pub fn verified_instructions(&self) -> BTreeMap<String, u32> {
        self.programs
            .programs()
            .filter_map(|(name, program)| {
                let count = program.info().ok()?.verified_instruction_count()?;
                Some((name.to_owned(), count))
            })
            .collect()
    }

    /// How often the kernel left out a program: calls that were not counted
    /// (`misses.rs`). Kernels in which tracepoints may be preempted do that under load.
    #[must_use]
    pub fn missed(&self) -> u64 {
        self.left_out().values().sum()
    }

    /// Calls on sockets that could not be told apart yet (`detector-ebpf/src/hooks/count_perf.rs`).
    fn missing_cookies(&self) -> u64 {
        let counter = self.missing_cookies.as_atomic();
        counter.map_or(0, |counter| counter.load(Ordering::Relaxed))
    }

    /// Forgets which sockets had not been used yet, where a call was not counted: it
    /// may have been their first. What they do from now on is told as that of
    /// connections joined in mid-stream.
    ///
    /// # Errors
    ///
    /// If there is no memory for that; then nothing is forgotten.
    pub fn forget_births(&self) -> Result<(), CaptureError> {
        self.new_sockets.forget()
    }

    /// The same by program. Of the makers of cookies, those whose lack mattered.
    #[must_use]
    pub fn left_out(&self) -> BTreeMap<String, u64> {
        let mut all = self.misses.by_program();
        let missing_cookies = self.missing_cookies();
        if missing_cookies > 0 {
            all.insert(hooks::COOKIE_MAKERS.to_owned(), missing_cookies);
        }
        all
    }

    /// The kprobes of which the kernel tells how often it passed by them.
    #[must_use]
    pub fn counted_probes(&self) -> Vec<&str> {
        self.misses.probes()
    }

    /// Watches a process, with all its threads.
    pub fn watch(&mut self, tgid: u32) {
        self.processes.join(tgid);
    }

    /// Lets a control group pass instead of one that it took the place of, at
    /// the same level.
    ///
    /// # Errors
    ///
    /// If the map is full.
    pub fn replace_cgroup(&mut self, old: u64, new: u64) -> Result<(), CaptureError> {
        self.filters.cgroups.insert(new, 0, 0)?;
        // Not there is as good as removed.
        drop(self.filters.cgroups.remove(&old));
        Ok(())
    }

    /// Goes over from one filter to another while everything stays attached;
    /// `false` if that needs another capture.
    ///
    /// # Errors
    ///
    /// If a map is full.
    pub fn refilter(&mut self, old: &Filter, new: &Filter) -> Result<bool, CaptureError> {
        if !old.can_become(new) {
            return Ok(false);
        }
        self.filters.change(old, new)?;
        Ok(true)
    }

    /// How many entries the kernel side's maps have that can be full, by name, and
    /// how many they can have. Walks over all of them.
    #[must_use]
    pub fn fill(&self) -> Vec<(&'static str, usize, u32)> {
        let (used, room) = self.connections.fill();
        vec![("connections", used, room)]
    }

    /// Watches a process no longer.
    pub fn unwatch(&mut self, tgid: u32) {
        self.processes.leave(tgid);
    }

    /// Waits until the kernel side asks to be read: its ring buffer is a
    /// quarter full. Below that, read it several times a second.
    ///
    /// # Errors
    ///
    /// If the event loop cannot wait.
    pub async fn readable(&self) -> std::io::Result<()> {
        self.ring.readable().await?.clear_ready();
        Ok(())
    }

    /// The processes that are watched now.
    pub fn watched(&self) -> Vec<u32> {
        self.processes.all()
    }

    /// Whether any process is watched by its number now.
    pub fn watches_any(&self) -> bool {
        self.processes.any()
    }

    /// Gives the records that are there, until they took `most` bytes of the ring or more.
    /// Returns how many they took: fewer than `most` where no more are there.
    pub fn drain(&mut self, most: u64, mut take: impl FnMut(Result<Record, DecodeError>)) -> u64 {
        // Each has a header of 8 bytes and begins at a multiple of 8 (linux/bpf.h).
        const HEADER: u64 = 8;
        let mut taken = 0;
        while taken < most
            && let Some(item) = self.ring.get_mut().next()
        {
            taken += HEADER + (item.len() as u64).next_multiple_of(8);
            take(Record::decode(&item));
        }
        taken
    }

    /// Bytes that the ring of records holds: whoever has drained so many has all that was
    /// there before.
    #[must_use]
    pub const fn ring_bytes(&self) -> u64 {
        self.ring_bytes
    }

    /// Gives the pieces of stacks that are there: after the records, an ending's
    /// comes after its record.
    pub fn drain_stacks(&mut self, mut take: impl FnMut(&StackPiece)) {
        while let Some(item) = self.stacks.next() {
            // Of another size: not of this version's kernel side.
            if let Some(piece) = StackPiece::read(&item) {
                take(&piece);
            }
        }
    }

    /// The counters of a socket now; `None` once it was closed.
    #[must_use]
    pub fn connection(&self, cookie: u64) -> Option<Connection> {
        self.connections.get(cookie)
    }

    /// Tells the kernel side that the bytes of this socket up to an offset of
    /// what it sends need no look, and that those there do.
    pub fn hint(&self, cookie: u64, hint: Hint) {
        self.hints.tell(cookie, hint);
    }

    /// Lets go of a socket that is still in use: from now on it is one joined in
    /// mid-stream.
    pub fn let_go(&mut self, cookie: u64) {
        self.connections.let_go(cookie);
    }

    /// Forgets a socket, if it is still kept.
    pub fn forget(&mut self, cookie: u64) {
        self.connections.forget(cookie);
    }

    /// All sockets that are tracked now.
    #[must_use]
    pub fn connections(&self) -> std::collections::HashMap<u64, Connection> {
        self.connections.all()
    }

    /// The kernel side's counters.
    #[must_use]
    pub fn stats(&self) -> BTreeMap<&'static str, u64> {
        Stat::ALL
            .into_iter()
            .map(|stat| {
                let total = self.stats.get(&(stat as u32), 0).map_or(0, |values| {
                    values.iter().copied().fold(0, u64::wrapping_add)
                });
                (stat.name(), total)
            })
            .collect()
    }
}
