//! Which bytes are a message: a response only behind a received request, a request for
//! certain only with an answer.

use anyhow::Result;
use serde_json::Value;

use crate::beside::{unjudged, watched};

#[test]
fn what_is_printed_on_a_socket_is_no_message() -> Result<()> {
    const SCRIPT: &str = r#"
import subprocess
family, how, what = sys.argv[1:]
one, other = pair(family)
saved = {
    "short": head(5000) + b"x" * 300,
    "whole": head(300) + b"x" * 300,
    "long": head(10) + b"x" * 300,
    "request": b"PUT /a HTTP/1.1\r\nContent-Length: 5000\r\n\r\n" + b"x" * 300,
    "byte": b"T",
}[what]
if how == "child":
    # As Node gives them: a socket as standard output.
    code = "import os, sys; os.write(1, bytes.fromhex(sys.argv[1]))"
    subprocess.run([sys.executable, "-c", code, saved.hex()], stdout=one)
else:
    one.sendall(saved)
one.close()
while other.recv(65536):
    pass
other.close()
"#;
    for family in ["unix", "tcp"] {
        for how in ["child", "itself"] {
            for what in ["short", "whole", "long", "request", "byte"] {
                let (findings, summary, status) = watched(SCRIPT, &[family, how, what])?;
                assert_eq!(findings, Vec::<Value>::new(), "{family} {how} {what}");
                let counts = (&summary["messages_judged"], unjudged(&summary, "not-http"));
                assert_eq!(counts, (&0.into(), 1), "{family} {how} {what}: {summary}");
                assert_eq!(status, Some(0));
            }
        }
    }
    Ok(())
}

/// As inetd starts servers: the socket is standard input and output.
#[test]
fn a_server_on_standard_input_and_output_is_judged() -> Result<()> {
    const SCRIPT: &str = r#"
import subprocess
server, client = pair(sys.argv[1])
client.sendall(b"GET /x HTTP/1.1\r\nHost: a\r\n\r\n")
code = "import os; os.read(0, 4096); os.write(1, b'HTTP/1.1 200 OK\\r\\nContent-Length: 900\\r\\n\\r\\n' + b'x' * 300)"
child = subprocess.Popen([sys.executable, "-c", code], stdin=server, stdout=server)
server.close()
child.wait()
while client.recv(65536):
    pass
"#;
    for family in ["tcp", "unix"] {
        let (findings, summary, status) = watched(SCRIPT, &[family])?;
        assert_eq!(findings.len(), 1, "{family}: {summary}");
        let finding = &findings[0];
        assert_eq!(
            (&finding["cause"], &finding["sent_bytes"], status),
            (&"process-exit".into(), &300.into(), Some(1))
        );
        assert_eq!(finding["message"]["target"], "/x");
    }
    Ok(())
}

#[test]
fn an_upload_is_local_where_its_peer_spoke_http() -> Result<()> {
    const SCRIPT: &str = r#"
family, spoke = sys.argv[1:]
if family == "tcp":
    listener = socket.create_server(("127.0.0.1", 0))
    connect = lambda: socket.create_connection(listener.getsockname())
else:
    listener = socket.socket(socket.AF_UNIX)
    listener.bind("\0nature-%d" % os.getpid())
    listener.listen()
    def connect():
        client = socket.socket(socket.AF_UNIX)
        client.connect(listener.getsockname())
        return client
if spoke == "yes":
    client = connect()
    server = listener.accept()[0]
    client.sendall(b"GET /x HTTP/1.1\r\nHost: a\r\n\r\n")
    server.recv(1000)
    server.sendall(head(2) + b"ok")
    client.recv(1000)
client = connect()
server = listener.accept()[0]
client.sendall(b"PUT /a HTTP/1.1\r\nContent-Length: 5000\r\n\r\n" + b"x" * 300)
server.recv(4096)
client.close()
server.recv(4096)
time.sleep(0.1)
"#;
    for family in ["tcp", "unix"] {
        for (spoke, fault, expected) in [("yes", "local", 1), ("no", "unknown", 0)] {
            let (findings, summary, status) = watched(SCRIPT, &[family, spoke])?;
            assert_eq!(findings.len(), 1, "{family} {spoke}: {summary}");
            let finding = &findings[0];
            assert_eq!(
                (&finding["cause"], &finding["fault"], status),
                (&"premature-close".into(), &fault.into(), Some(expected)),
                "{family} {spoke}"
            );
        }
    }
    Ok(())
}

#[test]
fn an_interim_answer_hides_no_cut_upload() -> Result<()> {
    const SCRIPT: &str = r#"
family, answers, end = sys.argv[1:]
server, client = pair(family)
client.sendall(b"PUT /a HTTP/1.1\r\nContent-Length: 20000\r\nExpect: 100-continue\r\n\r\n")
server.recv(4096)
for answer in answers.split(","):
    server.sendall(b"HTTP/1.1 %s X\r\n%s\r\n" % (
        answer.encode(), b"" if answer[0] == "1" else b"Content-Length: 0\r\n"))
    time.sleep(0.05)
    if end != "unread" or answer[0] == "1":
        client.recv(4096)
client.sendall(b"x" * 4000)
server.recv(65536)
if end in ("close", "unread"):
    client.close()
else:
    child = os.fork()
    if child == 0:
        os.kill(os.getpid(), 9)
    client.close()
    os.waitpid(child, 0)
time.sleep(0.1)
"#;
    for family in ["tcp", "unix"] {
        for answers in ["100", "102,100", "103"] {
            let (findings, summary, status) = watched(SCRIPT, &[family, answers, "close"])?;
            assert_eq!(
                (findings.len(), status),
                (1, Some(1)),
                "{answers}: {summary}"
            );
            let finding = &findings[0];
            assert_eq!(
                (&finding["fault"], &finding["sent_bytes"]),
                (&"local".into(), &4000.into())
            );
        }
        for (answers, end) in [("413", "close"), ("100,413", "close"), ("100,413", "unread")] {
            let (findings, summary, _) = watched(SCRIPT, &[family, answers, end])?;
            let counts = (findings.len(), unjudged(&summary, "early-response"));
            assert_eq!(counts, (0, 1), "{family} {answers} {end}: {summary}");
        }
    }
    Ok(())
}

#[test]
fn a_request_behind_a_proxy_header_is_known() -> Result<()> {
    const SCRIPT: &str = r#"
family, version, apart = sys.argv[1:]
server, client = pair(family)
header = {
    "line": b"PROXY TCP4 192.0.2.1 192.0.2.2 40312 80\r\n",
    "unknown": b"PROXY UNKNOWN\r\n",
    "binary": b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c" + bytes(range(12)),
    "local": b"\r\n\r\n\0\r\nQUIT\n\x20\0\0\0",
}[version]
get = b"GET /target HTTP/1.1\r\nHost: a\r\n\r\n"
if apart == "apart":
    client.sendall(header)
    server.recv(4096)
    client.sendall(get)
else:
    client.sendall(header + get)
server.recv(4096)
server.sendall(head(1000) + b"x" * 400)
server.close()
"#;
    for family in ["tcp", "unix"] {
        for version in ["line", "unknown", "binary", "local"] {
            for apart in ["apart", "together"] {
                let (findings, summary, _) = watched(SCRIPT, &[family, version, apart])?;
                assert_eq!(findings.len(), 1, "{version} {apart}: {summary}");
                let message = &findings[0]["message"];
                assert_eq!(
                    (&message["method"], &message["target"]),
                    (&"GET".into(), &"/target".into()),
                    "{version} {apart}"
                );
            }
        }
    }
    Ok(())
}

#[test]
fn bytes_behind_a_response_without_a_body_are_an_overrun() -> Result<()> {
    const SCRIPT: &str = r#"
what, apart = sys.argv[1:]
server, client = pair("tcp")
method, response = {
    "head": (b"HEAD", head(20)),
    "empty": (b"GET", head(0)),
    "204": (b"GET", b"HTTP/1.1 204 No Content\r\n\r\n"),
    "304": (b"GET", b"HTTP/1.1 304 Not Modified\r\nContent-Length: 9\r\n\r\n"),
}[what]
client.sendall(method + b" /x HTTP/1.1\r\nHost: a\r\n\r\n")
server.recv(1000)
if apart == "apart":
    server.sendall(response)
    server.sendall(b"{ 'a': 'bcdefghijkl' }")
else:
    server.sendall(response + b"{ 'a': 'bcdefghijkl' }")
client.recv(4096)
server.close()
"#;
    for what in ["head", "empty", "204", "304"] {
        for apart in ["apart", "together"] {
            let (findings, summary, status) = watched(SCRIPT, &[what, apart])?;
            assert_eq!((findings.len(), status), (1, Some(1)), "{what}: {summary}");
            assert_eq!(
                (&findings[0]["cause"], &findings[0]["sent_bytes"]),
                (&"overrun".into(), &22.into()),
                "{what} {apart}"
            );
        }
    }
    Ok(())
}

#[test]
fn a_client_of_a_tunnel_is_counted_as_one() -> Result<()> {
    const SCRIPT: &str = r#"
request, answer = {
    "upgrade": (b"GET /chat HTTP/1.1\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n",
                b"HTTP/1.1 101 Switching Protocols\r\n\r\n"),
    "connect": (b"CONNECT a:443 HTTP/1.1\r\nHost: a\r\n\r\n", b"HTTP/1.1 200 OK\r\n\r\n"),
}[sys.argv[1]]
server, client = pair(sys.argv[2])
client.sendall(request)
server.recv(4096)
server.sendall(answer)
client.recv(4096)
for size in (9, 5000):
    client.sendall(b"\x16\x03\x01" + b"y" * size)
server.recv(4096)
client.close()
time.sleep(0.1)
"#;
    for what in ["upgrade", "connect"] {
        for family in ["tcp", "unix"] {
            let (findings, summary, _) = watched(SCRIPT, &[what, family])?;
            // Both ends are.
            let counts = (
                findings.len(),
                unjudged(&summary, "tunnel"),
                unjudged(&summary, "unaccounted"),
            );
            assert_eq!(counts, (0, 2, 0), "{what} {family}: {summary}");
        }
    }
    Ok(())
}

#[test]
fn a_head_of_many_lines_is_http() -> Result<()> {
    const SCRIPT: &str = r#"
server, client = pair("tcp")
request(server, client)
lines = b"X-Field: a value of its own, longer than most\r\n" * 340
server.sendall(b"HTTP/1.1 200 OK\r\n" + lines + b"Content-Length: 1000\r\n\r\n" + b"x" * 400)
server.close()
time.sleep(0.1)
"#;
    let (findings, summary, status) = watched(SCRIPT, &[])?;
    assert_eq!((findings.len(), status), (1, Some(1)), "{summary}");
    assert_eq!(findings[0]["sent_bytes"], 400);
    Ok(())
}
