# SPDX-License-Identifier: BSD-3-Clause
"""Options in the userspace plane: seen on the wire, or refused by one line in the log."""

import json
import re
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from hosts import PEER, until
from test_hosts import port_of, said

WIRE = Path(__file__).with_name("wire.py")
TABLE = (Path(__file__).resolve().parents[2] / "shim/options.def").read_text()
PLANES = re.findall(r"^PLANE\((\w+), (\w+), ", TABLE, re.MULTILINE)
INIT, INIT_ACK, DATA, AUTH = 1, 2, 0, 15
ECN, FORWARD_TSN = 0x8000, 0xC000


class Wire:
    """What passes on a host's interface."""

    def __init__(self, host, interface="wire"):
        self.process = subprocess.Popen([*host.entry, sys.executable, str(WIRE), interface],
                                        stdout=subprocess.PIPE, text=True)
        assert self.process.stdout.readline() == "ready\n"
        self.packets = []
        self.reader = threading.Thread(target=self.read, daemon=True)
        self.reader.start()

    def read(self):
        for line in self.process.stdout:
            self.packets.append(json.loads(line))

    def chunks(self, kind, source="10.0.0.1"):
        """Of all packets so far that this end has sent."""
        return [chunk for packet in list(self.packets) if packet["from"] == source
                for chunk in packet["chunks"] if chunk["type"] == kind]

    def wait_for(self, kind, source="10.0.0.1"):
        return until(lambda: self.chunks(kind, source), f"{source} sends a chunk {kind}")

    def end(self):
        self.process.kill()
        self.process.wait()
        self.reader.join()
        self.process.stdout.close()


@pytest.fixture
def wire(two):
    line = Wire(two[0])
    yield line
    line.end()


@pytest.fixture
def seen(two, wire):
    """A function: connects with options, sends a few bytes, and what is on the wire then."""
    def talk(server=None, size=20000, **options):
        one, other = two
        named = {f"SCTPSHIM_{name}": str(value) for name, value in options.items()}
        serving = {f"SCTPSHIM_{name}": str(value) for name, value in (server or {}).items()}
        port = port_of(other.peer("echo", "0.0.0.0", **serving))
        sent, received, _, _ = said(one, "bulk", "10.0.0.2", port, size, **named).split()
        assert sent == received
        wire.wait_for(DATA)
        return wire
    return talk


def test_streams_and_window(seen):
    init, = seen(OSTREAMS=7, ISTREAMS=9, RCVBUF="100k").chunks(INIT)
    assert (init["out"], init["in"], init["rwnd"]) == (7, 9, 102400)


def test_stream_and_ppid(seen):
    data = seen(STREAM=4, PPID=46).chunks(DATA)
    assert {chunk["stream"] for chunk in data} == {4}
    assert 46 in {chunk["ppid"] for chunk in data} <= {46, 0xffffffff}


def test_dscp(seen):
    wire = seen(DSCP=46)
    assert {packet["tos"] >> 2 for packet in wire.packets if packet["from"] == "10.0.0.1"} == {46}


@pytest.mark.parametrize("options, most", [({"PATHMTU": 900}, 860), ({"MAXSEG": 700}, 740)])
def test_packets_are_no_larger(seen, options, most):
    """By their chunks: a run of packets passes here as one."""
    largest = max(chunk["length"] for chunk in seen(**options).chunks(DATA))
    assert most - 100 < largest <= most


def test_without_options_nothing_is_offered(seen):
    init, = seen().chunks(INIT)
    assert not {ECN, FORWARD_TSN} & set(init["parameters"]), init
    assert not {AUTH, 0xC1, 0xC0} & set(init["extensions"]), init


def test_ecn_is_offered_and_marked(seen):
    wire = seen(server={"ECN": "yes"}, ECN="yes")
    assert ECN in wire.chunks(INIT)[0]["parameters"]
    assert ECN in wire.chunks(INIT_ACK, "10.0.0.2")[0]["parameters"]
    marks = {packet["tos"] & 3 for packet in wire.packets
             if packet["from"] == "10.0.0.1" and packet["chunks"][0]["type"] == DATA}
    assert marks & {1, 2}, "ECT(0) or ECT(1), RFC 3168"


def test_pr_sctp_is_offered(seen):
    assert FORWARD_TSN in seen(PR_SCTP="yes").chunks(INIT)[0]["parameters"]


def test_what_is_authenticated_is(two, seen, tmp_path):
    key = tmp_path / "key"
    key.write_bytes(b"secret of both\n")
    key.chmod(0o600)
    options = {"AUTH": "data,cookie", "AUTH_KEY": key, "AUTH_KEY_ID": 7}
    wire = seen(server=options, **options)
    assert wire.chunks(AUTH)
    for packet in wire.packets:                      # what stands before AUTH needs none: SACK
        types = [chunk["type"] for chunk in packet["chunks"]]
        if DATA in types:
            assert AUTH in types[:types.index(DATA)], types


def test_another_key_is_not_let_in(two, tmp_path):
    one, other = two
    keys = []
    for name in ("mine", "theirs"):
        keys.append(tmp_path / name)
        keys[-1].write_text(name)
        keys[-1].chmod(0o600)
    options = [{"SCTPSHIM_AUTH": "data,cookie", "SCTPSHIM_AUTH_KEY": str(key),
                "SCTPSHIM_INIT_ATTEMPTS": "2", "SCTPSHIM_RTO_INITIAL": "200",
                "SCTPSHIM_ASSOC_MAX_RETRANS": "2"} for key in keys]
    server = other.peer("echo", "0.0.0.0", **options[0])
    port = port_of(server)
    assert not said(one, "connect", "10.0.0.2", port, **options[1]).startswith("connected")
    assert said(one, "connect", "10.0.0.2", port, **options[0]).startswith("connected")


def test_init_attempts_and_timeout(two):
    one, other = two
    other.plain("ip", "link", "set", "wire", "down")
    one.plain("ip", "neigh", "add", "10.0.0.2", "lladdr", "02:00:00:00:00:02", "dev", "wire")
    _, took = said(one, "connect", "10.0.0.2", 9, SCTPSHIM_INIT_ATTEMPTS="8",
                   SCTPSHIM_RTO_INITIAL="100", SCTPSHIM_INIT_TIMEOUT="150").rsplit(maxsplit=1)
    assert 0.8 < float(took) < 12, "without the limit the eighth wait alone is 12.8 s"


VALUES = {"PMTUD": "no", "PROBE_INTERVAL": "5000", "FLOWLABEL": "5", "AUTO_ASCONF": "yes",
          "MESSAGES": "yes", "SPREAD": "writes", "UNORDERED": "yes", "LIFETIME": "100",
          "MESSAGE_RETRANS": "3", "SCHEDULER": "rr", "STREAM_VALUES": "0=1", "INTERLEAVING": "yes",
          "ADOPT": "yes"}


@pytest.mark.parametrize("name", [name for name, plane in PLANES if plane in ("DIRECT", "KERNEL")])
def test_what_it_cannot_honour_it_says_once(host, name):
    """And the program goes on without."""
    needs = {"SCTPSHIM_MESSAGES": "yes"} if name not in ("PMTUD", "MESSAGES") else {}
    port = port_of(host.peer("echo", "127.0.0.1"))
    done = host.run(sys.executable, "-c", f"""if True:
        import socket
        for _ in range(3):
            with socket.create_connection(("127.0.0.1", {port})) as s:
                s.sendall(b"x")
                assert s.recv(10) == b"x"
        """, **{**needs, f"SCTPSHIM_{name}": VALUES[name]})
    assert done.returncode == 0, done.stderr
    lines = re.findall(rf"warn: {name} has no effect here: (.+)", host.log())
    assert len(lines) == 1 and len(lines[0]) > 20


def test_defaults_are_no_cause_for_a_line(host):
    port = port_of(host.peer("echo", "127.0.0.1"))
    said(host, "names", "127.0.0.1", port)
    assert "warn" not in host.log()
