//! Where records come from. Knows nothing of HTTP beyond "these bytes may
//! start a head".

pub mod live;
mod record;
pub mod strace;

pub use record::{Bytes, DecodeError, Record};
