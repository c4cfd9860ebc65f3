//! truncwatch's own process: its priority, CPUs and heap, and the signals that it gets.

pub(crate) mod affinity;
pub(crate) mod heap;
pub(crate) mod priority;
pub mod signals;
