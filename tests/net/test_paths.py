# SPDX-License-Identifier: BSD-3-Clause
"""What the kernel makes of an association's paths: heartbeats, the primary one, timers, sizes."""

import time

import pytest

from twohosts import (ACTIVE, INACTIVE, PRELUDE, UNCONFIRMED, path_mtu, proc_net, rto_min, run,
                      socket_of)


def until(question, seconds=30):
    """Asserts that the answer becomes yes."""
    deadline = time.monotonic() + seconds
    while not question():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def connected(hosts, server={}, client={}, address="10.1.0.2"):  # pylint: disable=W0102
    """A server, and a client that talks to it for a while."""
    serving = hosts.serve(**server)
    asking = hosts.talk(hosts.client, "ask", address, 7000, 0, **client)
    asking.next("connected")
    serving.next("accepted")
    return serving, asking


def test_no_heartbeats_unless_asked(hosts):
    """A connection of two wildcards has one path, and an idle one sends nothing."""
    _, client = connected(hosts)
    time.sleep(2.5)
    assert hosts.paths(hosts.client) == {"10.1.0.2": ACTIVE, "10.2.0.2": UNCONFIRMED}
    assert hosts.paths(hosts.server) == {"10.1.0.1": ACTIVE, "10.2.0.1": UNCONFIRMED}
    client.finish("asked")


@pytest.mark.parametrize("options", [{"HEARTBEAT": 500}, {"LOCAL_ADDRS": "all"},
                                     {"PEER_ADDRS": "10.1.0.2=10.2.0.2"}, {"PRIMARY": "if:c1"}],
                         ids=lambda options: next(iter(options)))
def test_heartbeats_where_paths_are_configured(hosts, options):
    """At once, whatever the interval: the other path is of use from the beginning."""
    _, client = connected(hosts, client=options)
    hosts.wait_for_paths(hosts.client, "10.1.0.2", "10.2.0.2", seconds=15)
    client.finish("asked")


def test_heartbeats_off(hosts):
    """Even if addresses are configured."""
    off = {"LOCAL_ADDRS": "all", "HEARTBEAT": "off"}
    connected(hosts, off, off)
    time.sleep(2)
    assert hosts.paths(hosts.server)["10.2.0.1"] == UNCONFIRMED


KEEPALIVE = """
s = socket.socket()
s.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
for name, value in ((socket.TCP_KEEPIDLE, 1), (socket.TCP_KEEPINTVL, 1), (socket.TCP_KEEPCNT, 2)):
    s.setsockopt(socket.IPPROTO_TCP, name, value)
s.connect(("10.1.0.2", 7000))
s.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPCNT, 3)
say(connected=True)
time.sleep(5)
s.sendall(b"REQUEST!" + bytes(56))
say(answer=s.recv(64, socket.MSG_WAITALL)[:8].decode())
s.settimeout(30)
began = time.monotonic()
try:
    say(got=len(s.recv(100)))
except OSError as error:
    say(error=error.errno, after=time.monotonic() - began)
"""


@pytest.mark.parametrize("options", [{}, {"HEARTBEAT": 300}], ids=["one path", "two"])
def test_keepalive_with_duplicate_addresses(hosts, options):
    """SO_KEEPALIVE asks the peer, not this host's own bridge; and it notices when it is gone."""
    for host in (hosts.client, hosts.server):
        hosts.add_duplicate(host)
    hosts.serve(**options)
    client = hosts.python(hosts.client, KEEPALIVE, **options)
    client.next("connected")
    assert client.next("answer")["answer"] == "REQUEST!"
    hosts.black_hole(1)
    hosts.black_hole(2)
    line = client.next("error", timeout=60)
    assert line["error"] == 110 and 1 < line["after"] < 20, line


IDLE = """
c = socket.create_connection(("10.1.0.2", 7000))
say(connected=True)
time.sleep(60)
"""
HANDED_ON = """
s = socket.create_server(("0.0.0.0", 7000))
s.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
for name, value in ((socket.TCP_KEEPIDLE, 1), (socket.TCP_KEEPINTVL, 1), (socket.TCP_KEEPCNT, 2)):
    s.setsockopt(socket.IPPROTO_TCP, name, value)
os.set_inheritable(s.fileno(), True)
os.execv(sys.executable, [sys.executable, "-c", sys.argv[1], str(s.fileno())])
"""
HEIR = """
s = socket.socket(fileno=int(sys.argv[1]))
say(listening=True)
c = s.accept()[0]
say(accepted=c.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE))
began = time.monotonic()
try:
    say(got=len(c.recv(100)))
except OSError as error:
    say(error=error.errno, after=time.monotonic() - began)
"""


@pytest.mark.parametrize("options", [{}, {"HEARTBEAT": 300}], ids=["one path", "two"])
def test_keepalive_of_a_listener_that_is_handed_on(hosts, options):
    """The next program does not know what was set; the kernel does."""
    server = hosts.command(hosts.server, "/usr/bin/python3", "-c", PRELUDE + HANDED_ON,
                           PRELUDE + HEIR, **options)
    server.next("listening")
    hosts.python(hosts.client, IDLE, **options).next("connected")
    assert server.next("accepted")["accepted"] == 1
    hosts.black_hole(1)
    hosts.black_hole(2)
    line = server.next("error", timeout=60)
    assert line["error"] == 110 and 1 < line["after"] < 20, line


def test_addresses_that_come_later(hosts):
    """By ASCONF: the new path is watched like the first one, which was alone."""
    options = {"ASCONF": "yes", "AUTO_ASCONF": "yes"}
    run(f"ip -n {hosts.client} link set c2 down")
    run(f"ip -n {hosts.client} addr flush dev c2")
    hosts.serve(HEARTBEAT=200, PATH_MAX_RETRANS=2, RTO_MAX=400, OUTAGE=60000, **options)
    hosts.python(hosts.client, IDLE, **options).next("connected")
    assert hosts.paths(hosts.server) == {"10.1.0.1": ACTIVE}
    run(f"ip -n {hosts.client} link set c2 up")
    run(f"ip -n {hosts.client} addr add 10.2.0.1/24 dev c2")
    hosts.wait_for_paths(hosts.server, "10.1.0.1", "10.2.0.1")
    for link in (2, 1):
        hosts.black_hole(link)
        hosts.wait_for_paths(hosts.server, f"10.{link}.0.1", state=INACTIVE, seconds=30)
    hosts.heal(2)
    hosts.wait_for_paths(hosts.server, "10.2.0.1")


@pytest.mark.parametrize("primary, where", [("10.2.0.2", "peer"), ("if:c2", "interface"),
                                            ("10.2.0.0/24", "network"), ("10.2.0.1", "own")])
def test_primary_of_a_connector(hosts, primary, where):
    """By the peer's address, the own one, its interface; in the kernel, and where data goes."""
    client = connected(hosts, client={"PRIMARY": primary})[1]
    hosts.wait_for_paths(hosts.client, "10.2.0.2")
    assert hosts.associations(hosts.client)[0][1][0] == "10.2.0.2", where
    before = sent(hosts, "c2")
    until(lambda: sent(hosts, "c2") - before > 20 * 64)
    assert client.finish("asked")["peer"] == "10.1.0.2"


def sent(hosts, link):
    """Bytes that have left the client's end."""
    row = next(line for line in proc_net(hosts.client, "dev") if line.strip().startswith(link))
    return int(row.split(":")[1].split()[8])


def test_primary_of_a_listener(hosts):
    """Accepted connections have the listener's, in a forked worker too."""
    hosts.python(hosts.server, """
s = socket.create_server(("0.0.0.0", 7000))
if os.fork() == 0:
    c, _ = s.accept()
    c.recv(1)
    os._exit(0)
os.wait()
""", PRIMARY="if:s2")
    client = hosts.python(hosts.client, """
while True:
    try:
        s = socket.create_connection(("10.1.0.2", 7000))
        break
    except ConnectionRefusedError:
        time.sleep(0.1)
say(connected=True)
time.sleep(5)
""", HEARTBEAT=200)
    client.next("connected")
    hosts.wait_for_paths(hosts.server, "10.1.0.1", "10.2.0.1")
    until(lambda: hosts.associations(hosts.server)[0][1][0] == "10.2.0.1")
    assert hosts.associations(hosts.client)[0][1][0] == "10.1.0.2"


def test_peer_primary(hosts):
    """With ASCONF the peer is asked; without it the log says why not."""
    _, client = connected(hosts, client={"PEER_PRIMARY": "if:c2"})
    client.finish("asked")
    assert any("ASCONF is not on at both ends" in line for line in client.errors), client.errors
    for host in (hosts.client, hosts.server):
        for name in ("addip_enable", "addip_noauth_enable"):
            run(f"ip netns exec {host} sysctl -qw net.sctp.{name}=1")
    server = hosts.serve(port=7001, HEARTBEAT=200)
    client = hosts.talk(hosts.client, "ask", "10.1.0.2", 7001, 0, PEER_PRIMARY="if:c2")
    client.next("connected")
    server.next("accepted")
    until(lambda: hosts.associations(hosts.server)[0][1][0] == "10.2.0.1")


def test_timeouts_are_as_short_as_tcps(hosts):
    """200 ms, as in Linux's TCP, and no word about it."""
    for program in connected(hosts, {"LOG": "info"}, {"LOG": "info"}):
        with socket_of(program) as sock:
            assert rto_min(sock) == 200
        assert not any("RTO_MIN" in line for line in program.errors), program.errors


def test_short_timeouts_towards_shims_only(hosts, fast):
    """RTO_MIN of 50 ms counts when the peer is known to acknowledge in time."""
    loud = {**fast, "LOG": "info"}
    server, client = connected(hosts, loud, loud)
    for program in (server, client):
        with socket_of(program) as sock:
            assert rto_min(sock) == 50
        assert any("RTO_MIN is 50 ms: the peer is a shim" in line for line in program.errors)
    client.finish("asked")


NATIVE = """
l = socket.socket(socket.AF_INET, socket.SOCK_STREAM, 132)
l.bind(("0.0.0.0", 7000))
l.listen()
say(listening=True)
c = l.accept()[0]
while data := c.recv(1000):
    c.sendall(data)
"""


def test_longer_ones_towards_native_peers(hosts, fast):
    """300 ms, or what RTO_MIN_NATIVE says; nothing is sent twice."""
    for number, (options, expected) in enumerate((({}, 300), ({"RTO_MIN_NATIVE": 70}, 70))):
        hosts.python(hosts.server, NATIVE.replace("7000", str(7000 + number))).next("listening")
        client = hosts.talk(hosts.client, "ask", "10.1.0.2", 7000 + number, 0, **fast, LOG="info",
                            **options)
        client.next("connected")
        with socket_of(client) as sock:
            assert rto_min(sock) == expected
        client.finish("asked")
        assert any(f"RTO_MIN=50 is {expected} ms towards a peer that is no shim" in line
                   for line in client.errors), client.errors


def test_large_packets_are_limited_path_by_path(hosts):
    """What stalls SCTP over loopback stalls it over every link with such packets.

    The kernel forgets it with the first packet that it sends there later: so let there be none.
    """
    for host, end in ((hosts.client, "c2"), (hosts.server, "s2")):
        run(f"ip -n {host} link set {end} mtu 65000")
    _, client = connected(hosts, {"HEARTBEAT": "off"}, {"HEARTBEAT": 60000})
    with socket_of(client) as sock:
        assert path_mtu(sock, "10.1.0.2") == 1500
        assert path_mtu(sock, "10.2.0.2") == 32768 + 16 + 12 + 40


def test_counts_in_the_kernel(hosts, fast):
    """OUTAGE as a count that a live connection with several paths would refuse to be given."""
    _, client = connected(hosts, fast, fast)
    hosts.wait_for_paths(hosts.client, "10.2.0.2")
    for host in (hosts.client, hosts.server):
        assert hosts.retransmissions(host) > 1000
        assert hosts.path_retransmissions(host) == {3}
    client.finish("asked")
