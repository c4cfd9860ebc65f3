//! Writes a recording.

use std::{
    collections::HashMap,
    io::{self, Write},
};

use detector_common::Connection as Counters;

use super::{
    About, Frame, Input, MAGIC, Packing,
    pack::Packer,
    redact::{self, Redactor},
};
use crate::judge::Traced;

/// Where a watch is recorded.
pub struct Writer {
    out: Packer<Box<dyn Write>>,
    show_query: bool,
    connections: HashMap<u64, Redactor>,
    /// Something was written since the findings were taken.
    pending: bool,
    error: Option<io::Error>,
}

impl Writer {
    /// Begins a recording; the first [`Self::flush`] passes it on.
    ///
    /// # Errors
    ///
    /// If it cannot be written.
    pub fn new(mut out: Box<dyn Write>, about: About) -> io::Result<Self> {
        out.write_all(&MAGIC)?;
        out.write_all(&Packing::Blocks.form())?;
        let mut writer = Self {
            out: Packer::new(out),
            show_query: about.show_query,
            connections: HashMap::new(),
            pending: false,
            error: None,
        };
        writer.frame(&Frame::About(about));
        Ok(writer)
    }

    /// Records an input that the judge took, and the records whose turn came by
    /// it.
    pub(super) fn input(&mut self, input: &Input, traced: Vec<Traced>) {
        self.pending = true;
        for (record, looks) in traced {
            let cookie = record.header().cookie;
            let show_query = self.show_query;
            let redactor = self
                .connections
                .entry(cookie)
                .or_insert_with(|| Redactor::new(show_query));
            let record = redactor.record(record, &looks);
            self.frame(&Input::Take(record).into());
        }
        let kept = |counters: &Option<Box<Counters>>| {
            let counters = counters.as_deref();
            counters.map(|counters| Box::new(redact::counters(counters)))
        };
        let counted = |counters: &Counters| Box::new(redact::counters(counters));
        let input = match input {
            Input::Take(_) => return,
            Input::Settle(cookie, counters) => Input::Settle(*cookie, kept(counters)),
            Input::Release(cookie, counters) => Input::Release(*cookie, kept(counters)),
            Input::Note(cookie, counters, now) => Input::Note(*cookie, counted(counters), *now),
            Input::Stall(cookie, counters, now) => Input::Stall(*cookie, counted(counters), *now),
            Input::OpenBefore(before) => Input::OpenBefore(before.clone()),
            Input::Finish(open) => {
                let each = open.iter();
                let each = each.map(|(cookie, counters)| (*cookie, redact::counters(counters)));
                Input::Finish(each.collect())
            }
        };
        self.frame(&Frame::Input(input));
    }

    /// The judge does not know a connection any more.
    pub(super) fn forget(&mut self, cookie: u64) {
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

    /// Passes on what was written about a second ago or earlier, and the first
    /// time everything.
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

    /// Passes on all that was written.
    ///
    /// # Errors
    ///
    /// As [`Self::flush`].
    pub fn finish(&mut self) -> io::Result<()> {
        match self.error.take() {
            Some(error) => Err(error),
            None => self.out.finish(),
        }
    }
}
