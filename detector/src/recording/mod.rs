//! What `truncwatch record` keeps of a watch, and how it is judged again.
//!
//! A recording holds every input of the judge, in order, and what the report
//! needs besides. It begins with [`MAGIC`] and [`VERSION`] (32 bits); then come
//! frames: the length of what follows it (32 bits), one byte that tells what it
//! is, and the rest. Numbers are little-endian. Records and counters are as the
//! kernel side writes them (`detector-common`), but for the bytes of samples
//! that the judge did not read or that are no framing, which are taken out
//! (`blank/`). Those of one connection come in the order in which it took them.
//!
//! | byte | what it is | what it holds |
//! | --- | --- | --- |
//! | 1 | [`About`], the first | JSON |
//! | 2 | a record | the record |
//! | 3, 6 | `settle`, `release` | cookie, then the counters, if there are any |
//! | 4, 5 | `note`, `stall` | cookie, time, counters |
//! | 7 | `finish` | cookie and counters, of each socket that is open |
//! | 8 | [`Program`] of a process, as known from here on | JSON |
//! | 9 | findings are taken | calls that the kernel did not show so far |
//! | 10 | [`Told`]: what was reported with a finding | JSON |
//! | 11 | [`Totals`], the last | JSON |
//!
//! A file that ends within a frame is read up to there. Another version's is
//! refused: [`VERSION`] changes with a record's form and with a frame's meaning;
//! fields of JSON may be added.
//!
//! | file | what it does |
//! | --- | --- |
//! | `input.rs`  | what the judge takes, as values |
//! | `frame.rs`  | frames to bytes and back |
//! | `blank/`    | takes out what is not to be kept |
//! | `writer.rs` | writes a recording |
//! | `feed.rs`   | the judge of a watch, which may be recorded |
//! | `reader.rs` | reads a recording |
//! | `file.rs`   | the file that one is written to |

mod blank;
mod feed;
mod file;
mod frame;
mod input;
mod reader;
mod writer;

pub use self::{
    feed::Feed,
    file::{FileError, RecordingFile, is_recording},
    frame::{About, Frame, FrameError, Program, Told, ToldFrame, ToldKey, Totals},
    input::Input,
    reader::{ReadError, Reader},
    writer::Writer,
};

/// How a recording begins.
pub const MAGIC: [u8; 12] = *b"\x93truncwatch\n";

/// The form of what follows.
pub const VERSION: u32 = 2;
