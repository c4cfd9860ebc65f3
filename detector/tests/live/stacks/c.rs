//! A server in C, `-O2 -fomit-frame-pointer`.

use std::fs;

use anyhow::Result;
use serde_json::Value;
use testbed::{
    c_server::CServer,
    client::{Conn, Request},
};

use super::{frames, incomplete, symbols};
use crate::servers::{only, text, watch};

/// The finding for one request of this path.
fn finding(server: &CServer, path: &str) -> Result<Value> {
    let server = server.server();
    let watcher = watch(server.pid(), &[])?;
    let outcome = Conn::connect(server.addr())?.request(&Request::get(path));
    let report = watcher.stop()?;
    assert_eq!(report.sizes(), vec![(100_000, outcome.received)], "{path}");
    only(&report).cloned()
}

/// Those of the functions that are the server's own.
fn own(finding: &Value) -> Vec<String> {
    frames(finding)
        .iter()
        .filter(|frame| text(frame, "/module").is_some_and(|path| path.ends_with("c-server")))
        .map(|frame| text(frame, "/symbol").unwrap_or("?").to_owned())
        .collect()
}

#[test]
fn functions_files_and_lines_without_frame_pointers() -> Result<()> {
    let server = CServer::start(&["-g"])?;
    for path in ["/shutdown", "/close"] {
        let finding = finding(&server, path)?;
        assert_eq!(
            own(&finding),
            ["give_up", "handle", "serve", "answer", "main", "_start"],
            "{finding}"
        );
        assert_eq!(incomplete(&finding), None);
        let first = symbols(&finding).remove(0);
        assert!(first.contains(path.trim_start_matches('/')), "{first}");
        let source = fs::read_to_string("../testbed/c-server/server.c")?;
        let give_up = frames(&finding)
            .into_iter()
            .find(|frame| text(frame, "/symbol") == Some("give_up"))
            .unwrap_or_default();
        assert!(text(&give_up, "/file").is_some_and(|file| file.ends_with("server.c")));
        let line = give_up.pointer("/line").and_then(Value::as_u64);
        let line = line.and_then(|line| source.lines().nth(usize::try_from(line).ok()? - 1));
        assert!(
            line.is_some_and(|line| line.contains("close(fd)")),
            "{line:?}"
        );
    }
    Ok(())
}

#[test]
fn a_stripped_program_has_its_addresses() -> Result<()> {
    let server = CServer::start(&["-s"])?;
    let finding = finding(&server, "/close")?;
    // main is known to the C library only.
    assert_eq!(own(&finding), ["?"; 6], "{finding}");
    assert_eq!(incomplete(&finding), None);
    for frame in frames(&finding) {
        assert!(
            frame.pointer("/offset").is_some_and(Value::is_u64),
            "{frame}"
        );
    }
    Ok(())
}

#[test]
fn a_program_that_was_deleted_is_read_all_the_same() -> Result<()> {
    let server = CServer::start(&["-g"])?;
    fs::remove_file(server.binary())?;
    let finding = finding(&server, "/close")?;
    assert_eq!(own(&finding).len(), 6, "{finding}");
    assert_eq!(incomplete(&finding), None);
    Ok(())
}

#[test]
fn a_process_that_is_gone_at_once_leaves_its_stack() -> Result<()> {
    let mut server = CServer::start(&["-g"])?;
    let watcher = watch(server.server().pid(), &[])?;
    Conn::connect(server.server().addr())?.request(&Request::get("/close"));
    server.kill()?;
    let report = watcher.finish()?;
    let finding = only(&report)?;
    // By what it had mapped when the watch began, and by the paths of that: where
    // a file system has other numbers for its files than maps have, not even so.
    let own = own(finding);
    let why = incomplete(finding);
    assert!(
        (own.len() == 6 && why.is_none()) || why.is_some_and(|why| why.contains("by now")),
        "{finding}"
    );
    Ok(())
}

#[test]
fn a_thread_begins_where_it_was_made() -> Result<()> {
    let finding = finding(&CServer::start(&["-g"])?, "/thread")?;
    assert_eq!(own(&finding), ["give_up", "handle", "in_thread"]);
    assert_eq!(incomplete(&finding), None, "{finding}");
    Ok(())
}

#[test]
fn a_signal_handlers_stack_goes_on_where_the_signal_came() -> Result<()> {
    let finding = finding(&CServer::start(&["-g"])?, "/signal")?;
    let own = own(&finding);
    assert_eq!(
        own.get(..3),
        Some(&["give_up", "handle", "on_signal"].map(str::to_owned)[..])
    );
    assert_eq!(own.last().map(String::as_str), Some("_start"), "{finding}");
    assert_eq!(incomplete(&finding), None);
    Ok(())
}

#[test]
fn a_program_without_tables_says_so() -> Result<()> {
    let server = CServer::start(&["-fno-asynchronous-unwind-tables", "-fno-unwind-tables"])?;
    let finding = finding(&server, "/close")?;
    assert_eq!(own(&finding), ["give_up"], "{finding}");
    let why = incomplete(&finding);
    assert!(
        why.is_some_and(|why| why.contains("c-server has no unwind table")),
        "{why:?}"
    );
    Ok(())
}

#[test]
fn tables_for_debuggers_are_as_good() -> Result<()> {
    let server = CServer::start(&[
        "-g",
        "-fno-asynchronous-unwind-tables",
        "-fno-unwind-tables",
    ])?;
    let finding = finding(&server, "/close")?;
    assert_eq!(own(&finding).len(), 6, "{finding}");
    assert_eq!(incomplete(&finding), None);
    Ok(())
}

#[test]
fn a_stack_that_is_deeper_than_the_copy_says_so() -> Result<()> {
    let finding = finding(&CServer::start(&["-g"])?, "/deep")?;
    assert_eq!(own(&finding), ["give_up", "handle", "deep"], "{finding}");
    let why = incomplete(&finding);
    assert_eq!(why, Some("it goes on beyond the 64 KiB that were copied"));
    Ok(())
}

#[test]
fn a_buffer_that_is_not_in_memory_is_skipped() -> Result<()> {
    let finding = finding(&CServer::start(&["-g"])?, "/buffer")?;
    let own = own(&finding);
    assert_eq!(own.get(2).map(String::as_str), Some("buffer"), "{finding}");
    assert_eq!(incomplete(&finding), None, "{finding}");
    Ok(())
}

#[test]
fn code_made_at_run_time_is_not_guessed_through() -> Result<()> {
    let finding = finding(&CServer::start(&["-g"])?, "/generated")?;
    assert_eq!(own(&finding), ["give_up", "handle"], "{finding}");
    let why = incomplete(&finding);
    assert!(
        why.is_some_and(|why| why.contains("code made at run time")),
        "{why:?}"
    );
    Ok(())
}
