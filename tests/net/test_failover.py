# SPDX-License-Identifier: BSD-3-Clause
"""Paths fail and come back under programs that know nothing of it.

The worst gap is printed (pytest -s, or the last line of each test in -rP). The target with
failover-fast is 150 ms; what is asserted leaves room for a loaded machine, and is far below the
second that the kernel's own settings take, which are measured beside.
"""

import time

import pytest

from twohosts import UNCONFIRMED

TARGET, ASSERTED = 0.15, 0.5
KERNEL = {"RTO_INITIAL": 3000, "RTO_MIN": 1000, "RTO_MIN_NATIVE": 1000, "RTO_MAX": 60000,
          "HEARTBEAT": 30000, "SACK_DELAY": 200}


def black_hole(hosts):
    """Packets of the path in use vanish."""
    hosts.black_hole(1)


def client_down(hosts):
    """The client's end of the path in use goes down."""
    hosts.down(hosts.client, 1)


def server_down(hosts):
    """The server's end does."""
    hosts.down(hosts.server, 1)


def back_and_forth(hosts):
    """Path 1 vanishes and comes back, then path 2 does."""
    hosts.black_hole(1)
    time.sleep(1)
    hosts.heal(1)
    for host, peer in ((hosts.client, "10.1.0.2"), (hosts.server, "10.1.0.1")):
        hosts.wait_for_paths(host, peer)
    time.sleep(0.5)
    hosts.black_hole(2)


FAULTS = [black_hole, client_down, server_down, back_and_forth]


def confirmed(hosts):
    """Both ends know that both paths work."""
    hosts.wait_for_paths(hosts.client, "10.1.0.2", "10.2.0.2")
    hosts.wait_for_paths(hosts.server, "10.1.0.1", "10.2.0.1")


def asking(hosts, options, more=2):
    """A client that asks until it is told to end, and MORE seconds, on two paths that work."""
    client = hosts.talk(hosts.client, "ask", "10.1.0.2", 7000, more, **options)
    names = client.next("connected")
    assert (names["peer"], names["own"]) == ("10.1.0.2", "10.1.0.1")
    confirmed(hosts)
    return client


def gap(hosts, fault, options):
    """The longest that a reply took while FAULT happened; talk.py misses none. The names stay."""
    server = hosts.serve(**options)
    client = asking(hosts, options)
    time.sleep(0.5)
    fault(hosts)
    done = client.finish("asked")
    assert (done["peer"], done["own"]) == ("10.1.0.2", "10.1.0.1")
    assert server.wait_for("closed")["peer"] == "10.1.0.1"
    return done["worst"]


def assert_short(hosts, name, measure, target=TARGET, asserted=ASSERTED):
    """That MEASURE() is, the longest that a reply took. A busy machine gets more tries."""
    for _ in range(3):
        worst = measure()
        print(f"{name}: worst gap {worst * 1000:.0f} ms, target {target * 1000:.0f} ms")
        if worst < asserted:
            return
        hosts.renew()
    raise AssertionError(f"{name}: {worst} s")


@pytest.mark.parametrize("fault", FAULTS)
def test_request_and_reply(hosts, fast, fault):
    """50 a second go on."""
    assert_short(hosts, fault.__name__, lambda: gap(hosts, fault, fast))


def test_kernel_settings_take_far_longer(hosts):
    """The same with the kernel's own settings, so that the numbers above mean something."""
    worst = gap(hosts, black_hole, KERNEL)
    print(f"kernel's settings: worst gap {worst * 1000:.0f} ms")
    assert worst > 0.9


@pytest.mark.parametrize("fault", FAULTS)
def test_transfer(hosts, fast, fault):
    """64 MB and more arrive as they were: the transfer ends some time after the fault."""
    server = hosts.serve(**fast)
    client = hosts.talk(hosts.client, "send", "10.1.0.2", 7000, 64, **fast)
    client.next("connected")
    client.next("quarter")
    confirmed(hosts)
    fault(hosts)
    done = client.finish("sent", timeout=120)
    assert done["same"] and done["sent"] >= 64
    print(f"{fault.__name__}: {done['sent']} MB in {done['seconds']:.1f} s")
    assert server.wait_for("closed")


@pytest.mark.parametrize("seconds", [8, pytest.param(20, marks=pytest.mark.long)])
def test_total_outage(hosts, fast, seconds):
    """So long without any path: the connection lives, and goes on within a second; RTO_MAX sees to it."""
    assert_short(hosts, f"after an outage of {seconds} s",
                 lambda: silence_after_outage(hosts, fast, seconds), 1, 1)


def silence_after_outage(hosts, fast, seconds):
    """From the repair of both paths on."""
    hosts.serve(**fast)
    client = asking(hosts, fast)
    hosts.black_hole(1)
    hosts.black_hole(2)
    time.sleep(seconds)
    hosts.heal(1)
    hosts.heal(2)
    repaired = time.monotonic()
    done = client.finish("asked")
    assert done["worst"] > seconds - 0.5
    return max(0, done["over"] - repaired)


@pytest.mark.long
def test_idle_outage(hosts, fast):
    """Heartbeats alone do not end it either: without OUTAGE's count they would within seconds."""
    hosts.serve(**fast)
    client = hosts.command(hosts.client, "/usr/bin/python3", "-c", IDLE, **fast)
    client.next("connected")
    confirmed(hosts)
    hosts.black_hole(1)
    hosts.black_hole(2)
    time.sleep(12)
    hosts.heal(1)
    hosts.heal(2)
    assert client.next("answer")["answer"] == "REQUEST!"


IDLE = """
import json, socket, time
s = socket.create_connection(("10.1.0.2", 7000))
print(json.dumps({"connected": 1}), flush=True)
time.sleep(14)
s.sendall(b"REQUEST!" + bytes(56))
print(json.dumps({"answer": s.recv(8).decode()}), flush=True)
"""


def test_outage_ends_a_connection_in_time(hosts, fast):
    """As long as the operator says, and not for ever."""
    short = {**fast, "OUTAGE": 1500}
    hosts.serve(**short)
    client = asking(hosts, short)
    cut = time.monotonic()
    hosts.black_hole(1)
    hosts.black_hole(2)
    assert "failed" in client.next("failed", timeout=60)
    assert 1.5 < time.monotonic() - cut < 30


def test_duplicate_private_address(hosts, fast):
    """172.17.0.1 on both hosts: no heartbeat goes there, and the connection lives."""
    assert_short(hosts, "with duplicate addresses", lambda: gap_with_duplicates(hosts, fast))


def gap_with_duplicates(hosts, fast):
    """Long enough for the abort that heartbeats would bring (after 3 to 4 seconds)."""
    for host in (hosts.client, hosts.server):
        hosts.add_duplicate(host)
    hosts.serve(**fast)
    client = asking(hosts, fast)
    for host in (hosts.client, hosts.server):
        hosts.wait_for_paths(host, "172.17.0.1", state=UNCONFIRMED)
    time.sleep(4)
    hosts.black_hole(1)
    assert hosts.paths(hosts.client)["172.17.0.1"] == UNCONFIRMED
    return client.finish("asked")["worst"]
