//! What is said of real logs that show too little.

use std::fs;

use crate::{
    filters::BEGIN,
    program::{file, log, with},
    strace::trace,
};

#[test]
fn connections_that_the_log_does_not_open_are_explained() {
    let program = format!(
        "{BEGIN}
client, server = accepted()
for at in range(1):
    server.send(head(100)); server.send(b'x' * 100)
"
    );
    let options = ["-f", "-tt", "-yy", "-s", "8192", "-e"];
    let said = |filter: &str| {
        let options: Vec<_> = options.iter().copied().chain([filter]).collect();
        let analyzed = file(&trace("joined", &program, &options, true));
        (analyzed.unjudged("mid-stream"), analyzed.said)
    };
    let (joined, told) = said("sendto,recvfrom,close");
    assert!(joined > 0 && told.contains("accept4"), "{told}");
    assert_eq!(
        said("%net,%desc,%process,close_range,unshare"),
        (0, String::new())
    );
}

#[test]
fn an_end_that_is_in_no_line_is_no_matter_of_bytes() {
    let program = format!(
        "{BEGIN}
for at in range(2):
    client, server = accepted()
    server.send(head(1000) + b'x' * 400)
    server.close(); client.close()
"
    );
    let options = ["-f", "-tt", "-yy", "-s", "60", "-e", "%net"];
    let analyzed = file(&trace("unseen-end", &program, &options, true));
    assert_eq!(analyzed.findings.len(), 0, "{:?}", analyzed.findings);
    assert!(
        analyzed.unjudged("not-observed") > 0,
        "{}",
        analyzed.summary
    );
    assert!(
        analyzed.said.contains("close_range, dup2"),
        "{}",
        analyzed.said
    );
    assert!(!analyzed.said.contains("(-s)"), "{}", analyzed.said);
}

#[test]
fn a_line_that_is_none_is_a_matter_of_o_only_without_it() {
    let program = format!("{BEGIN}\nclient, server = accepted()\nserver.sendall(head(0))\n");
    for by_file in [true, false] {
        let path = trace("torn", &program, &["-f", "-tt", "-yy"], by_file);
        let text = fs::read_to_string(path).expect("a log");
        let (first, rest) = text.split_once('\n').expect("lines");
        let analyzed = log(format!("{first}\n@@\n{rest}"));
        assert_eq!(analyzed.unjudged("unreadable-lines"), 1);
        let remedy = if by_file {
            "analyze the log as strace wrote it"
        } else {
            "-o FILE"
        };
        let said = analyzed.said.replace("\n  ", " ");
        assert!(said.contains(remedy), "{said}");
        assert!(
            said.contains("1 line could not be read, it is line 2"),
            "{said}"
        );
    }
}

#[test]
fn what_a_peer_cut_has_its_address() {
    let program = format!(
        "{BEGIN}
import struct
server, rest, reader = begun()
client = reader._args[0]
client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack('ii', 1, 0))
client.close()
try:
    while True: server.send(rest[:100])
except OSError: pass
server.close()
"
    );
    let path = trace("reset", &program, &["-f", "-tt", "-yy", "-s", "8192"], true);
    let analyzed = with(&["--show-peer"], fs::read(path).expect("a log"));
    assert_eq!(analyzed.one().0, "peer-closed");
    let socket = &analyzed.findings[0]["socket"];
    for end in ["local", "peer"] {
        let address = socket[end].as_str().unwrap_or_default();
        assert!(address.starts_with("127.0.0.1:"), "{socket}");
    }
}
