//! A server in which several threads or processes have to do with one socket,
//! or with one descriptor: `crowd MODE unix:PATH` or `crowd MODE tcp`.
//!
//! It answers `GET /PROMISED/SENT` with a Content-Length of PROMISED and SENT
//! body bytes, then closes. MODE says who does it:
//!
//! | mode | who |
//! | --- | --- |
//! | `threads` | four threads accept and serve, so that a number closed by one is another's at once |
//! | `processes` | each connection has a child, which holds the socket for as long as its parent does |
//! | `handed` | one process accepts and reads, its child answers |
//! | `begun` | a child reads and begins to answer, its parent, which accepted, sends the rest, in which is what looks like a head |
//! | `deaf` | it shuts down its reading side behind the head, and reads the end that this makes |
//! | `keepers` | each connection is served, then kept for a while by a child |
//! | `writers` | the body is written by four threads at once |
//! | `blocked` | one thread writes, and while it is blocked another shuts down and says so |

use std::{
    io,
    net::{Shutdown, TcpListener},
    os::{
        fd::AsFd,
        unix::net::{UnixListener, UnixStream},
    },
    sync::Arc,
    thread,
    time::Duration,
};

use anyhow::{Context as _, Result, bail};
use rustix::event::{PollFd, PollFlags, Timespec, poll};

/// A connection of either kind.
trait Stream: io::Read + io::Write + AsFd + Send {
    fn copy(&self) -> io::Result<Box<dyn Stream>>;
    fn shut(&self, how: Shutdown) -> io::Result<()>;
}

impl Stream for UnixStream {
    fn copy(&self) -> io::Result<Box<dyn Stream>> {
        Ok(Box::new(self.try_clone()?))
    }
    fn shut(&self, how: Shutdown) -> io::Result<()> {
        self.shutdown(how)
    }
}

impl Stream for std::net::TcpStream {
    fn copy(&self) -> io::Result<Box<dyn Stream>> {
        Ok(Box::new(self.try_clone()?))
    }
    fn shut(&self, how: Shutdown) -> io::Result<()> {
        self.shutdown(how)
    }
}

enum Listener {
    Unix(UnixListener),
    Tcp(TcpListener),
}

impl Listener {
    fn accept(&self) -> io::Result<Box<dyn Stream>> {
        Ok(match self {
            Self::Unix(listener) => Box::new(listener.accept()?.0),
            Self::Tcp(listener) => {
                let (stream, _) = listener.accept()?;
                stream.set_nodelay(true)?;
                Box::new(stream)
            }
        })
    }
}

type Serve = fn(Box<dyn Stream>) -> Result<()>;

fn main() -> Result<()> {
    let arguments: Vec<_> = std::env::args().skip(1).collect();
    let [mode, address] = &arguments[..] else {
        bail!("usage: crowd MODE unix:PATH | crowd MODE tcp");
    };
    let listener = Arc::new(if let Some(path) = address.strip_prefix("unix:") {
        let listener = UnixListener::bind(path)?;
        println!("listening {path}");
        Listener::Unix(listener)
    } else {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        println!("listening {}", listener.local_addr()?);
        Listener::Tcp(listener)
    });
    let (acceptors, serve): (usize, Serve) = match mode.as_str() {
        "threads" => (4, |stream| answer(stream)),
        "processes" => (1, in_child),
        "handed" => (1, handed),
        "begun" => (1, begun),
        "deaf" => (1, deaf),
        "keepers" => (1, then_kept),
        "writers" => (1, by_four),
        "blocked" => (1, blocked),
        _ => bail!("no such mode: {mode}"),
    };
    let threads: Vec<_> = (0..acceptors)
        .map(|_| {
            let listener = Arc::clone(&listener);
            thread::spawn(move || {
                loop {
                    // A client that went away is no reason to stop.
                    match listener.accept().map_err(Into::into).and_then(serve) {
                        Ok(()) => {}
                        Err(error) => eprintln!("crowd: {error:#}"),
                    }
                }
            })
        })
        .collect();
    for thread in threads {
        if thread.join().is_err() {
            bail!("a thread ended");
        }
    }
    Ok(())
}

/// The head to send, and how many bytes of a body.
fn request(stream: &mut dyn Stream) -> Result<(Vec<u8>, usize)> {
    let mut bytes = [0; 4096];
    let length = stream.read(&mut bytes)?;
    let request = String::from_utf8_lossy(bytes.get(..length).unwrap_or_default()).into_owned();
    let path = request.split_whitespace().nth(1).context("no request")?;
    let (promised, sent) = path
        .trim_start_matches('/')
        .split_once('/')
        .context("the path is /PROMISED/SENT")?;
    let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {promised}\r\n\r\n");
    Ok((head.into_bytes(), sent.parse()?))
}

fn answer(mut stream: Box<dyn Stream>) -> Result<()> {
    answer_on(&mut *stream)
}

fn answer_on(stream: &mut dyn Stream) -> Result<()> {
    let (mut message, sent) = request(stream)?;
    message.resize(message.len() + sent, b'x');
    Ok(stream.write_all(&message)?)
}

fn in_child(stream: Box<dyn Stream>) -> Result<()> {
    let child = fork()?;
    if child == 0 {
        let status = i32::from(answer(stream).is_err());
        std::process::exit(status);
    }
    drop(stream);
    wait(child)
}

fn handed(mut stream: Box<dyn Stream>) -> Result<()> {
    let (mut message, sent) = request(&mut *stream)?;
    let child = fork()?;
    if child == 0 {
        message.resize(message.len() + sent, b'x');
        let status = i32::from(stream.write_all(&message).is_err());
        std::process::exit(status);
    }
    wait(child)
}

fn begun(mut stream: Box<dyn Stream>) -> Result<()> {
    const REST: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\nxxxx";
    let child = fork()?;
    if child == 0 {
        let sends = |stream: &mut dyn Stream| {
            let (mut message, sent) = request(stream)?;
            message.resize(message.len() + sent - REST.len(), b'x');
            Ok::<_, anyhow::Error>(stream.write_all(&message)?)
        };
        let status = i32::from(sends(&mut *stream).is_err());
        std::process::exit(status);
    }
    wait(child)?;
    Ok(stream.write_all(REST)?)
}

fn deaf(mut stream: Box<dyn Stream>) -> Result<()> {
    let (mut message, sent) = request(&mut *stream)?;
    stream.shut(Shutdown::Read)?;
    let mut bytes = [0; 16];
    if stream.read(&mut bytes)? != 0 {
        bail!("there is more to read");
    }
    message.resize(message.len() + sent, b'x');
    Ok(stream.write_all(&message)?)
}

/// In the child it is 0.
fn fork() -> io::Result<libc::pid_t> {
    // SAFETY: the child has one thread, the one that called, and uses nothing
    // that another thread may have held.
    let pid = unsafe { libc::fork() };
    if pid < 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(pid)
}

fn wait(child: libc::pid_t) -> Result<()> {
    // SAFETY: a child of ours, and no pointers.
    if unsafe { libc::waitpid(child, std::ptr::null_mut(), 0) } < 0 {
        return Err(io::Error::last_os_error().into());
    }
    Ok(())
}

fn then_kept(mut stream: Box<dyn Stream>) -> Result<()> {
    answer_on(&mut *stream)?;
    if fork()? == 0 {
        thread::sleep(Duration::from_millis(200));
        std::process::exit(0);
    }
    Ok(())
}

fn by_four(mut stream: Box<dyn Stream>) -> Result<()> {
    let (head, sent) = request(&mut *stream)?;
    stream.write_all(&head)?;
    let mut writers = Vec::new();
    for number in 0..4 {
        let part = sent / 4 + if number < sent % 4 { 1 } else { 0 };
        let mut stream = stream.copy()?;
        writers.push(thread::spawn(move || {
            vec![b'x'; part]
                .chunks(997)
                .try_for_each(|piece| stream.write_all(piece))
        }));
    }
    for writer in writers {
        match writer.join() {
            Ok(result) => result?,
            Err(_) => bail!("a writer ended"),
        }
    }
    Ok(())
}

/// Promises more than a socket's buffer holds; the client is to read late.
fn blocked(mut stream: Box<dyn Stream>) -> Result<()> {
    let (mut message, sent) = request(&mut *stream)?;
    message.resize(message.len() + sent, b'x');
    let mut writer = stream.copy()?;
    let thread = thread::spawn(move || writer.write_all(&message));
    let blocked = Timespec {
        tv_sec: 0,
        tv_nsec: 100_000_000,
    };
    // Until the socket has taken nothing for so long, whenever the writer began.
    loop {
        let mut sockets = [PollFd::new(&stream, PollFlags::OUT)];
        if poll(&mut sockets, Some(&blocked))? == 0 {
            break;
        }
        let [socket] = &sockets;
        if socket.revents().intersects(PollFlags::HUP | PollFlags::ERR) {
            bail!("the client has left");
        }
        thread::sleep(Duration::from_millis(1));
    }
    stream.shut(Shutdown::Write)?;
    println!("shut down");
    match thread.join() {
        // EPIPE is what it is to see.
        Ok(_) => Ok(()),
        Err(_) => bail!("the writer ended"),
    }
}
