# SPDX-License-Identifier: BSD-3-Clause
"""What is exchanged over whatever a test is about: an HTTP server's answers to curl, or an echo."""

from pathlib import Path

from programs import MB, free_port, sha256

PYTHON = "/usr/bin/python3"
HERE = Path(__file__).parent


def start_upload_server(app, files):
    """Start the server that answers bodies with their checksum and serves FILES; its port."""
    port = free_port()
    app.start(PYTHON, HERE / "upload_server.py", port, files, port=port)
    return port


def post_and_get(app, url, payload, *options, size=8 * MB):
    """POST SIZE bytes and GET half as many at URL with curl and OPTIONS; both have to be right."""
    up, down, copy = payload(size), payload(size // 2, size), app.directory / "copy"
    answer = app.run("curl", "-sS", "--fail", *options, "--data-binary", f"@{up}", f"{url}/post")
    assert answer.decode() == sha256(up)
    app.run("curl", "-sS", "--fail", *options, "-o", copy, f"{url}/{down.name}")
    assert sha256(copy) == sha256(down)


POST_AND_GET = 12 * MB          # what post_and_get() carries, without a size


def echo(app, program, payload, size=4 * MB):
    """Run PROGRAM (the words that start it) as echo server and as its client.

    The client sends a file, shuts down writing, and reads until the end; the server reads until
    the end, sends it all back, and closes. So every server here is `PROGRAM server PORT` and every
    client `PROGRAM client PORT FILE COPY`.
    """
    port, source, copy = free_port(), payload(size), app.directory / "copy"
    app.start(*program, "server", port, port=port)
    with app.carries(2 * 2 * size, connections=2, port=port):
        for _ in range(2):
            app.run(*program, "client", port, source, copy)
            assert sha256(copy) == sha256(source)
            copy.unlink()
