"""The testbed's routes as an ASGI application, with no framework."""

import asyncio

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


class Exchange:
    """One request and its response."""

    def __init__(self, scope, receive, send):
        self.headers = dict(scope["headers"])
        self.receive = receive
        self.send = send

    def field(self, name):
        return self.headers.get(name, b"").decode()

    async def head(self, status, *fields):
        encoded = [(name.encode(), str(value).encode()) for name, value in fields]
        await self.send({"type": "http.response.start", "status": status, "headers": encoded})

    async def body(self, body, more=False):
        await self.send({"type": "http.response.body", "body": body, "more_body": more})

    async def whole(self, status, body, *fields):
        await self.head(status, ("Content-Length", len(body)), *fields)
        await self.body(body)

    async def pieces(self, length, size, pause=None):
        for piece in routes.sizes(length, size):
            await self.body(b"x" * piece, more=True)
            if pause:
                await asyncio.sleep(pause)

    async def bytes(self, length):
        await self.whole(200, b"x" * length)

    async def chunked(self, length):
        await self.head(200)
        await self.pieces(length, routes.CHUNK)
        await self.body(b"")

    async def slow(self, length):
        await self.head(200, ("Content-Length", length))
        await self.pieces(length, routes.PIECE, routes.PAUSE)
        await self.body(b"")

    async def lie(self, promised, written):
        """The application ends without its last message: uvicorn closes the connection."""
        await self.head(200, ("Content-Length", promised))
        await self.pieces(written, routes.PIECE)
        if written == promised:
            await self.body(b"")

    async def timer(self, length, ms):
        """Gives up when the whole response was not taken in time."""
        await self.head(200, ("Content-Length", length))
        await asyncio.wait_for(self.pieces(length, routes.PIECE), ms / 1000)
        await self.body(b"")

    async def etag(self):
        if self.field(b"if-none-match") == routes.TAG:
            await self.head(304, ("ETag", routes.TAG))
            await self.body(b"")
        else:
            await self.whole(200, b"x" * routes.FILE, ("ETag", routes.TAG))

    async def file(self):
        part = routes.part(self.field(b"range"))
        if part is None:
            return await self.whole(200, b"x" * routes.FILE)
        if not part:
            return await self.whole(416, b"")
        first, last = part
        content_range = f"bytes {first}-{last}/{routes.FILE}"
        await self.whole(206, b"x" * (last - first + 1), ("Content-Range", content_range))

    async def upload(self):
        length, more = 0, True
        while more:
            message = await self.receive()
            length += len(message.get("body", b""))
            more = message.get("more_body", False)
        await self.whole(200, str(length).encode())


async def app(scope, receive, send):
    exchange = Exchange(scope, receive, send)
    try:
        name, numbers = routes.split(scope["path"], ARITY)
    except routes.BadRequest:
        return await exchange.whole(400, b"")
    if name is None:
        return await exchange.whole(404, b"")
    await getattr(exchange, name)(*numbers)
