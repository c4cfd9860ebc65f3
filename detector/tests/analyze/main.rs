//! `truncwatch analyze`, run as a user would, on logs from files and from the
//! strace that is installed.
#![expect(
    clippy::expect_used,
    clippy::panic,
    reason = "in tests a failure is a panic"
)]

mod doubts;
mod edited;
mod files;
mod filters;
mod forms;
mod joined;
mod kinds;
mod mutations;
mod numbers;
mod pastes;
mod peers;
mod program;
mod progress;
mod recordings;
mod strace;
mod versions;
mod who;
mod words;
