//! The ways to send a message.

use std::{
    io::{self, Write as _},
    os::fd::AsRawFd as _,
};

use crate::{
    raw::{all, call, file, message, unsafe_send, unsafe_write, vector},
    uring,
};

/// Sends all of the bytes, of which the last argument are the head, on this
/// descriptor.
pub(crate) type Send = fn(i32, &[u8], usize) -> io::Result<()>;

/// All of them.
pub(crate) const SENDS: &[(&str, Send)] = &[
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
    // All that there is, as busybox asks for it.
    ("sendfile-all", |fd, bytes, head| {
        let (head, body) = bytes.split_at(head);
        call(unsafe_write(fd, head))?;
        let file = file(body)?;
        let all = (1 << 63) - (1 << 16);
        // SAFETY: as above.
        while call(unsafe { libc::sendfile(fd, file.as_raw_fd(), std::ptr::null_mut(), all) })? > 0
        {
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
    ("vmsplice", |fd, bytes, _| {
        let (reader, writer) = io::pipe()?;
        all(bytes, |rest| {
            let piece = vector(rest.get(..rest.len().min(4096)).unwrap_or(rest));
            // SAFETY: the vector points into a slice that outlives the call.
            let given =
                call(unsafe { libc::vmsplice(writer.as_raw_fd(), &raw const piece, 1, 0) })?;
            let null = std::ptr::null_mut();
            let length = usize::try_from(given).unwrap_or(0);
            // SAFETY: no pointers but null ones.
            call(unsafe { libc::splice(reader.as_raw_fd(), null, fd, null, length, 0) })
        })
    }),
    ("more", |fd, bytes, head| {
        let (head, body) = bytes.split_at(head);
        call(unsafe_send(fd, head, libc::MSG_MORE))?;
        all(body, |rest| call(unsafe_send(fd, rest, 0)))
    }),
    // The last byte beside the stream.
    ("urgent-sendmmsg", |fd, bytes, head| {
        let (head, body) = bytes.split_at(head);
        let mut parts = [[vector(head)], [vector(body)]];
        let mut messages = parts.each_mut().map(|part| libc::mmsghdr {
            msg_hdr: message(part),
            msg_len: 0,
        });
        // SAFETY: as above, two messages.
        call(unsafe { libc::sendmmsg(fd, messages.as_mut_ptr(), 2, libc::MSG_OOB) })?;
        Ok(())
    }),
    ("urgent-uring-send", |fd, bytes, _| {
        uring::one_by_one(fd, bytes, uring::send_urgent)
    }),
    ("urgent-uring-sendmsg", |fd, bytes, head| {
        uring::sendmsg_urgent(fd, bytes, head)
    }),
    // The head, and then the body in one call.
    ("apart", |fd, bytes, head| {
        let (head, body) = bytes.split_at(head);
        call(unsafe_write(fd, head))?;
        all(body, |rest| call(unsafe_write(fd, rest)))
    }),
    ("pwritev2-apart", |fd, bytes, head| {
        let (head, body) = bytes.split_at(head);
        call(unsafe_send(fd, head, libc::MSG_MORE))?;
        // SAFETY: as above.
        call(unsafe { libc::pwritev2(fd, [vector(body)].as_ptr(), 1, -1, 0) })?;
        Ok(())
    }),
    // The head with the first bytes of its body, and then the rest in one call.
    ("inside", |fd, bytes, head| {
        let (first, rest) = bytes.split_at(head + 20);
        call(unsafe_write(fd, first))?;
        all(rest, |rest| call(unsafe_write(fd, rest)))
    }),
    // What the kernel does not take at once is stranded.
    ("nonblocking", |fd, bytes, _| {
        call(unsafe_send(fd, bytes, libc::MSG_DONTWAIT)).map(drop)
    }),
    ("pieces", |fd, bytes, _| {
        bytes
            .chunks(1000)
            .try_for_each(|piece| call(unsafe_write(fd, piece)).map(drop))
    }),
    ("uring-send", |fd, bytes, _| {
        uring::one_by_one(fd, bytes, uring::send)
    }),
    ("uring-send-zc", |fd, bytes, _| {
        uring::one_by_one(fd, bytes, uring::send_zc)
    }),
    ("uring-write", |fd, bytes, _| {
        uring::one_by_one(fd, bytes, uring::write)
    }),
    ("uring-writev", |fd, bytes, head| {
        uring::writev(fd, bytes, head)
    }),
    ("uring-sendmsg", |fd, bytes, head| {
        uring::sendmsg(fd, bytes, head)
    }),
    ("uring-registered", |fd, bytes, _| {
        uring::registered(fd, bytes)
    }),
    ("uring-sqpoll", |fd, bytes, _| {
        uring::by_kernel_thread(fd, bytes)
    }),
    ("uring-linked", |fd, bytes, head| {
        uring::linked(fd, bytes, head)
    }),
    ("uring-splice", |fd, bytes, head| {
        let (head, body) = bytes.split_at(head);
        call(unsafe_write(fd, head))?;
        let (reader, mut writer) = io::pipe()?;
        writer.write_all(body)?;
        uring::splice(reader.as_raw_fd(), fd, body.len())
    }),
];
