# SPDX-License-Identifier: BSD-3-Clause
"""nginx and curl: epoll, sendfile, keep-alive, request bodies, and nginx as a client upstream."""

import os

import pytest

from exchange import post_and_get, start_upload_server
from programs import MB, free_port, sha256

CONFIG = """
worker_processes 2;
{user}
pid {directory}/nginx.pid;
error_log stderr info;
events {{ worker_connections 128; }}
http {{
    access_log off;
    client_max_body_size 128m;
    client_body_temp_path {directory}/body;
    proxy_temp_path {directory}/proxy;
    fastcgi_temp_path {directory}/fastcgi;
    scgi_temp_path {directory}/scgi;
    uwsgi_temp_path {directory}/uwsgi;
    keepalive_requests 1000;
    {settings}
    server {{
        listen 127.0.0.1:{port};
        location /files/ {{ alias {files}/; }}
        location /put/ {{ alias {directory}/put/; dav_methods PUT; create_full_put_path on; }}
        location /upstream/ {{
            proxy_pass http://127.0.0.1:{upstream}/;
            proxy_http_version 1.1;
            proxy_set_header Connection "";
        }}
    }}
}}
"""


def start_nginx(app, files, settings="", upstream=9):
    """Start nginx with its configuration in the test's directory; the port."""
    port = free_port()
    user = "user root;" if os.geteuid() == 0 else ""
    config = app.directory / "nginx.conf"
    config.write_text(CONFIG.format(user=user, directory=app.directory, settings=settings,
                                    port=port, files=files, upstream=upstream))
    app.start("nginx", "-p", app.directory, "-c", config, "-g", "daemon off;", port=port)
    return port


@pytest.mark.parametrize("settings", [
    "sendfile on; tcp_nopush off;", "sendfile on; tcp_nopush on; tcp_nodelay on;",
    "sendfile off; output_buffers 2 128k;"], ids=["sendfile", "sendfile-nopush", "no-sendfile"])
def test_download(app, payload, settings):
    """32 MB with sendfile on and off, with and without tcp_nopush (TCP_CORK)."""
    source, copy = payload(32 * MB), app.directory / "copy"
    port = start_nginx(app, source.parent, settings)
    with app.carries(32 * MB, port=port):
        app.run("curl", "-sS", "--fail", "-o", copy, f"http://127.0.0.1:{port}/files/{source.name}")
    assert sha256(copy) == sha256(source)


def test_keepalive(app, payload):
    """200 requests of different lengths, all over one connection."""
    files, copies, count = app.directory / "files", app.directory / "copies", 200
    files.mkdir()
    copies.mkdir()
    data = payload(MB).read_bytes()
    for number in range(count):
        (files / f"{number}").write_bytes(data[number:number + 1 + number * 331])
    port = start_nginx(app, files, "sendfile on; tcp_nopush on;")
    with app.carries(sum(path.stat().st_size for path in files.iterdir())):
        opened = app.run("curl", "-sS", "--fail", "-o", f"{copies}/#1", "-w", "%{num_connects}\n",
                         f"http://127.0.0.1:{port}/files/[0-{count - 1}]")
    assert sum(map(int, opened.split())) == 1
    for number in range(count):
        assert sha256(copies / f"{number}") == sha256(files / f"{number}")


def test_parallel(app, payload):
    """40 requests of 256 KB over 8 connections at a time, served by two workers."""
    source, copies, count = payload(MB // 4), app.directory / "copies", 40
    copies.mkdir()
    port = start_nginx(app, source.parent, "sendfile on;")
    with app.carries(count * MB // 4, connections=8):
        app.run("curl", "-sS", "--fail", "--parallel", "--parallel-immediate", "--parallel-max", 8,
                "-o", f"{copies}/#1", f"http://127.0.0.1:{port}/files/{source.name}?[1-{count}]")
    assert {sha256(path) for path in copies.iterdir()} == {sha256(source)}
    assert len(list(copies.iterdir())) == count


def test_put(app, payload):
    """A 32 MB request body that nginx stores in a file."""
    source = payload(32 * MB)
    port = start_nginx(app, source.parent)
    with app.carries(32 * MB, port=port):
        app.run("curl", "-sS", "--fail", "--upload-file", source, f"http://127.0.0.1:{port}/put/x")
    assert sha256(app.directory / "put/x") == sha256(source)


@pytest.mark.parametrize("buffering", ["on", "off"])
def test_proxied_post(app, payload, buffering):
    """A 32 MB POST through nginx to a Python server, then 16 MB back: both hops over the shim."""
    files = payload(1).parent
    upstream = start_upload_server(app, files)
    port = start_nginx(app, files, f"proxy_request_buffering {buffering};"
                       f" proxy_buffering {buffering};", upstream)
    with app.carries(2 * 48 * MB, connections=4, port=upstream):
        post_and_get(app, f"http://127.0.0.1:{port}/upstream", payload, size=32 * MB)
