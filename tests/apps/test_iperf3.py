# SPDX-License-Identifier: BSD-3-Clause
"""iperf3: bulk in both directions, parallel streams, buffer and segment sizes on request."""

import json

import pytest

from programs import MB, free_port

SECONDS = 2


@pytest.mark.parametrize("options, streams", [
    ([], 1), (["--reverse"], 1), (["--parallel", "4"], 4), (["--window", "128K"], 1),
    (["--set-mss", "1400"], 1), (["--no-delay", "--length", "1K"], 1),
    (["--zerocopy"], 1)],
    ids=["forward", "reverse", "parallel", "window", "mss", "small-writes", "zerocopy"])
def test_throughput(app, options, streams):
    """Both ends agree on what was transferred, and the kernel saw it pass."""
    port = free_port()
    server = app.start("iperf3", "--server", "--one-off", "--bind", "127.0.0.1", "--port", port,
                       port=port)
    with app.carries(MB, connections=1 + streams, port=port) as seen:
        report = json.loads(app.run("iperf3", "--client", "127.0.0.1", "--port", port, "--json",
                                    "--time", SECONDS, *options, limit=60))
        assert server.wait(60) == 0
    assert "error" not in report
    assert len(report["end"]["streams"]) == streams
    received = report["end"]["sum_received"]["bytes"]
    assert MB < received <= report["end"]["sum_sent"]["bytes"]
    assert seen.bytes >= received
