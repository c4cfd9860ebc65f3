"""Runs the ASGI application with uvicorn, on a socket of our own.

    python3 uvicorn-server.py --unix PATH | --tcp ADDR:PORT
"""

import argparse

import routes
import uvicorn
from asgi_app import app


class Server(uvicorn.Server):
    """Says where it listens once it does."""

    line = ""

    async def startup(self, sockets=None):
        await super().startup(sockets)
        print(self.line, flush=True)


def main():
    arguments = argparse.ArgumentParser()
    arguments.add_argument("--unix")
    arguments.add_argument("--tcp")
    arguments = arguments.parse_args()
    listener, line = routes.listen(arguments.unix, arguments.tcp)
    # Names what is installed: another event loop or parser would be another server.
    config = uvicorn.Config(
        app, loop="asyncio", http="h11", ws="none", lifespan="off", log_level="critical"
    )
    server = Server(config)
    server.line = line
    server.run(sockets=[listener])


if __name__ == "__main__":
    main()
