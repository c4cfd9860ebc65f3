//! Every framework's server answers the same paths, as the client sees it.

use std::time::Duration;

use anyhow::Result;
use testbed::client::{Conn, Outcome, Request, RequestBody};
use testbed::framework::Framework;
use testbed::server::Listen;

/// The outcome, and the body if it is text.
fn text(conn: &mut Conn, request: &Request) -> (Outcome, String) {
    let mut body = Vec::new();
    let outcome = conn.request_into(request, |piece| body.extend_from_slice(piece));
    (outcome, String::from_utf8_lossy(&body).into_owned())
}

fn answers_everything(framework: Framework) -> Result<()> {
    for listen in [Listen::Unix, Listen::tcp()] {
        let server = framework.start(listen)?;
        let mut conn = Conn::connect(server.addr())?;
        for (method, path, field, status, promised, received) in [
            ("GET", "/bytes/0", None, 200, Some(0), 0),
            ("GET", "/bytes/70000", None, 200, Some(70_000), 70_000),
            ("HEAD", "/bytes/5000", None, 200, Some(5_000), 0),
            ("GET", "/slow/100000", None, 200, Some(100_000), 100_000),
            ("GET", "/lie/3000/3000", None, 200, Some(3_000), 3_000),
            ("GET", "/chunked/100000", None, 200, None, 100_000),
            ("GET", "/etag", None, 200, Some(1_000_000), 1_000_000),
            (
                "GET",
                "/etag",
                Some(("If-None-Match", "\"x\"")),
                304,
                None,
                0,
            ),
            ("GET", "/file", None, 200, Some(1_000_000), 1_000_000),
            (
                "GET",
                "/file",
                Some(("Range", "bytes=10-19")),
                206,
                Some(10),
                10,
            ),
            (
                "GET",
                "/file",
                Some(("Range", "bytes=9-1000000")),
                416,
                Some(0),
                0,
            ),
            ("GET", "/nothing", None, 404, Some(0), 0),
            ("GET", "/bytes/x", None, 400, Some(0), 0),
        ] {
            let mut request = Request::new(method, path);
            if let Some((name, value)) = field {
                request = request.header(name, value);
            }
            if !conn.reusable() {
                conn = Conn::connect(server.addr())?;
            }
            let (outcome, body) = text(&mut conn, &request);
            assert!(outcome.complete(), "{framework} {path}: {outcome:?}");
            assert_eq!(outcome.status, Some(status), "{framework} {path}");
            assert_eq!(outcome.received, received, "{framework} {path}");
            // A 304 may say how long a 200 would be.
            if status != 304 {
                assert_eq!(outcome.promised, promised, "{framework} {path}");
            }
            assert!(body.bytes().all(|byte| byte == b'x'), "{framework} {path}");
        }
        for body in [
            RequestBody::Sized(vec![b'u'; 300_000]),
            RequestBody::Chunked(vec![b"one".to_vec(), vec![b'u'; 299_997]]),
        ] {
            let (outcome, body) = text(&mut conn, &Request::post("/upload", body));
            assert!(outcome.complete(), "{framework}: {outcome:?}");
            assert_eq!(body, "300000", "{framework}");
        }
    }
    Ok(())
}

fn cuts_short(framework: Framework) -> Result<()> {
    let server = framework.start(Listen::tcp())?;
    let lie = Conn::connect(server.addr())?.request(&Request::get("/lie/5000/3000"));
    assert!(lie.truncated(), "{framework}: {lie:?}");
    assert_eq!((lie.promised, lie.received), (Some(5_000), 3_000));
    // Much later than the timer: Node's begins anew when the socket took something since.
    let request = Request::get("/timer/50000000/50").read_after(Duration::from_secs(1));
    let late = Conn::connect(server.addr())?.request(&request);
    assert!(late.truncated(), "{framework}: {late:?}");
    assert_eq!(late.promised, Some(50_000_000));
    assert!(late.received > 0, "{framework}: {late:?}");
    let request = Request::get("/timer/100000/5000");
    let kept = Conn::connect(server.addr())?.request(&request);
    assert!(kept.complete(), "{framework}: {kept:?}");
    Ok(())
}

macro_rules! tests {
    ($($name:ident: $framework:ident,)*) => {$(
        mod $name {
            #[test]
            fn answers_everything() -> anyhow::Result<()> {
                super::answers_everything(testbed::framework::Framework::$framework)
            }

            #[test]
            fn cuts_short() -> anyhow::Result<()> {
                super::cuts_short(testbed::framework::Framework::$framework)
            }
        }
    )*};
}

tests! {
    axum: Axum,
    warp: Warp,
    actix: Actix,
    node: Node,
    python: Python,
    uvicorn: Uvicorn,
}
