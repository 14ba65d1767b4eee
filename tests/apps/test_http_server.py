# SPDX-License-Identifier: BSD-3-Clause
"""Python's http.server and curl: blocking sockets, one thread, bulk in both directions."""

from exchange import PYTHON, start_upload_server
from programs import MB, free_port, sha256


def test_download(app, payload):
    """64 MB from `python3 -m http.server` to curl."""
    port, source, copy = free_port(), payload(64 * MB), app.directory / "copy"
    app.start(PYTHON, "-m", "http.server", "--bind", "127.0.0.1", "--directory", source.parent,
              port, port=port)
    with app.carries(64 * MB, port=port):
        app.run("curl", "-sS", "--fail", "-o", copy, f"http://127.0.0.1:{port}/{source.name}")
    assert sha256(copy) == sha256(source)


def test_upload(app, payload):
    """64 MB from curl to a Python server, with the 100-continue exchange that curl asks for."""
    source = payload(64 * MB)
    port = start_upload_server(app, source.parent)
    with app.carries(64 * MB, port=port):
        answer = app.run("curl", "-sS", "--fail", "--upload-file", source,
                         f"http://127.0.0.1:{port}/upload")
    assert answer.decode() == sha256(source)
