//! A server that makes exactly the system calls it is told to, for one
//! connection: `calls unix:PATH` or `calls tcp`; or `calls launcher`, which
//! starts one for each such address that it reads.
//!
//! The request's path says what to do: `/SEND/END/PROMISED/SENT`. It promises
//! PROMISED body bytes, sends head and SENT body bytes by the call SEND, and
//! ends by END. See [`SENDS`] and [`ENDS`].

use std::{
    fs::File,
    io::{self, Read as _, Seek as _, Write as _},
    os::fd::{AsRawFd as _, FromRawFd as _, IntoRawFd as _, OwnedFd},
    process::Command,
};

use anyhow::{Context as _, Result, bail};

type Send = fn(i32, &[u8], usize) -> io::Result<()>;
type End = fn(i32) -> io::Result<()>;

/// Each sends all of the bytes, of which the second argument are the head.
const SENDS: [(&str, Send); 12] = [
    ("write", |fd, bytes, _| {
        all(bytes, |rest| call(unsafe_write(fd, rest)))
    }),
    ("writev", |fd, bytes, head| {
        let (head, body) = bytes.split_at(head);
        // SAFETY: the vectors point into slices that outlive the call.
        call(unsafe { libc::writev(fd, [vector(head), vector(body)].as_ptr(), 2) })?;
        Ok(())
    }),
    ("writev-many", |fd, bytes, _| {
        let vectors: Vec<_> = bytes.chunks(7).map(vector).collect();
        let count = i32::try_from(vectors.len()).unwrap_or(i32::MAX);
        // SAFETY: as above.
        call(unsafe { libc::writev(fd, vectors.as_ptr(), count) })?;
        Ok(())
    }),
    ("pwritev2", |fd, bytes, head| {
        let (head, body) = bytes.split_at(head);
        // SAFETY: as above; offset -1 means the stream's own.
        call(unsafe { libc::pwritev2(fd, [vector(head), vector(body)].as_ptr(), 2, -1, 0) })?;
        Ok(())
    }),
    ("sendto", |fd, bytes, _| {
        all(bytes, |rest| call(unsafe_send(fd, rest, 0)))
    }),
    ("sendto-one-by-one", |fd, bytes, _| {
        bytes
            .chunks(1)
            .try_for_each(|byte| call(unsafe_send(fd, byte, 0)).map(drop))
    }),
    ("sendmsg", |fd, bytes, head| {
        let (head, body) = bytes.split_at(head);
        let mut vectors = [vector(head), vector(body)];
        // SAFETY: the message points to vectors that outlive the call.
        call(unsafe { libc::sendmsg(fd, &message(&mut vectors), 0) })?;
        Ok(())
    }),
    ("sendmmsg", |fd, bytes, head| {
        let (head, body) = bytes.split_at(head);
        let (first, second) = head.split_at(10);
        let mut parts = [[vector(first)], [vector(second)], [vector(body)]];
        let mut messages = parts.each_mut().map(|part| libc::mmsghdr {
            msg_hdr: message(part),
            msg_len: 0,
        });
        // SAFETY: as above, three messages.
        call(unsafe { libc::sendmmsg(fd, messages.as_mut_ptr(), 3, 0) })?;
        Ok(())
    }),
    ("sendfile", |fd, bytes, head| {
        let (head, body) = bytes.split_at(head);
        call(unsafe_write(fd, head))?;
        let file = file(body)?;
        // SAFETY: no pointers but a null one.
        call(unsafe { libc::sendfile(fd, file.as_raw_fd(), std::ptr::null_mut(), body.len()) })?;
        Ok(())
    }),
    // The file is shorter than what is asked for: the second call returns 0.
    ("sendfile-shrunk", |fd, bytes, head| {
        let (head, body) = bytes.split_at(head);
        call(unsafe_write(fd, head))?;
        let file = file(body)?;
        for _ in 0..2 {
            // SAFETY: as above.
            call(unsafe { libc::sendfile(fd, file.as_raw_fd(), std::ptr::null_mut(), 1 << 20) })?;
        }
        Ok(())
    }),
    ("splice", |fd, bytes, head| {
        let (head, body) = bytes.split_at(head);
        call(unsafe_write(fd, head))?;
        let (reader, mut writer) = io::pipe()?;
        writer.write_all(body)?;
        let null = std::ptr::null_mut();
        // SAFETY: no pointers but null ones.
        call(unsafe { libc::splice(reader.as_raw_fd(), null, fd, null, body.len(), 0) })?;
        Ok(())
    }),
    ("zerocopy", |fd, bytes, _| {
        let one = 1i32;
        // SAFETY: a pointer to an integer and its size.
        call(unsafe {
            libc::setsockopt(
                fd,
                libc::SOL_SOCKET,
                libc::SO_ZEROCOPY,
                (&raw const one).cast(),
                4,
            )
        })?;
        all(bytes, |rest| {
            call(unsafe_send(fd, rest, libc::MSG_ZEROCOPY))
        })
    }),
];

/// Each ends the connection, and the process where that is how it ends.
const ENDS: [(&str, End); 15] = [
    ("shutdown-wr", |fd| {
        call(unsafe_shutdown(fd, libc::SHUT_WR)).and_then(|_| linger_on())
    }),
    ("shutdown-rdwr", |fd| {
        call(unsafe_shutdown(fd, libc::SHUT_RDWR)).and_then(|_| linger_on())
    }),
    ("close", |fd| close(fd).and_then(|()| linger_on())),
    ("close-range", |fd| {
        // SAFETY: no pointers.
        call(unsafe { libc::syscall(libc::SYS_close_range, fd, fd, 0) })?;
        linger_on()
    }),
    ("dup2", |fd| {
        // SAFETY: no pointers.
        call(unsafe { libc::dup2(0, fd) })?;
        linger_on()
    }),
    ("dup3", |fd| {
        // SAFETY: no pointers.
        call(unsafe { libc::dup3(0, fd, libc::O_CLOEXEC) })?;
        linger_on()
    }),
    ("exec", |fd| {
        // SAFETY: no pointers.
        call(unsafe { libc::fcntl(fd, libc::F_SETFD, libc::FD_CLOEXEC) })?;
        let (program, time) = (c"/bin/sleep", c"1");
        let arguments = [program.as_ptr(), time.as_ptr(), std::ptr::null()];
        // SAFETY: strings with their zero bytes, a list with its null.
        call(unsafe { libc::execv(program.as_ptr(), arguments.as_ptr()) })?;
        Ok(())
    }),
    ("exit", |_| std::process::exit(3)),
    ("kill", |_| {
        // SAFETY: no pointers; this process.
        call(unsafe { libc::kill(libc::getpid(), libc::SIGKILL) })?;
        Ok(())
    }),
    // The connection ends with the second close.
    ("dup-close", |fd| {
        // SAFETY: no pointers.
        let second = call(unsafe { libc::dup(fd) })?;
        close(fd)?;
        pause(200);
        close(i32::try_from(second).unwrap_or(-1))?;
        linger_on()
    }),
    // Held by two descriptors when the process ends.
    ("dup-exit", |fd| {
        // SAFETY: no pointers.
        call(unsafe { libc::dup(fd) })?;
        std::process::exit(4)
    }),
    // The child holds it for longer than the parent.
    ("fork-child-last", |fd| {
        // SAFETY: this process has one thread.
        if call(unsafe { libc::fork() })? == 0 {
            pause(200);
            std::process::exit(5)
        }
        close(fd)?;
        pause(400);
        linger_on()
    }),
    // Sent through a Unix socket and closed; what arrives is closed later.
    ("scm-rights", |fd| {
        let (here, there) = std::os::unix::net::UnixStream::pair()?;
        send_descriptor(here.as_raw_fd(), fd)?;
        close(fd)?;
        pause(200);
        let received = receive_descriptor(there.as_raw_fd())?;
        close(received)?;
        linger_on()
    }),
    // A descriptor is closed, others remain: the connection does not end.
    ("dup-keep", |fd| {
        // SAFETY: no pointers.
        call(unsafe { libc::dup(fd) })?;
        close(fd)?;
        linger_on()
    }),
    ("linger-close", |fd| {
        let linger = libc::linger {
            l_onoff: 1,
            l_linger: 0,
        };
        // SAFETY: a pointer to a structure and its size.
        call(unsafe {
            libc::setsockopt(
                fd,
                libc::SOL_SOCKET,
                libc::SO_LINGER,
                (&raw const linger).cast(),
                8,
            )
        })?;
        close(fd)?;
        linger_on()
    }),
];

fn main() -> Result<()> {
    let address = std::env::args()
        .nth(1)
        .context("usage: calls unix:PATH | tcp | launcher")?;
    if address == "launcher" {
        return launch();
    }
    let mut connection = accept(&address)?;
    let mut bytes = [0; 4096];
    let length = connection.read(&mut bytes)?;
    let request = String::from_utf8_lossy(bytes.get(..length).unwrap_or_default()).into_owned();
    let target = request.split_whitespace().nth(1).context("no request")?;
    let path = target.split('?').next().unwrap_or(target);
    let parts: Vec<_> = path.split('/').skip(1).collect();
    let [send, end, promised, sent] = parts[..] else {
        bail!("the path is /SEND/END/PROMISED/SENT, not {path}");
    };
    let (_, send) = SENDS
        .iter()
        .find(|(name, _)| *name == send)
        .context("no such SEND")?;
    let (_, end) = ENDS
        .iter()
        .find(|(name, _)| *name == end)
        .context("no such END")?;
    let mut message = format!("HTTP/1.1 200 OK\r\nContent-Length: {promised}\r\n\r\n").into_bytes();
    let head = message.len();
    message.resize(head + sent.parse::<usize>()?, b'x');
    let fd = connection.into_raw_fd();
    send(fd, &message, head)?;
    end(fd)?;
    Ok(())
}

/// Starts a server for each address on standard input, one after the other.
fn launch() -> Result<()> {
    let mut out = io::stdout();
    for address in io::stdin().lines() {
        let mut child = Command::new(std::env::current_exe()?)
            .arg(address?)
            .spawn()?;
        child.wait()?;
        writeln!(out, "ended")?;
    }
    Ok(())
}

/// The only connection of this process, with nothing beside it.
fn accept(address: &str) -> Result<File> {
    let mut out = io::stdout();
    writeln!(out, "pid {}", std::process::id())?;
    let connection = if let Some(path) = address.strip_prefix("unix:") {
        let listener = std::os::unix::net::UnixListener::bind(path)?;
        writeln!(out, "listening {path}")?;
        OwnedFd::from(listener.accept()?.0)
    } else {
        let listener = std::net::TcpListener::bind("127.0.0.1:0")?;
        writeln!(out, "listening {}", listener.local_addr()?)?;
        OwnedFd::from(listener.accept()?.0)
    };
    Ok(File::from(connection))
}

/// What a call returned, or its error.
fn call(result: impl TryInto<i64>) -> io::Result<i64> {
    match result.try_into() {
        Ok(result) if result >= 0 => Ok(result),
        _ => Err(io::Error::last_os_error()),
    }
}

/// Repeats a call that may take only a part.
fn all(bytes: &[u8], mut part: impl FnMut(&[u8]) -> io::Result<i64>) -> io::Result<()> {
    let mut rest = bytes;
    while !rest.is_empty() {
        let taken = usize::try_from(part(rest)?).unwrap_or(0);
        rest = rest.get(taken..).unwrap_or_default();
    }
    Ok(())
}

fn unsafe_write(fd: i32, bytes: &[u8]) -> isize {
    // SAFETY: a slice and its length.
    unsafe { libc::write(fd, bytes.as_ptr().cast(), bytes.len()) }
}

fn unsafe_send(fd: i32, bytes: &[u8], flags: i32) -> isize {
    // SAFETY: a slice and its length.
    unsafe { libc::send(fd, bytes.as_ptr().cast(), bytes.len(), flags) }
}

fn unsafe_shutdown(fd: i32, how: i32) -> i32 {
    // SAFETY: no pointers.
    unsafe { libc::shutdown(fd, how) }
}

fn close(fd: i32) -> io::Result<()> {
    // SAFETY: the descriptor is one of ours and not used afterwards.
    call(unsafe { libc::close(fd) }).map(drop)
}

fn vector(bytes: &[u8]) -> libc::iovec {
    libc::iovec {
        iov_base: bytes.as_ptr().cast_mut().cast(),
        iov_len: bytes.len(),
    }
}

fn message(vectors: &mut [libc::iovec]) -> libc::msghdr {
    // SAFETY: zeros are a message without anything.
    let mut message: libc::msghdr = unsafe { std::mem::zeroed() };
    message.msg_iov = vectors.as_mut_ptr();
    message.msg_iovlen = vectors.len();
    message
}

/// A file with these bytes and no name.
fn file(bytes: &[u8]) -> io::Result<File> {
    // SAFETY: a string with its zero byte.
    let fd = call(unsafe { libc::memfd_create(c"body".as_ptr(), 0) })?;
    // SAFETY: the descriptor is new and nobody else's.
    let mut file = unsafe { File::from_raw_fd(i32::try_from(fd).unwrap_or(-1)) };
    file.write_all(bytes)?;
    file.rewind()?;
    Ok(file)
}

fn pause(milliseconds: u64) {
    std::thread::sleep(std::time::Duration::from_millis(milliseconds));
}

/// Stays so long that the end of the process is not what ends the connection.
fn linger_on() -> io::Result<()> {
    pause(300);
    Ok(())
}

/// Room for one descriptor in a control message (cmsg(3)).
#[repr(C)]
struct Control {
    header: libc::cmsghdr,
    fd: i32,
}

fn control(fd: i32) -> Control {
    Control {
        header: libc::cmsghdr {
            cmsg_len: size_of::<libc::cmsghdr>() + 4,
            cmsg_level: libc::SOL_SOCKET,
            cmsg_type: libc::SCM_RIGHTS,
        },
        fd,
    }
}

fn send_descriptor(through: i32, fd: i32) -> io::Result<()> {
    let mut control = control(fd);
    let mut vectors = [vector(b"d")];
    let mut message = message(&mut vectors);
    message.msg_control = (&raw mut control).cast();
    message.msg_controllen = size_of::<Control>();
    // SAFETY: all that the message points to outlives the call.
    call(unsafe { libc::sendmsg(through, &raw const message, 0) }).map(drop)
}

fn receive_descriptor(from: i32) -> io::Result<i32> {
    let mut control = control(-1);
    // One byte comes along, into memory that is only the kernel's to write.
    let byte = [0u8];
    let mut vectors = [vector(&byte)];
    let mut message = message(&mut vectors);
    message.msg_control = (&raw mut control).cast();
    message.msg_controllen = size_of::<Control>();
    // SAFETY: all that the message points to outlives the call.
    call(unsafe { libc::recvmsg(from, &raw mut message, 0) })?;
    Ok(control.fd)
}
