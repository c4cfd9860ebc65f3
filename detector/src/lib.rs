//! truncwatch: reports HTTP messages that were cut short, from what the kernel
//! accepted, not from what the program thinks it sent.
//!
//! One way in, one way through, one way out:
//!
//! | module | what it does | what it must not do |
//! | --- | --- | --- |
//! | [`capture`] | gives records: bytes that may be a head, endings | know HTTP but for framing |
//! | [`judge`] and [`http`] | records in, findings out; pure | I/O, clocks, async |
//! | [`recording`] | keeps what the judge was given, and gives it again | keep what is no framing |
//! | [`stack`] | who called it: unwinds and names what was copied | guess |
//! | [`check`] | what was tried, and how well it works | try |
//! | [`report`] | findings for people and for scripts | know kernels |
//! | [`origin`] | the unit and the container of a process | guess |
//! | [`command`] | starts the command to watch | judge |
//! | [`process`] | its own priority, CPUs and heap; signals | judge |
//! | [`doctor`] | tries what a watch needs | guess |
//! | [`watch`] | joins them for a live watch | decide anything |
//! | [`analyze`] | joins them for a log of strace | decide anything |
//! | [`daemon`] | joins them for a watch without end | judge |
//! | [`cli`], [`generate`] | the command line, and what is made of it | anything else |
//!
//! Which may use which is a table, `xtask/tests/arrows.rs`: no module is used by one that
//! it uses, and none but the last two knows a command line.

pub mod analyze;
pub mod capture;
pub mod check;
pub mod cli;
pub mod command;
pub mod daemon;
pub mod doctor;
pub mod generate;
pub mod http;
pub mod judge;
pub mod origin;
pub mod process;
pub mod recording;
pub mod report;
pub mod stack;
pub mod watch;

// As tests/screens names it, which has the examples.
#[cfg(test)]
extern crate self as truncwatch;

#[cfg(test)]
#[path = "../tests/screens/examples.rs"]
mod examples;
