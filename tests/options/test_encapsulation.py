# SPDX-License-Identifier: BSD-3-Clause
"""UDP encapsulation (RFC 6951) between two hosts, where SCTP's own protocol number is dropped."""

import pytest

from twohosts import LAUNCHER, run

ASK = """
s = socket.create_connection(("10.1.0.2", 7000), 8)
s.sendall(b"REQUEST!" + bytes(56))
say(answer=s.recv(64, socket.MSG_WAITALL)[:8].decode())
"""


TRY = "try:" + ASK.replace("\n", "\n    ") + """
except OSError as error:
    say(failed=type(error).__name__)
"""


def udp_port(host, port):
    """The kernel of HOST takes SCTP in UDP there; 0: nowhere."""
    run(f"ip netns exec {host} sysctl -qw net.sctp.udp_port={port}")


def udp_packets(host):
    """How many UDP datagrams HOST has received."""
    rows = run(f"ip netns exec {host} cat /proc/net/snmp").splitlines()
    return int([row for row in rows if row.startswith("Udp:")][1].split()[1])


@pytest.fixture
def hosts(stage):
    """Two hosts between which SCTP does not come through as such."""
    with stage.hosts() as pair:
        run(f"ip -n {pair.client} link set c2 down")
        for host, end in ((pair.client, "c1"), (pair.server, "s1")):
            run(f"ip netns exec {host} tc qdisc add dev {end} clsact")
            run(f"ip netns exec {host} tc filter add dev {end} egress protocol ip u32 "
                "match ip protocol 132 0xff action drop")
        yield pair


def test_comes_through_in_udp(hosts):
    """The client is told the port; the server learns it from the first packet."""
    for host in (hosts.client, hosts.server):
        udp_port(host, 9899)
    hosts.serve()
    before = udp_packets(hosts.server)
    client = hosts.python(hosts.client, ASK, UDP_ENCAPS=9899)
    assert client.next("answer") == {"answer": "REQUEST!"}
    assert udp_packets(hosts.server) > before + 3
    assert not client.errors


def test_plain_sctp_does_not(hosts):
    """Without the option nothing comes through: the test above shows something."""
    for host in (hosts.client, hosts.server):
        udp_port(host, 9899)
    hosts.serve()
    client = hosts.python(hosts.client, TRY)
    assert client.next("failed") == {"failed": "TimeoutError"}


def test_host_that_takes_none_is_said(hosts):
    """udp_port is 0 here: the log says that raw SCTP goes out, and that is what happens."""
    udp_port(hosts.server, 9899)
    hosts.serve()
    before = udp_packets(hosts.server)
    client = hosts.python(hosts.client, TRY, UDP_ENCAPS=9899)
    assert client.next("failed") == {"failed": "TimeoutError"}
    line, = [line for line in client.errors if "UDP_ENCAPS" in line]
    assert "net.sctp.udp_port is 0 on this host" in line and "IP protocol 132" in line
    assert udp_packets(hosts.server) == before


def test_peer_that_takes_none_is_said(hosts):
    """The kernel says ECONNREFUSED, as if nobody listened; the log says what else it may be."""
    udp_port(hosts.client, 9899)
    hosts.serve()
    client = hosts.python(hosts.client, TRY, UDP_ENCAPS=9899)
    assert client.next("failed") == {"failed": "ConnectionRefusedError"}
    line, = [line for line in client.errors if "UDP_ENCAPS" in line]
    assert "(ECONNREFUSED)" in line and "set net.sctp.udp_port=9899 there" in line


def check(hosts, **options):
    """What `sctpshim check` says of it on the client."""
    environment = [f"SCTPSHIM_{name}={value}" for name, value in options.items()]
    said = run(f"ip netns exec {hosts.client} env {' '.join(environment)} {LAUNCHER} check")
    return [line.split(None, 3) for line in said.splitlines() if "UDP encapsulation" in line]


def test_check_tells(hosts):
    """Whether the host takes it, and which interfaces spoil it."""
    assert [line[0] for line in check(hosts)] == ["is"]
    assert "net.sctp.udp_port is 0" in check(hosts, UDP_ENCAPS=9899)[0][3]
    udp_port(hosts.client, 9899)
    said = check(hosts, UDP_ENCAPS=9899)
    assert [line[0] for line in said] == ["ok"]
    run(f"ip netns exec {hosts.client} ethtool -K c1 tx-sctp-segmentation off")
    said = check(hosts, UDP_ENCAPS=9899)
    assert [line[0] for line in said] == ["ok", "warn"] and "slow on c1," in said[1][3]
    run(f"ip netns exec {hosts.client} ethtool -K c1 gso off")
    assert [line[0] for line in check(hosts, UDP_ENCAPS=9899)] == ["ok"]
