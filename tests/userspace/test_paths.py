# SPDX-License-Identifier: BSD-3-Clause
"""Several paths in the userspace plane: two hosts with two links between them, in namespaces.

    one    10.1.0.1 ------ 10.1.0.2    other
           10.2.0.1 ------ 10.2.0.2
"""

import json
import re
import sys
import time
from pathlib import Path

import pytest

from hosts import until
from test_hosts import port_of, said

TALK = Path(__file__).resolve().parents[1] / "net/talk.py"
PATHS = (1, 2)
BOTH = {"SCTPSHIM_LOCAL_ADDRS": "10.1.0.0/16,10.2.0.0/16"}
GAP = 0.3                                                   # s: what was asked for
OWN = 0.9                                                   # s: less than the stack's own takes
LIVES = 5                                                   # s: and where it is not the question


def preset(top, name):
    """A file of config/ as settings."""
    lines = (top / "config" / name).read_text().splitlines()
    return {f"SCTPSHIM_{key.upper()}": value for key, value in
            (re.fullmatch(r"(\w+) = (\S+)", line).groups() for line in lines
             if re.fullmatch(r"\w+ = \S+", line))}


@pytest.fixture
def fast(top):
    return {**preset(top, "failover-fast.conf"), **BOTH}


@pytest.fixture
def linked(hosts):
    """(one, other) with two links, wire1 and wire2."""
    one = hosts("one")
    other = hosts("other", one)
    for path in PATHS:
        one.plain("ip", "link", "add", "name", f"wire{path}", "type", "veth", "peer", "name",
                  f"wire{path}", "netns", str(other.keeper.pid))
        for at, host in enumerate((one, other), 1):
            host.plain("ip", "addr", "add", f"10.{path}.0.{at}/24", "dev", f"wire{path}")
            host.plain("ip", "link", "set", f"wire{path}", "up")
    return one, other


def address(host, linked, path):
    return f"10.{path}.0.{linked.index(host) + 1}"


def black_hole(linked, path):
    """Packets of the path vanish, both ways: they are for a station that is not there."""
    for host, peer in (linked, linked[::-1]):
        host.plain("ip", "neigh", "replace", address(peer, linked, path), "lladdr",
                   "02:00:00:00:00:99", "dev", f"wire{path}", "nud", "permanent")


def mend(linked, path):
    """Whatever it was."""
    for host, peer in (linked, linked[::-1]):
        host.plain("ip", "link", "set", f"wire{path}", "up")
        host.plain("ip", "neigh", "flush", "dev", f"wire{path}", "nud", "all")


def counts(host, path):
    """Packets that have come and gone on this path's interface, and bytes that have gone."""
    seen = json.loads(host.plain("ip", "-s", "-j", "link", "show", "dev", f"wire{path}"))[0]
    rx, tx = seen["stats64"]["rx"], seen["stats64"]["tx"]
    return rx["packets"], tx["packets"], tx["bytes"]


class Talk:
    """talk.py on a host, line by line; what it has to say is a dictionary each."""

    def __init__(self, host, *words, **settings):
        self.process = host.start(sys.executable, TALK, *words, **settings)

    def next(self, key):
        for line in self.process.stdout:
            what = json.loads(line)
            assert "failed" not in what, what
            if key in what:
                return what
        raise AssertionError(f"no {key}: {self.process.stderr.read()}")

    def finish(self, key):
        """Tell it to come to its end."""
        self.process.stdin.close()
        return self.next(key)


def heard_on_both(linked):
    """Both ends' heartbeats on path 2 have been answered: both interfaces have seen some."""
    before = counts(linked[0], 2)
    until(lambda: min(now - then for now, then in zip(counts(linked[0], 2)[:2], before)) >= 4,
          "path 2 is asked")


def silent(linked, path):
    black_hole(linked, path)


def client_down(linked, path):
    linked[0].plain("ip", "link", "set", f"wire{path}", "down")


def server_down(linked, path):
    linked[1].plain("ip", "link", "set", f"wire{path}", "down")


FAULTS = [silent, client_down, server_down]


def talking(linked, options, *words, server=None):
    """A server, and a client that talks to it over path 1."""
    one, other = linked
    serving = Talk(other, "serve", "0.0.0.0", 7000, **(server or options))
    serving.next("listening")
    client = Talk(one, words[0], "10.1.0.2", 7000, *words[1:], **options)
    names = client.next("connected")
    assert (names["peer"], names["own"]) == ("10.1.0.2", "10.1.0.1")
    return serving, client


def worst_reply(linked, options, fault):
    """How long a reply took at most while path 1 failed; talk.py misses none."""
    client = Talk(linked[0], "ask", "10.1.0.2", 7000, 1, **options)
    names = client.next("connected")
    assert (names["peer"], names["own"]) == ("10.1.0.2", "10.1.0.1")
    heard_on_both(linked)
    fault(linked, 1)
    done = client.finish("asked")
    assert (done["peer"], done["own"]) == ("10.1.0.2", "10.1.0.1"), "the names stay"
    mend(linked, 1)
    return done["worst"]


@pytest.mark.parametrize("fault", FAULTS)
def test_a_failed_path_is_left_at_once(linked, fast, fault):
    """50 requests a second go on; both ends find out by themselves. A busy machine gets more tries."""
    serving = Talk(linked[1], "serve", "0.0.0.0", 7000, **fast)
    serving.next("listening")
    for _ in range(4):
        worst = worst_reply(linked, fast, fault)
        print(f"{fault.__name__}: worst gap {worst * 1000:.0f} ms")
        if worst < GAP:
            break
    assert worst < GAP
    assert serving.next("closed")["peer"] == "10.1.0.1"


def test_the_stacks_own_settings_take_far_longer(linked):
    """So that the number above means something."""
    slow = {**BOTH, "SCTPSHIM_RTO_MIN": "1000"}
    client = talking(linked, slow, "ask", 3)[1]
    time.sleep(0.5)
    black_hole(linked, 1)
    assert client.finish("asked")["worst"] > OWN


@pytest.mark.parametrize("fault", [silent, *(pytest.param(fault, marks=pytest.mark.long)
                                             for fault in FAULTS[1:])])
def test_a_transfer_survives(linked, fast, fault):
    client = talking(linked, fast, "send", 48)[1]
    client.next("quarter")
    fault(linked, 1)
    assert client.finish("sent")["same"]


@pytest.mark.long
def test_a_path_that_comes_back_is_used_when_the_other_fails(linked, fast):
    client = talking(linked, fast, "ask", 2)[1]
    heard_on_both(linked)
    black_hole(linked, 1)
    time.sleep(1)
    mend(linked, 1)
    time.sleep(1.5)
    black_hole(linked, 2)
    assert client.finish("asked")["worst"] < LIVES


def test_without_options_there_is_one_path(linked):
    """No peer is told of an address that it was not meant to have."""
    one, other = linked
    port = port_of(other.peer("echo", "0.0.0.0"))
    said(one, "bulk", "10.1.0.2", port, 1 << 20)
    assert max(counts(one, 2)[:2]) < 20, "nothing but the interface's own"


def test_peer_addrs_lead_to_a_host_whose_first_address_is_dead(linked):
    one, other = linked
    port = port_of(other.peer("echo", "0.0.0.0"))
    black_hole(linked, 1)
    out = said(one, "connect", "10.1.0.2", port, SCTPSHIM_PEER_ADDRS="10.1.0.2=10.2.0.2",
               SCTPSHIM_LOCAL_ADDRS="all", SCTPSHIM_RTO_INITIAL="200")
    result, took = out.splitlines()[0].split()
    assert result == "connected"
    assert float(took) < 20


def busier(host, port, **settings):
    """Which path carries a transfer, by the bytes that leave on both."""
    before = {path: counts(host, path)[2] for path in PATHS}
    said(host, "bulk", "10.1.0.2", port, 4 << 20, SCTPSHIM_HEARTBEAT="200", **settings)
    return max(PATHS, key=lambda path: counts(host, path)[2] - before[path])


@pytest.mark.parametrize("primary", ["10.2.0.2", "if:wire2", "10.2.0.1"])
def test_primary_is_the_path_that_is_used(linked, primary):
    """By the peer's address, by the own one, or by its interface."""
    one, other = linked
    port = port_of(other.peer("echo", "0.0.0.0", **BOTH))
    assert busier(one, port, **BOTH) == 1
    assert busier(one, port, SCTPSHIM_PRIMARY=primary, **BOTH) == 2


def test_peer_primary_is_where_the_peer_sends(linked):
    """The listener keeps to path 2; asked by ASCONF the client does, too."""
    one, other = linked
    server = {**BOTH, "SCTPSHIM_ASCONF": "yes", "SCTPSHIM_HEARTBEAT": "200",
              "SCTPSHIM_PEER_PRIMARY": "10.2.0.2"}
    port = port_of(other.peer("echo", "0.0.0.0", **server))
    assert busier(one, port, **BOTH, SCTPSHIM_ASCONF="yes") == 2
    assert busier(one, port, **BOTH) == 1, "who knows no ASCONF is not asked"


def test_loopback_is_no_path(linked):
    """Who listens at all addresses is reached over loopback too, whatever LOCAL_ADDRS says."""
    host = linked[1]
    port = port_of(host.peer("echo", "0.0.0.0", **BOTH))
    assert "got hello" in said(host, "names", "127.0.0.1", port, **BOTH)


def test_an_address_that_both_hosts_have_is_no_path(linked, fast):
    """As bridges for containers do: heartbeats that went there would end the connection."""
    for host in linked:
        host.plain("ip", "addr", "add", "172.17.0.1/24", "dev", "lo")
    everything = {**fast, "SCTPSHIM_LOCAL_ADDRS": "all"}
    client = talking(linked, everything, "ask", 2)[1]
    heard_on_both(linked)
    time.sleep(2)
    black_hole(linked, 1)
    assert client.finish("asked")["worst"] < LIVES


def test_paths_of_both_families(linked, fast):
    """Of an AF_INET6 socket, which can have both; IPv4 fails and IPv6 goes on."""
    one, other = linked
    for at, host in enumerate(linked, 1):
        host.plain("ip", "addr", "add", f"fd00:2::{at}/64", "dev", "wire2", "nodad")
    options = {**fast, "SCTPSHIM_LOCAL_ADDRS": "10.1.0.0/16,fd00:2::/64",
               "SCTPSHIM_PEER_ADDRS": "10.1.0.2=fd00:2::2"}
    Talk(other, "serve", "::", 7000, **options).next("listening")
    client = Talk(one, "ask", "::ffff:10.1.0.2", 7000, 2, **options)
    client.next("connected")
    heard_on_both(linked)
    black_hole(linked, 1)
    assert client.finish("asked")["worst"] < LIVES


RATE, SIZE = 16, 4 << 20                                    # Mbit/s of each path; bytes


def limited(host, rates):
    """The host's paths take no more than this."""
    for path, rate in zip(PATHS, rates):
        try:
            host.plain("tc", "qdisc", "add", "dev", f"wire{path}", "root", "tbf", "rate",
                       f"{rate}mbit", "burst", "32k", "latency", "50ms")
        except AssertionError as error:
            pytest.skip(f"this kernel cannot limit a rate: {error}")


def rate_of(host, port, size, **settings):
    """Mbit/s of a transfer whose bytes arrive as they were."""
    options = {**BOTH, "SCTPSHIM_HEARTBEAT": "200", "SCTPSHIM_SNDBUF": "4m",
               "SCTPSHIM_RCVBUF": "4m", **settings}
    sent, received, count, seconds = said(host, "bulk", "10.1.0.2", port, size, **options).split()
    assert (int(count), received) == (size, sent)
    return size * 8 / 1e6 / float(seconds)


@pytest.mark.parametrize("mode", ["coupled", pytest.param("on", marks=pytest.mark.long)])
def test_cmt_adds_the_paths_up(linked, mode):
    """Two equal paths carry at least 1.7 times what one of them does."""
    one, other = linked
    limited(one, (RATE, RATE))
    port = port_of(other.peer("echo", "0.0.0.0", **BOTH, SCTPSHIM_RCVBUF="4m"))
    alone = max(rate_of(one, port, SIZE) for _ in range(2))
    both = max(rate_of(one, port, 2 * SIZE, SCTPSHIM_CMT=mode) for _ in range(3))
    print(f"one path {alone:.1f} Mbit/s, CMT={mode} {both:.1f} Mbit/s, {both / alone:.2f} times")
    assert RATE / 2 < alone < 1.1 * RATE
    assert both > 1.7 * alone
    assert both > 1.4 * RATE, "more than one path can carry"


@pytest.mark.long
def test_cmt_goes_on_with_one_path(linked, fast):
    one, other = linked
    limited(one, (RATE, RATE))
    options = {**fast, "SCTPSHIM_CMT": "on"}
    client = talking(linked, options, "send", 8)[1]
    client.next("quarter")
    black_hole(linked, 2)
    assert client.finish("sent")["same"]


def test_a_peers_address_that_is_our_own_harms_nobody(linked, fast):
    """Who wants no paths is told of them even so, by a peer that has some."""
    one, other = linked
    for host in linked:
        host.plain("ip", "addr", "add", "172.17.0.1/24", "dev", "lo")
    server = {**fast, "SCTPSHIM_LOCAL_ADDRS": "all"}
    Talk(other, "serve", "0.0.0.0", 7000, **server).next("listening")
    client = Talk(one, "ask", "10.1.0.2", 7000, 5)
    client.next("connected")
    assert client.finish("asked")["asked"] > 50
