# SPDX-License-Identifier: BSD-3-Clause
"""redis-server with redis-cli and redis-benchmark: many small messages, epoll, pipelining."""

import pytest

from programs import MB, free_port, sha256


@pytest.fixture
def redis(app):
    """The port of a redis-server that keeps nothing on disk."""
    port = free_port()
    app.start("redis-server", "--port", port, "--bind", "127.0.0.1", "--save", "", "--appendonly",
              "no", "--daemonize", "no", "--dir", app.directory, port=port)
    return port


def test_value(app, redis, payload):
    """A 1 MB value goes in, is measured by the server, and comes out again."""
    source, cli = payload(MB), ["redis-cli", "-h", "127.0.0.1", "-p", redis]
    with app.carries(2 * MB, connections=3):
        with open(source, "rb") as stream:
            assert app.run(*cli, "-x", "set", "big", stdin=stream) == b"OK\n"
        assert int(app.run(*cli, "strlen", "big")) == MB
        value = app.run(*cli, "--raw", "get", "big")
    assert value[-1:] == b"\n"          # redis-cli's own
    assert sha256(value[:-1]) == sha256(source)


@pytest.mark.parametrize("requests, pipeline", [(2000, 1), (20000, 16)],
                         ids=["single", "pipeline"])
def test_benchmark(app, redis, requests, pipeline):
    """redis-benchmark with 20 clients; the server counts the commands that it has really seen."""
    with app.carries(2 * requests * 20, connections=20):
        report = app.run("redis-benchmark", "-h", "127.0.0.1", "-p", redis, "-n", requests, "-c",
                         20, "-P", pipeline, "-t", "set,get", "-d", 20, "--csv").decode()
        stats = app.run("redis-cli", "-h", "127.0.0.1", "-p", redis, "info", "commandstats")
    rates = {row.split(",")[0].strip('"'): float(row.split(",")[1].strip('"'))
             for row in report.splitlines()[1:]}
    assert rates["SET"] > 0 and rates["GET"] > 0
    calls = dict(row.split(":") for row in stats.decode().split() if row.startswith("cmdstat_"))
    for command in ("set", "get"):
        assert f"calls={requests}," in calls[f"cmdstat_{command}"]
