# SPDX-License-Identifier: BSD-3-Clause
"""haproxy and stunnel between curl and an HTTP server: bytes that pass through."""

import socket
import subprocess

import pytest

from exchange import POST_AND_GET, post_and_get, start_upload_server
from programs import free_port

HAPROXY = """
global
    stats socket {directory}/stats
    tune.pipesize 262144
defaults
    mode {mode}
    {option} splice-auto
    {option} splice-request
    {option} splice-response
    timeout connect 10s
    timeout client 50s
    timeout server 50s
frontend front
    bind 127.0.0.1:{port}
    default_backend back
backend back
    server one 127.0.0.1:{upstream}
"""
STUNNEL = """
foreground = yes
pid =
syslog = no
debug = notice
[one]
client = {client}
accept = 127.0.0.1:{port}
connect = 127.0.0.1:{upstream}
{more}
"""


def haproxy_info(directory):
    """What haproxy says about itself, over its UNIX socket."""
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(str(directory / "stats"))
        client.sendall(b"show info\n")
        lines = client.makefile(encoding="ascii").read().splitlines()
    return dict(line.split(": ", 1) for line in lines if ": " in line)


@pytest.mark.parametrize("splice", ["splice", "copy"])
@pytest.mark.parametrize("mode", ["tcp", "http"])
def test_haproxy(app, payload, mode, splice):
    """haproxy in both modes, with splice() and without."""
    upstream, port = start_upload_server(app, payload(1).parent), free_port()
    config = app.directory / "haproxy.cfg"
    config.write_text(HAPROXY.format(directory=app.directory, mode=mode, port=port,
                                     upstream=upstream,
                                     option="option" if splice == "splice" else "no option"))
    app.start("haproxy", "-db", "-f", config, port=port)
    with app.carries(2 * POST_AND_GET, connections=4, port=port):
        post_and_get(app, f"http://127.0.0.1:{port}", payload)
    spliced = int(haproxy_info(app.directory)["TotalSplicdedBytesOut"])
    assert (spliced > 0) == (splice == "splice")


@pytest.fixture(scope="session")
def certificate(public):
    """A key and its certificate in one file."""
    pem = public / "stunnel.pem"
    subprocess.run(["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "30",
                    "-subj", "/CN=localhost", "-keyout", pem, "-out", public / "certificate"],
                   check=True, timeout=60, capture_output=True)
    with open(pem, "ab") as file:
        file.write((public / "certificate").read_bytes())
    return pem


def start_stunnel(app, name, client, upstream, more):
    """Start one end of a tunnel; its port."""
    port, config = free_port(), app.directory / f"{name}.conf"
    config.write_text(STUNNEL.format(client=client, port=port, upstream=upstream, more=more))
    app.start("stunnel4", config, port=port)
    return port


def test_stunnel(app, payload, certificate):
    """curl through a TLS tunnel between two stunnels: three hops."""
    upstream = start_upload_server(app, payload(1).parent)
    tls = start_stunnel(app, "server", "no", upstream, f"cert = {certificate}")
    port = start_stunnel(app, "client", "yes", tls, "")
    with app.carries(3 * POST_AND_GET, connections=6, port=tls):
        post_and_get(app, f"http://127.0.0.1:{port}", payload)
