//! How this side ends connections, and what the kernel says of a socket before it is closed.

pub(crate) mod descriptor;
pub(crate) mod fd_table;
pub(crate) mod last_call;
mod stack;
