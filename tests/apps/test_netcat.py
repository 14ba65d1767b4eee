# SPDX-License-Identifier: BSD-3-Clause
"""nc and socat: half-close, 16 MB each way."""

import pytest

from programs import MB, free_port, sha256

SIZE = 16 * MB


# The client's input ends when all has come back: a listening nc leaves at the end of what it
# receives, whatever it has still to send, over TCP too.
CLIENT = """
{ cat "$1" && until [ "$(stat -c %s "$2")" = "$3" ]; do sleep 0.05; done; } |
    nc -N 127.0.0.1 "$4" >"$2"
"""


def test_nc_both_ways(app, payload):
    """Two `nc -N` exchange files; each shuts down writing when its own input ends."""
    port, there, back = free_port(), payload(SIZE), payload(SIZE, SIZE)
    received, returned = app.directory / "received", app.directory / "returned"
    with open(back, "rb") as source, open(received, "wb") as sink:
        server = app.start("nc", "-N", "-l", "127.0.0.1", port, port=port, stdin=source,
                           stdout=sink)
    with app.carries(2 * SIZE, port=port):
        app.run("sh", "-c", CLIENT, "sh", there, returned, SIZE, port)
        assert server.wait() == 0
    assert sha256(received) == sha256(there)
    assert sha256(returned) == sha256(back)


@pytest.mark.parametrize("client", ["nc", "socat"])
def test_answer_after_end(app, payload, client):
    """A program that socat starts answers when it has read to the end: 16 MB there, then back."""
    port, there, back = free_port(), payload(SIZE), payload(SIZE, SIZE)
    returned = app.directory / "returned"
    script = app.directory / "answer"
    script.write_text(f"#!/bin/sh\nsha256sum >{app.directory}/sum && cat {back}\n")
    script.chmod(0o755)
    app.start("socat", "-t", 50, f"TCP-LISTEN:{port},bind=127.0.0.1,fork", f"EXEC:{script}",
              port=port)
    command = {"nc": ["nc", "-N", "127.0.0.1", port],
               "socat": ["socat", "-t", 50, "-", f"TCP:127.0.0.1:{port}"]}[client]
    with app.carries(2 * SIZE, port=port), open(there, "rb") as source, \
            open(returned, "wb") as sink:
        app.run(*command, stdin=source, stdout=sink)
    assert (app.directory / "sum").read_text().split()[0] == sha256(there)
    assert sha256(returned) == sha256(back)


def test_socat_relay(app, payload):
    """nc through a relaying socat to another one that sends everything back."""
    port, relay, source = free_port(), free_port(), payload(SIZE)
    returned = app.directory / "returned"
    app.start("socat", "-t", 50, f"TCP-LISTEN:{port},bind=127.0.0.1,fork", "EXEC:cat",
              port=port)
    app.start("socat", "-t", 50, f"TCP-LISTEN:{relay},bind=127.0.0.1,fork",
              f"TCP:127.0.0.1:{port}", port=relay)
    with app.carries(4 * SIZE, connections=2, port=relay), open(source, "rb") as stream, \
            open(returned, "wb") as sink:
        app.run("nc", "-N", "127.0.0.1", relay, stdin=stream, stdout=sink)
    assert sha256(returned) == sha256(source)
