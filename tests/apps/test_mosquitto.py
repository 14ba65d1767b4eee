# SPDX-License-Identifier: BSD-3-Clause
"""mosquitto: long-lived connections, one publisher and many subscribers."""

import time
from pathlib import Path

import pytest

from programs import MB, free_port, sha256


@pytest.fixture
def broker(app):
    """A broker that lets everyone in: the clients' options, and its log."""
    port, config = free_port(), app.directory / "mosquitto.conf"
    config.write_text(f"listener {port} 127.0.0.1\nallow_anonymous true\nuser root\n"
                      "log_type all\npersistence false\n")
    daemon = app.start("mosquitto", "-c", config, port=port)
    return ["-h", "127.0.0.1", "-p", port, "-t", "topic"], daemon.log


def wait_for(log, words, count, limit=60):
    """Wait until WORDS stand COUNT times in a log."""
    end = time.monotonic() + limit
    while (seen := Path(log).read_text().count(words)) < count:
        assert time.monotonic() < end, f"{seen} times {words!r} in the log, not {count}"
        time.sleep(0.05)


@pytest.mark.parametrize("qos", [0, 2])
def test_message(app, broker, payload, qos):
    """A message of 2 MB to three subscribers, and kept for one that comes later."""
    options, log = broker
    source, copies = payload(2 * MB), [app.directory / f"copy-{number}" for number in range(3)]
    subscribe = ["mosquitto_sub", *options, "-q", qos, "-C", 1, "-N"]
    with app.carries(5 * 2 * MB, connections=5):
        subscribers = []
        for copy in copies:
            with open(copy, "wb") as sink:
                subscribers.append(app.background(*subscribe, stdout=sink))
        wait_for(log, "Sending SUBACK", len(copies))
        app.run("mosquitto_pub", *options, "-q", qos, "-r", "-f", source)
        assert [subscriber.wait() for subscriber in subscribers] == [0, 0, 0]
        late = app.run(*subscribe)
    assert {sha256(copy) for copy in copies} | {sha256(late)} == {sha256(source)}
