//! truncwatch: reports HTTP messages that were cut short, from what the kernel
//! accepted, not from what the program thinks it sent.
//!
//! One way in, one way through, one way out:
//!
//! | module | what it does | what it must not do |
//! | --- | --- | --- |
//! | [`capture`] | gives records: bytes that may be a head, endings | know HTTP |
//! | [`judge`] and [`http`] | records in, findings out; pure | I/O, clocks, async |
//! | [`recording`] | keeps what the judge was given, and gives it again | keep what is no framing |
//! | [`stack`] | who called it: unwinds and names what was copied | guess |
//! | [`report`] | findings for people and for scripts | know kernels |
//! | [`origin`] | the unit and the container of a process | guess |
//! | [`command`], [`signals`] | a command that is started to be watched | judge |
//! | [`daemon`] | joins them for a watch without end | judge |
//! | [`doctor`] | tries what a watch needs | guess |
//! | [`watch`] | joins them for a live watch | decide anything |
//! | [`analyze`] | joins them for a log of strace | decide anything |

pub mod analyze;
pub mod capture;
pub mod check;
pub mod cli;
pub mod command;
mod cpus;
pub mod daemon;
pub mod doctor;
pub mod generate;
pub mod http;
pub mod judge;
mod memory;
mod nice;
pub mod origin;
pub mod recording;
pub mod report;
pub mod signals;
pub mod stack;
pub mod watch;
