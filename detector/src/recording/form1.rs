//! Reads frames of form 1, which truncwatch 0.1.0 wrote.
//!
//! The frames are those of today, but for the socket in two records, which is written
//! out here. What 0.1.0 did not record is not known, and read so that it proves
//! nothing:
//!
//! | not recorded | read as |
//! | --- | --- |
//! | [`SocketInfo::seen`] | 0: whether the queues and `SO_LINGER` were read is not known (of MPTCP sockets they were not), a number that is not 0 was |
//! | [`SocketInfo::unsent`] | not known, by `seen`: a delivery at risk has the fault `unknown` |
//! | [`SocketInfo::path_of_peer`] | 0: the path was the socket's own |
//! | whether something lies unread in a Unix socket | [`seen::INPUT`]: an answer may, which lets an upload stop |
//! | [`flag::CONNECTED`], and the bytes of answers | set: a request is one as it was for 0.1.0, but cut short its fault is `unknown` ([`super::Reader::knows_answers`]) |
//! | [`flag::UNSEEN_RECEIVES`] | set: a response to no request that was seen is `not-observed` |
//! | [`Connection::send_queue`] | 0, not known |
//! | [`EndKind::Returned`], [`crate::capture::Record::Reset`] | there are none |
//!
//! Bytes out of band and packets (`MSG_OOB`, `SOCK_SEQPACKET`) cannot be told from a
//! stream: they are judged as 0.1.0 judged them.
//!
//! [`EndKind::Returned`]: detector_common::EndKind::Returned

use detector_common::{
    Connection, End, Header, Kind, Open, Pod, Sample, SocketInfo, UNIX_PATH_LEN, family, flag, seen,
};

use super::{Frame, FrameError, Input};

/// `SocketInfo` of form 1.
#[repr(C)]
#[derive(Clone, Copy)]
struct Socket1 {
    inode: u64,
    family: u16,
    local_port: u16,
    peer_port: u16,
    unix_path_len: u16,
    local: [u8; 16],
    peer: [u8; 16],
    unix_path: [u8; UNIX_PATH_LEN],
    peer_pid: u32,
    state: u8,
    shutdown: u8,
    reset: u16,
    error: u32,
    unread: u32,
    unacknowledged: u32,
}

// SAFETY: repr(C), integers and arrays of them; 8+4*2+32+108+4+2+2+4*3 = 176 bytes
// without padding.
unsafe impl Pod for Socket1 {}

/// `End` of form 1.
#[repr(C)]
#[derive(Clone, Copy)]
struct End1 {
    header: Header,
    kind: u32,
    how: u32,
    references: u32,
    wait_status: u32,
    fd: i32,
    walk: u32,
    stack: u32,
    pad: u32,
    comm: [u8; 16],
    connection: Connection,
    socket: Socket1,
}

// SAFETY: repr(C), Pod parts and integers, each at a multiple of its alignment,
// without padding.
unsafe impl Pod for End1 {}

/// `Open` of form 1.
#[repr(C)]
#[derive(Clone, Copy)]
struct Open1 {
    header: Header,
    comm: [u8; 16],
    socket: Socket1,
}

// SAFETY: repr(C), Pod parts and an array of bytes, each at a multiple of its
// alignment, without padding.
unsafe impl Pod for Open1 {}

const _: () = assert!(
    size_of::<Socket1>() == 176 && size_of::<End1>() == 664 && size_of::<Open1>() == 224,
    "as in recordings of 0.1.0"
);

/// Reads a frame of form 1 as one of today.
///
/// # Errors
///
/// [`FrameError`] if the bytes are no frame of form 1.
pub(super) fn decode(kind: u8, bytes: &[u8]) -> Result<Frame, FrameError> {
    let record = (kind == 2).then(|| record(bytes));
    let translated = match &record {
        Some(Some(record)) => record,
        Some(None) => return Err(FrameError::new(kind, bytes)),
        None if (1..=11).contains(&kind) => bytes,
        None => return Err(FrameError::new(kind, bytes)),
    };
    let error = |_| FrameError::new(kind, bytes);
    let mut frame = Frame::decode(kind, translated).map_err(error)?;
    if let Frame::Input(input) = &mut frame {
        input_of(input);
    }
    Ok(frame)
}

/// Takes from an input what form 1 has no field for.
fn input_of(input: &mut Input) {
    match input {
        Input::Settle(_, Some(counters))
        | Input::Release(_, Some(counters))
        | Input::Note(_, counters, _)
        | Input::Stall(_, counters, _) => counters.send_queue = 0,
        Input::Finish(open) => open
            .iter_mut()
            .for_each(|(_, counters)| counters.send_queue = 0),
        Input::Settle(_, None)
        | Input::Release(_, None)
        | Input::Take(_)
        | Input::OpenBefore(_) => {}
    }
}

/// The bytes of the record of today.
fn record(bytes: &[u8]) -> Option<Vec<u8>> {
    Some(match Header::read(bytes)?.kind()? {
        Kind::Sample => {
            let mut sample = Sample::read(bytes)?;
            if sample.sending != 0 {
                sample.flags |= flag::UNSEEN_RECEIVES | flag::CONNECTED;
            }
            [sample.bytes(), bytes.get(size_of::<Sample>()..)?].concat()
        }
        Kind::End => end(&End1::read(bytes)?).bytes().to_vec(),
        Kind::Open => {
            let open = Open1::read(bytes)?;
            Open {
                header: open.header,
                comm: open.comm,
                socket: socket(&open.socket),
            }
            .bytes()
            .to_vec()
        }
        Kind::Reset => return None,
    })
}

fn end(end: &End1) -> End {
    End {
        header: end.header,
        kind: end.kind,
        how: end.how,
        references: end.references,
        wait_status: end.wait_status,
        fd: end.fd,
        walk: end.walk,
        stack: end.stack,
        pad: 0,
        comm: end.comm,
        connection: Connection {
            send_queue: 0,
            ..end.connection
        },
        socket: socket(&end.socket),
    }
}

fn socket(socket: &Socket1) -> SocketInfo {
    SocketInfo {
        inode: socket.inode,
        family: socket.family,
        local_port: socket.local_port,
        peer_port: socket.peer_port,
        unix_path_len: socket.unix_path_len,
        local: socket.local,
        peer: socket.peer,
        unix_path: socket.unix_path,
        peer_pid: socket.peer_pid,
        state: socket.state,
        shutdown: socket.shutdown,
        reset: u8::from(socket.reset != 0),
        path_of_peer: 0,
        error: socket.error,
        unread: socket.unread,
        unacknowledged: socket.unacknowledged,
        unsent: 0,
        seen: match socket.family {
            family::UNIX => seen::INPUT,
            _ => 0,
        },
    }
}
