//! Opens a log: a file or standard input, compressed by gzip or not.

use std::{
    cell::Cell,
    fs::File,
    io::{self, Cursor, IsTerminal as _, Read},
    path::Path,
    rc::Rc,
};

use anyhow::{Context as _, Result, bail};
use flate2::read::MultiGzDecoder;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::advice;
use crate::report::terminal;

/// A log that is open.
pub(super) struct Input {
    reader: Box<dyn Read>,
    /// What to call it.
    pub(super) name: String,
    size: Option<u64>,
    read: Rc<Cell<u64>>,
    gzip: bool,
}

/// Bytes on the disk from which on it takes long enough to show the progress.
const MUCH: u64 = 16 << 20;

/// Bytes that are unpacked at a time: where packed data is damaged, what was
/// unpacked of a piece is lost with it.
const PIECE: usize = 1 << 14;

/// How other programs' compressed files begin.
const COMPRESSED: [(&[u8], &str); 4] = [
    (b"\x28\xb5\x2f\xfd", "zstd -dc"),
    (b"\xfd7zXZ\0", "xz -dc"),
    (b"BZh", "bzip2 -dc"),
    (b"PK\x03\x04", "unzip -p"),
];

impl Input {
    /// Opens the log with this path; `-` is standard input.
    pub(super) fn open(path: &Path) -> Result<Self> {
        let standard = path == Path::new("-");
        let (raw, name, size): (Box<dyn Read>, _, _) = if standard {
            (Box::new(io::stdin()), "standard input".to_owned(), None)
        } else {
            let name = path.display().to_string();
            let file = File::open(path).with_context(|| {
                format!("cannot open {name}; give the path of a log that strace wrote, or - for standard input")
            })?;
            let metadata = file
                .metadata()
                .with_context(|| format!("cannot read {name}"))?;
            if metadata.is_dir() {
                bail!("{name} is a folder; give the path of a log that strace wrote");
            }
            let size = metadata.is_file().then_some(metadata.len());
            (Box::new(file), name, size)
        };
        let read = Rc::new(Cell::new(0));
        let mut counted = Counted {
            reader: raw,
            read: Rc::clone(&read),
        };
        let mut magic = Vec::new();
        counted
            .by_ref()
            .take(6)
            .read_to_end(&mut magic)
            .with_context(|| format!("cannot read {name}"))?;
        for (start, command) in COMPRESSED {
            if magic.starts_with(start) {
                let file = if standard { "the file" } else { name.as_str() };
                bail!(
                    "{name} is compressed, and only gzip is unpacked here; run: {command} {file} | truncwatch analyze -"
                );
            }
        }
        if magic.starts_with(b"\x7fELF") {
            bail!(
                "{name} is a program, no log of strace; {}",
                advice::make_one()
            );
        }
        let gzip = magic.starts_with(b"\x1f\x8b");
        let whole = Cursor::new(magic).chain(counted);
        let reader: Box<dyn Read> = if gzip {
            Box::new(MultiGzDecoder::new(whole))
        } else {
            Box::new(whole)
        };
        Ok(Self {
            reader,
            name,
            size,
            read,
            gzip,
        })
    }

    /// How many bytes were read so far, as they lie on the disk.
    pub(super) fn bytes_read(&self) -> Rc<Cell<u64>> {
        Rc::clone(&self.read)
    }

    /// A bar on standard error, if that is a terminal and there is much to read.
    pub(super) fn progress(&self) -> ProgressBar {
        let little = self.size.is_some_and(|size| size < MUCH);
        if little || !io::stderr().is_terminal() || terminal::is_dumb() {
            return ProgressBar::hidden();
        }
        let (bar, template) = match self.size {
            Some(size) => (
                ProgressBar::new(size),
                "{bar:30} {bytes} of {total_bytes}, {bytes_per_sec}, {eta} left",
            ),
            None => (ProgressBar::no_length(), "{bytes}, {bytes_per_sec}"),
        };
        bar.set_draw_target(ProgressDrawTarget::stderr_with_hz(5));
        if let Ok(style) = ProgressStyle::with_template(template) {
            bar.set_style(style);
        }
        bar
    }
}

impl Read for Input {
    fn read(&mut self, room: &mut [u8]) -> io::Result<usize> {
        let most = room.len().min(if self.gzip { PIECE } else { usize::MAX });
        let room = room.get_mut(..most).unwrap_or_default();
        self.reader.read(room)
    }
}

/// Why the rest of a log, or all of it, could not be read; `lines` are those that
/// could.
pub(super) fn unread(name: &str, error: &io::Error, lines: Option<u64>) -> String {
    let (place, judged) = match lines {
        None | Some(0) => (String::new(), ""),
        Some(lines) => (
            format!(" behind line {lines}"),
            "; what comes before was judged",
        ),
    };
    // Errors of the system have a number, those of the unpacking have none.
    if error.raw_os_error().is_some() {
        return format!("{name} cannot be read{place} ({error}){judged}");
    }
    match error.kind() {
        io::ErrorKind::UnexpectedEof => {
            format!("{name} is packed by gzip and cut off{place}{judged}: get the whole file")
        }
        _ => format!(
            "{name} is packed by gzip and damaged{place} ({error}){judged}: see gzip -t, and get it again"
        ),
    }
}

/// What could be read of it is read; then comes why no more could.
pub(super) struct Broken(pub(super) Option<io::Error>);

impl Read for Broken {
    fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
        self.0.take().map_or(Ok(0), Err)
    }
}

/// Counts what is read.
struct Counted<R> {
    reader: R,
    read: Rc<Cell<u64>>,
}

impl<R: Read> Read for Counted<R> {
    fn read(&mut self, room: &mut [u8]) -> io::Result<usize> {
        let count = self.reader.read(room)?;
        self.read.set(self.read.get() + count as u64);
        Ok(count)
    }
}
