"""The testbed's routes on CPython's http.server.

    python3 python-server.py [--workers N] --unix PATH | --tcp ADDR:PORT

With workers, N processes accept connections, forked by one that accepts none.
"""

import argparse
import os
import socket
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import routes

ARITY = {
    "bytes": 1,
    "chunked": 1,
    "slow": 1,
    "lie": 2,
    "timer": 2,
    "etag": 0,
    "file": 0,
    "upload": 0,
}


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def setup(self):
        # Head and body are two calls: over TCP the second would wait for the client's delayed
        # acknowledgement of the first, 40 ms.
        self.disable_nagle_algorithm = self.request.family == socket.AF_INET
        super().setup()

    def respond(self):
        try:
            name, numbers = routes.split(self.path, ARITY)
        except routes.BadRequest:
            return self.whole(400, b"")
        if name is None:
            return self.whole(404, b"")
        getattr(self, name)(*numbers)

    do_GET = do_HEAD = do_POST = respond

    def head(self, status, length, *fields):
        self.send_response(status)
        for name, value in fields:
            self.send_header(name, value)
        if length is not None:
            self.send_header("Content-Length", str(length))
        self.end_headers()

    def whole(self, status, body, *fields):
        self.head(status, len(body), *fields)
        if self.command != "HEAD" and body:
            self.wfile.write(body)

    def bytes(self, length):
        self.whole(200, b"x" * length)

    def chunked(self, length):
        self.head(200, None, ("Transfer-Encoding", "chunked"))
        for size in routes.sizes(length, routes.CHUNK):
            self.wfile.write(b"%x\r\n%s\r\n" % (size, b"x" * size))
        self.wfile.write(b"0\r\n\r\n")

    def slow(self, length):
        self.head(200, length)
        for size in routes.sizes(length, routes.PIECE):
            self.wfile.write(b"x" * size)
            time.sleep(routes.PAUSE)

    def lie(self, promised, written):
        self.head(200, promised)
        self.wfile.write(b"x" * written)
        # It would wait for the next request as if nothing was missing.
        self.close_connection |= written < promised

    def timer(self, length, ms):
        """Python's own: a socket with a timeout that cannot send for so long."""
        self.connection.settimeout(ms / 1000)
        self.head(200, length)
        try:
            self.wfile.write(b"x" * length)
        except TimeoutError:
            self.close_connection = True

    def etag(self):
        if self.headers["If-None-Match"] == routes.TAG:
            self.head(304, None, ("ETag", routes.TAG))
        else:
            self.whole(200, b"x" * routes.FILE, ("ETag", routes.TAG))

    def file(self):
        part = routes.part(self.headers["Range"])
        if part is None:
            return self.whole(200, b"x" * routes.FILE)
        if not part:
            return self.whole(416, b"")
        first, last = part
        content_range = f"bytes {first}-{last}/{routes.FILE}"
        self.whole(206, b"x" * (last - first + 1), ("Content-Range", content_range))

    def upload(self):
        if self.headers["Transfer-Encoding"] == "chunked":
            length = self.chunked_length()
        else:
            length = len(self.rfile.read(int(self.headers["Content-Length"] or 0)))
        self.whole(200, str(length).encode())

    def chunked_length(self):
        """http.server leaves the decoding of requests to its user."""
        length = 0
        while size := int(self.rfile.readline().split(b";")[0], 16):
            length += len(self.rfile.read(size))
            self.rfile.readline()
        while self.rfile.readline().strip():
            pass
        return length

    def address_string(self):
        return "client"

    def log_message(self, *_arguments):
        pass


class Server(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, listener):
        super().__init__(None, Handler, bind_and_activate=False)
        self.socket.close()
        self.socket = listener


def fork(server, workers):
    """Serves in so many processes; they end when this one does, however it does."""
    alive, held = os.pipe()
    for _ in range(workers):
        if os.fork() == 0:
            os.close(held)
            threading.Thread(target=end_with, args=(alive,), daemon=True).start()
            server.serve_forever()


def end_with(alive):
    os.read(alive, 1)
    os._exit(0)


def main():
    arguments = argparse.ArgumentParser()
    arguments.add_argument("--workers", type=int, default=0)
    arguments.add_argument("--unix")
    arguments.add_argument("--tcp")
    arguments = arguments.parse_args()
    listener, line = routes.listen(arguments.unix, arguments.tcp)
    server = Server(listener)
    fork(server, arguments.workers)
    print(line, flush=True)
    if arguments.workers:
        for _ in range(arguments.workers):
            os.wait()
    else:
        server.serve_forever()


if __name__ == "__main__":
    main()
