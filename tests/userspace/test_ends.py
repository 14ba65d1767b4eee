# SPDX-License-Identifier: BSD-3-Clause
"""How connections end, and how many there may be: nothing is lost, nothing is left."""

import os
import re
import signal
import sys
from pathlib import Path

from hosts import until

MANY = 5000
LEAST = 24 << 10                         # bytes a connection that a broker may take, at most


def port_of(process):
    line = process.stdout.readline()
    assert line.startswith("listens"), line + process.stderr.read()
    return line.split()[1]


def count_of(process):
    """The number at the end of what it says, when it has ended well."""
    out, err = process.communicate(timeout=120)
    assert process.returncode == 0, err
    return int(out.split()[-1])


def memory(pid):
    status = Path(f"/proc/{pid}/status").read_text(encoding="ascii")
    return int(re.search(r"VmRSS:\s+(\d+)", status)[1]) << 10


def test_what_was_sent_before_close_arrives(two):
    one, other = two
    reader = other.peer("gather", "0.0.0.0", 20)
    writer = one.peer("pieces", "10.0.0.2", port_of(reader), 20)
    assert count_of(writer) == count_of(reader)


def test_what_a_server_sent_before_close_arrives(two):
    one, other = two
    writer = other.peer("give", "0.0.0.0", 20)
    reader = one.peer("take", "10.0.0.2", port_of(writer), 20)
    assert count_of(reader) == count_of(writer)


def test_a_killed_program_with_unread_data_resets(two):
    """As TCP: who ends without having read what has come is not done."""
    one, other = two
    server = other.peer("peek", "0.0.0.0")
    client = one.peer("wait_for_end", "10.0.0.2", port_of(server))
    assert server.stdout.readline() == "sees x\n"
    server.kill()
    assert client.stdout.readline() == "ConnectionResetError\n"


def test_a_broker_that_is_ended_resets_both_ends(two):
    one, other = two
    server = other.peer("watch", "0.0.0.0")
    client = one.peer("connect", "10.0.0.2", port_of(server), "wait")
    client.stdout.readline()
    assert client.stdout.readline() == "got x\n"
    os.kill(one.broker_pid(), signal.SIGTERM)
    assert client.stdout.readline() == "ConnectionResetError\n"
    assert server.stdout.readline() == "ConnectionResetError\n"


def test_a_peer_that_is_no_more_is_not_waited_for_without_end(two):
    """The program has closed, all has arrived, and then the other host's broker is killed."""
    one, other = two
    one.forget_closed_after(2)
    server = other.start(sys.executable, "-c", """
import socket
listener = socket.create_server(("0.0.0.0", 0))
print("listens", listener.getsockname()[1], flush=True)
conn, _ = listener.accept()
assert conn.recv(9) == b"x" and conn.recv(9) == b""
print("read", flush=True)
input()
""")
    done = one.run(sys.executable, "-c", f"""
import socket
sock = socket.create_connection(("10.0.0.2", {port_of(server)}))
sock.sendall(b"x")
""")
    assert done.returncode == 0, done.stderr
    assert server.stdout.readline() == "read\n"
    assert ": 1 associations, 1 legs" in one.status()
    other.kill_broker()
    until(lambda: ": 0 associations, 0 legs" in one.status(), "it is forgotten")


def test_many_connections_at_a_time(two):
    one, other = two
    for host in two:
        host.broker("--foreground")
        until(host.status, "it runs")
    before = [memory(host.broker_pid()) for host in two]
    server = other.peer("crowd", "0.0.0.0")
    client = one.peer("many", "10.0.0.2", port_of(server), MANY)
    said = client.stdout.readline().split()
    assert said[:2] == ["made", str(MANY)], client.stderr.read()
    each = [(memory(host.broker_pid()) - size) // MANY for host, size in zip(two, before)]
    print(f"{MANY} connections in {said[2]} s, {each} bytes each")
    for host in two:
        assert re.search(rf": {MANY} associations, {MANY} legs", host.status()), host.status()
    assert max(each) < LEAST, each
    client.stdin.close()
    assert client.stdout.readline() == "ended\n"
    server.kill()
    until(lambda: all(": 0 associations, 0 legs" in host.status() for host in two),
          "the brokers have forgotten them", 120)
