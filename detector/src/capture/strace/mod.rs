//! Records from a log of strace(1): the same that live capture gives, as far as
//! the log shows what the kernel did.
//!
//! What a line does not show is not made up. A line that cannot be read may
//! have been anything: from then on nothing is told of the connections that
//! there are, for a lost line might refute it.
//!
//! | file | what it does |
//! | --- | --- |
//! | `lines.rs` | lines of a file of any size |
//! | `line.rs`, `clock.rs` | whose line it is, when, and what it tells |
//! | `extent.rs` | where a call ends, and what else is on its line |
//! | `arguments.rs`, `unquote.rs`, `result.rs` | the parts of a call |
//! | `calls.rs` | the calls that matter: a row each |
//! | `payload.rs` | the bytes that a call moved, as far as they are shown |
//! | `edited.rs` | strings that somebody changed by hand |
//! | `socket_name.rs` | what `-y` and `-yy` say of a descriptor |
//! | `evidence.rs` | which calls strace was asked for |
//! | `string_limit.rs` | the length at which strace cuts strings |
//! | `epoll.rs` | which socket an epoll event is about |
//! | `name_index.rs` | connections by the names of their sockets |
//! | `descriptors.rs` | which thread has which descriptors |
//! | `closed.rs` | which connections ended, and what speaks against it |
//! | `bounded_set.rs` | a set of connections that cannot grow for ever |
//! | `sharing.rs` | which connections others may have too |
//! | `numbers.rs` | which process a thread belongs to |
//! | `programs.rs` | which program a process runs |
//! | `peers.rs` | the two ends of a connection |
//! | `socket.rs` | counters and records of one socket |
//! | `sockets.rs` | all of them, by cookie and by name |
//! | `replay/`, `effects/` | line by line: from a call to what it does |

mod arguments;
mod bounded_set;
mod calls;
mod clock;
mod closed;
mod descriptors;
mod edited;
mod effects;
mod epoll;
mod evidence;
mod extent;
mod line;
mod lines;
mod name_index;
mod numbers;
mod payload;
mod peer_address;
mod peers;
mod programs;
mod replay;
mod result;
mod sharing;
mod socket;
mod socket_name;
mod sockets;
mod string_limit;
mod unquote;

pub use self::{
    clock::Meaning,
    evidence::{Evidence, Sure},
    line::reads,
    lines::{LineText, Lines},
    replay::{Counts, Replay},
    socket::{Seen, Step},
};
