# SPDX-License-Identifier: BSD-3-Clause
"""LOG=info: what becomes of connections is told, and the program notices nothing of it."""

import re

import pytest

from namespaces import borrowed, connect, exchange, serve, until

WATCH = """
e = select.epoll(); e.register(c.fileno(), select.EPOLLIN | select.EPOLLRDHUP | select.EPOLLET)
p = select.poll(); p.register(c.fileno(), select.POLLIN | select.POLLRDHUP)
import fcntl, array; n = array.array('i', [0])
c.setblocking(False)
"""
# Whatever could show that something lies in the receive queue; each must show nothing.
LOOKS = ["e.poll(0)", "p.poll(0)", "select.select([c], [], [c], 0)[0]",
         "(fcntl.ioctl(c.fileno(), 0x541b, n), list(n))[1]", "c.recv(1)"]
NOTHING = [[], [], [], [0], "EAGAIN"]


def lines(puppet):
    """Its log from the connection's name on."""
    found = []
    for line in puppet.log().splitlines():
        parts = re.fullmatch(r"sctpshim\[\d+\] \S+: info: fd \d+, (\S+:\d+ to \S+:\d+: .*)", line)
        assert parts, line
        found.append(parts.group(1))
    return found


@pytest.fixture
def watched(pair):
    """The pair; both paths are looked after, and the client's side in every way there is."""
    near, _ = pair
    for line in WATCH.strip().splitlines():
        near(line)
    assert near("e.poll(0)") == []
    with borrowed(near.pid, near.fd) as kernel:
        for address in ("10.1.0.2", "10.2.0.2"):
            kernel.heartbeats(address, 7000)
        yield pair


def test_a_connection_with_two_paths(hosts, watched):
    near, far = watched
    local = "10.1.0.1:" + str(near("c.getsockname()[1]"))

    def told(text):
        assert [near(look) for look in LOOKS] == NOTHING
        return next((line for line in lines(near) if re.search(text, line)), None)
    assert re.fullmatch(rf"{local} to 10\.1\.0\.2:7000: connected; from 10\.1\.0\.1(,10\.2\.0\.1)? "
                        r"to 10\.1\.0\.2,10\.2\.0\.2; 10 streams out, 10 in; the peer is native "
                        r"SCTP", lines(near)[0])
    until(lambda: told(r"path 10\.2\.0\.2 is up: the peer has confirmed it"))
    assert hosts.association(hosts.near)["failovers"] == 0
    hosts.link(1, "down")
    until(lambda: told(r"path 10\.1\.0\.2 is down: too many packets in a row without an answer"))
    down = hosts.association(hosts.near)
    assert down["failovers"] >= 1
    hosts.link(1, "up")
    until(lambda: told(r"path 10\.1\.0\.2 is up: the peer answers again"))
    assert hosts.tool(hosts.near, "primary", down["id"], "10.2.0.2").returncode == 0
    until(lambda: told(r"the primary path is 10\.2\.0\.2 now"))
    assert hosts.association(hosts.near)["failovers"] > down["failovers"]
    assert near("c.setblocking(True)") is None
    exchange(near, far)
    near("e.close()")
    near("c.close()")
    assert re.search("ended: closed by this program$", lines(near)[-1])


def test_only_one_of_several_holders_counts(hosts, watched):
    near, _ = watched
    child = near("os.fork() or [(p.poll(20), time.sleep(0.02)) for _ in range(100000)]")
    try:
        until(lambda: near("c.recv(1)") == "EAGAIN" and
              set(hosts.paths(hosts.near).values()) == {"ACTIVE"})
        hosts.link(1, "down")
        until(lambda: near("c.recv(1)") == "EAGAIN" and near.log().count("is down: ") == 2)
        assert hosts.association(hosts.near)["failovers"] in (1, 2)      # PF may come before
    finally:
        near(f"os.kill({child}, 9)")


def test_a_lost_connection(hosts, pair):
    near, far = pair
    assert far("d.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack('ii', 1, 0))") is None
    far("d.close()")
    assert until(lambda: near("c.recv(1)")) == "ECONNRESET"
    near("c.close()")
    told = [line for line in lines(near) if "lost" in line or "ended" in line]
    assert len(told) == 1
    assert told[0].endswith(":7000: lost: the peer has reset it (ECONNRESET)")


def test_a_connection_that_no_path_carries_any_more(hosts, pair):
    near, _ = pair
    near("c.settimeout(60)")
    with borrowed(near.pid, near.fd) as kernel:
        kernel.sock.setsockopt(132, 0, b"\0" * 4 + b"\x64\0\0\0" * 3)        # RTO: 100 ms
        kernel.sock.setsockopt(132, 1, b"\0" * 4 + b"\x02\0" + b"\0" * 14)   # two in a row
    hosts.link(1, "down")
    hosts.link(2, "down")
    near("c.send(b'lost')")
    assert near("c.recv(1)") == "ETIMEDOUT"
    assert lines(near)[-1].endswith(":7000: lost: no path answers any more (ETIMEDOUT)")


def test_the_accepting_side_and_the_end_by_the_peer(hosts):
    near, far = hosts.puppet(hosts.near, LOG="info"), hosts.puppet(hosts.far, LOG="info")
    serve(far, protocol=0)
    connect(near, far)
    exchange(near, far)
    near("c.close()")
    assert far("d.recv(1)") == b""
    far("d.close()")
    up, *_, end = lines(far)
    assert re.search(r"^10\.1\.0\.2:7000 to 10\.1\.0\.1:\d+: accepted; from 10\.1\.0\.2\S* to "
                     r"10\.1\.0\.1\S*; 10 streams out, 10 in; the peer is a shim$", up)
    assert re.search(r"^10\.1\.0\.2:7000 to 10\.1\.0\.1:\d+: ended: closed after the peer's end of "
                     "the stream$", end)


def test_nothing_is_told_or_counted_at_warn(hosts):
    near, far = hosts.puppet(hosts.near, LOG="warn"), hosts.puppet(hosts.far, shim=False)
    serve(far)
    _, fd = connect(near, far)
    with borrowed(near.pid, near("c.fileno()")) as kernel:
        for address in ("10.1.0.2", "10.2.0.2"):
            kernel.heartbeats(address, 7000)
        until(lambda: set(hosts.paths(hosts.near).values()) == {"ACTIVE"})
        hosts.link(1, "down")
        until(lambda: hosts.paths(hosts.near)["10.1.0.2"] == "INACTIVE")
        exchange(near, far)
        assert hosts.association(hosts.near)["failovers"] is None
    near("c.close()")
    assert near.log() == ""


def test_a_log_is_not_flooded(hosts):
    one = hosts.puppet(hosts.near, LOG="info")
    serve(one, port=7100, protocol=0)
    one("exec('def many(n):\\n for _ in range(n):\\n  c = socket.create_connection((\"127.0.0.1\", "
        "7100)); d = s.accept()[0]; c.close(); d.close()')")
    one("many(2)")
    before = len(one.log().splitlines())
    assert before == 8
    one("start = time.monotonic(); many(400); took = time.monotonic() - start")
    one("time.sleep(1.1); many(1)")
    took = one("took")
    text = one.log().splitlines()
    assert len(text) - before <= 200 * (took + 3)
    left_out = sum(int(found.group(1)) for line in text
                   if (found := re.search(r": (\d+) lines about connections left out$", line)))
    assert len([line for line in text if "left out" not in line]) + left_out == 4 * 403
