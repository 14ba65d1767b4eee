# SPDX-License-Identifier: BSD-3-Clause
"""PostgreSQL, psql and pgbench: a process per connection, latches over epoll, COPY in bulk."""

import os
import pwd
import re
import subprocess
from pathlib import Path

import pytest

from programs import MB, free_port, sha256

SETTINGS = """
listen_addresses = '127.0.0.1'
unix_socket_directories = ''
fsync = off
shared_buffers = 16MB
max_connections = 20
autovacuum = off
jit = off
"""


def binaries():
    """The directory of the newest installed PostgreSQL server."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda p: int(p.parent.name))
    assert found, "postgresql is not installed: see scripts/setup"
    return found[-1]


def as_postgres():
    """Words that run the rest of a command line as a user that postgres agrees to run as."""
    if os.geteuid() != 0:
        return []
    return ["setpriv", "--reuid=postgres", "--regid=postgres", "--clear-groups"]


@pytest.fixture(scope="module")
def cluster(public):
    """An empty database cluster, made once and without the shim: it opens no socket."""
    data = public / "cluster"
    data.mkdir(mode=0o700)
    if os.geteuid() == 0:
        entry = pwd.getpwnam("postgres")
        os.chown(data, entry.pw_uid, entry.pw_gid)
    subprocess.run([*as_postgres(), binaries() / "initdb", "-D", data, "-U", "postgres", "-A",
                    "trust", "-E", "UTF8", "--locale=C", "--no-sync"],
                   check=True, timeout=60, stdout=subprocess.DEVNULL, cwd="/")
    with open(data / "postgresql.conf", "a", encoding="ascii") as config:
        config.write(SETTINGS)
    return data


@pytest.fixture
def postgres(app, cluster):
    """A running server: the environment's PGPORT and so on lead every client to it."""
    port = free_port()
    app.environment.update(PGHOST="127.0.0.1", PGPORT=str(port), PGUSER="postgres",
                           PGDATABASE="postgres", PGCONNECT_TIMEOUT="20")
    # /proc/net belongs to the namespace of the program that started the server, so to this one.
    app.start(binaries() / "postgres", "-D", cluster, "-p", port, port=port, plain=as_postgres(),
              cwd="/")
    return port


def test_pgbench(app, postgres):
    """A small TPC-B-like load and a read-only one; money is neither made nor lost."""
    with app.carries(MB, connections=10, port=postgres):
        app.run("pgbench", "--initialize", "--quiet", "--scale", 1)
        for options in (["--select-only"], []):
            report = app.run("pgbench", "--client", 4, "--transactions", 50, "--no-vacuum",
                             *options).decode()
            assert "number of transactions actually processed: 200/200" in report
            assert re.search(r"failed transactions: 0 ", report)
        sums = app.run("psql", "-XAt", "-c", "select (select sum(abalance) from pgbench_accounts) ="
                       " (select sum(delta) from pgbench_history), count(*) from pgbench_history")
    assert sums == b"t|200\n"


def test_copy(app, postgres, payload):
    """8 MB of random text through COPY in and back through COPY out."""
    rows = app.directory / "rows"
    rows.write_text("".join(f"{piece}\n" for piece in
                            re.findall(".{1,1000}", payload(4 * MB).read_bytes().hex())))
    size = rows.stat().st_size
    with app.carries(2 * size, connections=1, port=postgres):
        back = app.run("psql", "-XAtq", "-v", "ON_ERROR_STOP=1", "-c",
                       "create temp table t(x text)", "-c", f"\\copy t from '{rows}'", "-c",
                       "\\copy t to stdout")
    assert len(back) == size
    assert sha256(back) == sha256(rows)


def test_large_value(app, postgres):
    """16 MB in one answer and an error in the middle of a session, which goes on after it."""
    with app.carries(16 * MB, port=postgres):
        answer = app.run("psql", "-XAtq", "-c", f"select repeat('x', {16 * MB})", "-c",
                         "select 1 / 0", "-c", "select 'still here'", status=0)
    assert len(answer) == 16 * MB + len("\nstill here\n")
    assert answer.endswith(b"x\nstill here\n")
