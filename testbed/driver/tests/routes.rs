//! What the hyper test server's other paths answer, as the client sees it.

use std::time::Duration;

use anyhow::Result;
use testbed::Signal;
use testbed::client::{Conn, End, Request, RequestBody};
use testbed::server::{HyperVersion, Options, Server};

fn server() -> Result<Server> {
    Server::start(HyperVersion::V1_12_0, &Options::unix())
}

#[test]
fn bytes_come_to_the_last_one_on_one_connection() -> Result<()> {
    for options in [
        Options::unix(),
        Options {
            threads: 2,
            vectored: false,
            ..Options::tcp()
        },
    ] {
        let server = Server::start(HyperVersion::V1_12_0, &options)?;
        let mut conn = Conn::connect(server.addr())?;
        for len in [0, 1, 65_536, 1_000_000, 20_000_000] {
            let mut wrong = 0;
            let outcome = conn.request_into(&Request::get(&format!("/bytes/{len}")), |piece| {
                wrong += piece.iter().filter(|byte| **byte != b'x').count();
            });
            assert!(outcome.complete(), "{outcome:?}");
            assert_eq!((outcome.promised, outcome.received), (Some(len), len));
            assert_eq!(outcome.wire, outcome.head_bytes + len);
            assert_eq!(wrong, 0);
            assert!(conn.reusable());
        }
    }
    Ok(())
}

#[test]
fn uploads_are_read_to_their_end() -> Result<()> {
    let server = server()?;
    let mut conn = Conn::connect(server.addr())?;
    for body in [
        RequestBody::Sized(vec![b'u'; 3_000_000]),
        RequestBody::Chunked(vec![b"one".to_vec(), Vec::new(), vec![b'u'; 3_000_000]]),
    ] {
        let outcome = conn.request(&Request::post("/bytes/10", body));
        assert!(outcome.complete(), "{outcome:?}");
        assert_eq!(outcome.write_error, None);
    }
    assert!(conn.reusable());
    Ok(())
}

#[test]
fn head_promises_without_sending() -> Result<()> {
    let server = server()?;
    let mut conn = Conn::connect(server.addr())?;
    let outcome = conn.request(&Request::new("HEAD", "/bytes/5000"));
    assert!(outcome.complete());
    assert_eq!((outcome.promised, outcome.received), (Some(5000), 0));
    assert!(conn.request(&Request::get("/bytes/7")).complete());
    Ok(())
}

#[test]
fn chunks_are_put_together() -> Result<()> {
    let server = server()?;
    let mut conn = Conn::connect(server.addr())?;
    for len in [0, 16_384, 1_000_000] {
        let outcome = conn.request(&Request::get(&format!("/chunked/{len}")));
        assert!(outcome.complete(), "{outcome:?}");
        assert_eq!((outcome.promised, outcome.received), (None, len));
        assert!(outcome.wire > outcome.head_bytes + len);
    }
    Ok(())
}

#[test]
fn a_lie_is_noticed() -> Result<()> {
    let server = server()?;
    for written in [0, 1, 99_999] {
        let path = format!("/lie/100000/{written}");
        let outcome = Conn::connect(server.addr())?.request(&Request::get(&path));
        assert!(outcome.truncated(), "{outcome:?}");
        assert_eq!(outcome.promised, Some(100_000));
        assert_eq!(outcome.received, written);
    }
    let kept = Conn::connect(server.addr())?.request(&Request::get("/lie/100000/100000"));
    assert!(kept.complete(), "{kept:?}");
    Ok(())
}

#[test]
fn a_server_killed_in_mid_response_truncates() -> Result<()> {
    let mut server = server()?;
    let mut conn = Conn::connect(server.addr())?;
    let mut request = Request::get("/slow/10000000");
    request = request.stop_after(65_536);
    assert_eq!(conn.request(&request).end, End::Stopped);
    assert!(!conn.reusable());

    let mut conn = Conn::connect(server.addr())?;
    let request = Request::get("/slow/10000000");
    conn.send(b"GET /slow/10000000 HTTP/1.1\r\nHost: testbed\r\n\r\n")?;
    assert!(conn.wait_readable(Duration::from_secs(5))?);
    server.kill(Signal::KILL)?;
    server.wait()?;
    let outcome = conn.receive(&request);
    assert!(outcome.truncated(), "{outcome:?}");
    assert!(outcome.received < 10_000_000);
    Ok(())
}

#[test]
fn a_silent_server_is_a_timeout() -> Result<()> {
    let mut server = server()?;
    server.kill(Signal::STOP)?;
    let mut conn = Conn::connect_with(server.addr(), Duration::from_millis(50))?;
    let outcome = conn.request(&Request::get("/bytes/1"));
    assert_eq!(outcome.end, End::Timeout);
    Ok(())
}

#[test]
fn nonsense_is_refused() -> Result<()> {
    let server = server()?;
    let mut conn = Conn::connect(server.addr())?;
    for (path, status) in [
        ("/", 404),
        ("/bytes", 404),
        ("/bytes/-1", 400),
        ("/bytes/99999999999", 400),
        ("/chunked/x", 400),
        ("/lie/1/", 400),
    ] {
        let outcome = conn.request(&Request::get(path));
        assert_eq!(outcome.status, Some(status), "{path}");
        assert!(outcome.complete());
    }
    Ok(())
}
