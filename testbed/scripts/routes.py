"""What the routes of the two Python servers have in common."""

import socket

CHUNK = 16 * 1024
PIECE = 64 * 1024
PAUSE = 0.02
FILE = 1_000_000
TAG = '"x"'


class BadRequest(Exception):
    """A path whose numbers are none."""


def split(path, arity):
    """The route's name and its numbers; arity tells how many each name takes."""
    name, *words = path.lstrip("/").split("/")
    if name not in arity:
        return None, []
    try:
        numbers = [int(word) for word in words]
    except ValueError:
        raise BadRequest from None
    if len(numbers) != arity[name] or any(number < 0 for number in numbers):
        raise BadRequest
    return name, numbers


def part(value):
    """First and last byte of a Range field; None without one, False if it cannot be had."""
    if not value or not value.startswith("bytes="):
        return None
    first, _, last = value.removeprefix("bytes=").partition("-")
    if not (first.isdigit() and last.isdigit() and int(first) <= int(last) < FILE):
        return False
    return int(first), int(last)


def sizes(length, size):
    """The lengths of the pieces of a body."""
    while length > 0:
        yield min(size, length)
        length -= size


def listen(unix, tcp):
    """Binds a path or ADDR:PORT; the socket, and the line that tells where it listens."""
    if unix:
        listener = socket.socket(socket.AF_UNIX)
        listener.bind(unix)
        address = unix
    else:
        host, port = tcp.rsplit(":", 1)
        listener = socket.create_server((host, int(port)))
        address = "{}:{}".format(*listener.getsockname())
    listener.listen(128)
    return listener, f"listening {address}"
