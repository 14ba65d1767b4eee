#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
"""An echo server and its client with asyncio's streams.

    echo_asyncio.py server PORT | echo_asyncio.py client PORT FILE COPY
"""

import asyncio
import sys
from pathlib import Path


async def answer(reader, writer):
    """Send back all that comes until the end."""
    writer.write(await reader.read())
    await writer.drain()
    writer.close()
    await writer.wait_closed()


async def serve(port):
    """Serve until killed."""
    server = await asyncio.start_server(answer, "127.0.0.1", port)
    await server.serve_forever()


async def client(port, source, copy):
    """Send SOURCE and keep what comes back, reading while writing."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    back = asyncio.create_task(reader.read())
    writer.write(Path(source).read_bytes())
    await writer.drain()
    writer.write_eof()
    Path(copy).write_bytes(await back)
    writer.close()
    await writer.wait_closed()


if __name__ == "__main__":
    role, number, *rest = sys.argv[1:]
    asyncio.run(serve(int(number)) if role == "server" else client(int(number), *rest))
