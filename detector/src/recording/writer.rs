//! Writes a recording.

use std::{
    collections::{BTreeMap, HashMap, hash_map::Entry},
    io::{self, Write},
};

use detector_common::Connection as Counters;

use super::{
    About, Frame, Input, MAGIC, VERSION,
    blank::{self, Blank},
};
use crate::capture::Record;

/// Most records that are held back for one that is late, as in the judge.
const HELD: usize = 64;

/// Where a watch is recorded.
pub struct Writer {
    out: Box<dyn Write>,
    show_query: bool,
    connections: HashMap<u64, Connection>,
    /// Something was written since the findings were taken.
    pending: bool,
    error: Option<io::Error>,
}

/// A connection's records, in order: what of them may be kept rests on those
/// before.
struct Connection {
    next: u32,
    held: BTreeMap<u32, Record>,
    /// One is missing: the judge looks at none that follows.
    lost: bool,
    blank: Blank,
}

impl Writer {
    /// Begins a recording.
    ///
    /// # Errors
    ///
    /// If it cannot be written.
    pub fn new(out: Box<dyn Write>, about: About) -> io::Result<Self> {
        let mut writer = Self {
            out,
            show_query: about.show_query,
            connections: HashMap::new(),
            pending: false,
            error: None,
        };
        writer.out.write_all(&MAGIC)?;
        writer.out.write_all(&VERSION.to_le_bytes())?;
        writer.frame(&Frame::About(about));
        writer.flush()?;
        Ok(writer)
    }

    /// Records an input of the judge.
    pub(super) fn input(&mut self, input: &Input) {
        self.pending = true;
        let kept = |counters: &Option<Box<Counters>>| {
            let counters = counters.as_deref();
            counters.map(|counters| Box::new(blank::counters(counters)))
        };
        let counted = |counters: &Counters| Box::new(blank::counters(counters));
        let input = match input {
            Input::Take(record) => return self.record(record.clone()),
            Input::Settle(cookie, counters) => {
                self.give_up(*cookie);
                Input::Settle(*cookie, kept(counters))
            }
            Input::Release(cookie, counters) => {
                self.give_up(*cookie);
                Input::Release(*cookie, kept(counters))
            }
            Input::Note(cookie, counters, now) => Input::Note(*cookie, counted(counters), *now),
            Input::Stall(cookie, counters, now) => Input::Stall(*cookie, counted(counters), *now),
            Input::Finish(open) => {
                let mut cookies: Vec<_> = self.connections.keys().copied().collect();
                cookies.sort_unstable();
                cookies.into_iter().for_each(|cookie| self.give_up(cookie));
                let each = open.iter();
                let each = each.map(|(cookie, counters)| (*cookie, blank::counters(counters)));
                Input::Finish(each.collect())
            }
        };
        self.frame(&Frame::Input(input));
    }

    /// The judge does not know a connection any more.
    pub(super) fn forget(&mut self, cookie: u64) {
        self.give_up(cookie);
        self.connections.remove(&cookie);
    }

    /// Something else than an input.
    pub fn frame(&mut self, frame: &Frame) {
        let written = frame
            .encode()
            .map_err(io::Error::from)
            .and_then(|(kind, bytes)| {
                let length = u32::try_from(bytes.len() + 1).map_err(io::Error::other)?;
                self.out.write_all(&length.to_le_bytes())?;
                self.out.write_all(&[kind])?;
                self.out.write_all(&bytes)?;
                Ok(())
            });
        if let Err(error) = written {
            self.error.get_or_insert(error);
        }
    }

    /// The findings are taken now.
    pub fn report(&mut self, missed: u64) {
        if std::mem::take(&mut self.pending) {
            self.frame(&Frame::Report(missed));
        }
    }

    /// Passes on what was written so far.
    ///
    /// # Errors
    ///
    /// If it, or anything before, could not be written.
    pub fn flush(&mut self) -> io::Result<()> {
        match self.error.take() {
            Some(error) => Err(error),
            None => self.out.flush(),
        }
    }

    fn record(&mut self, record: Record) {
        let header = record.header();
        let (cookie, seq) = (header.cookie, header.seq);
        let show_query = self.show_query;
        let connection = match self.connections.entry(cookie) {
            Entry::Occupied(entry) => entry.into_mut(),
            Entry::Vacant(entry) => entry.insert(Connection {
                next: 0,
                held: BTreeMap::new(),
                lost: false,
                blank: Blank::new(show_query),
            }),
        };
        if seq < connection.next {
            connection.lost = true;
            return self.frame(&Input::Take(blank::whole(record)).into());
        }
        connection.held.insert(seq, record);
        if connection.held.len() > HELD {
            return self.give_up(cookie);
        }
        let mut ready = Vec::new();
        while let Some(record) = connection.held.remove(&connection.next) {
            connection.next = connection.next.wrapping_add(1);
            ready.push(if connection.lost {
                blank::whole(record)
            } else {
                connection.blank.record(record)
            });
        }
        for record in ready {
            self.frame(&Input::Take(record).into());
        }
    }

    /// Goes on without what is missing.
    fn give_up(&mut self, cookie: u64) {
        let Some(connection) = self.connections.get_mut(&cookie) else {
            return;
        };
        let held = std::mem::take(&mut connection.held);
        if let Some((last, _)) = held.last_key_value() {
            connection.lost = true;
            connection.next = last.wrapping_add(1);
        }
        for (_, record) in held {
            self.frame(&Input::Take(blank::whole(record)).into());
        }
    }
}
