//! A small HTTP/1.1 client that says exactly how each response ended.
//!
//! Ordinary clients hide what matters here: they retry, they report "connection error" where the
//! question is how many bytes had arrived, and they read whenever they please.

mod addr;
mod conn;
mod head;
mod outcome;
mod race;
mod reader;
mod request;
mod stream;
mod trigger;

pub use addr::Addr;
pub use conn::Conn;
pub use outcome::{End, Outcome};
pub use race::race;
pub use request::{Request, RequestBody};
pub use trigger::{Trigger, trigger};

use std::time::Duration;

/// What every read and every write may take unless [`Conn::connect_with`] says otherwise.
pub const TIMEOUT: Duration = Duration::from_secs(10);
