# SPDX-License-Identifier: BSD-3-Clause
"""Two hosts without SCTP in their kernels: programs of the one talk to programs of the other."""

import os
import re
import signal
import socket
import subprocess
import sys
import time

import pytest

from hosts import PEER, until

SIZE = 64 << 20
FAST = 64 << 20                          # bytes read before the reader stops
# Whatever takes less time than this took the first answer.
PATIENT = {"SCTPSHIM_RTO_INITIAL": "5000", "SCTPSHIM_INIT_TIMEOUT": "5000"}


def port_of(process):
    """The port on which a peer.py says that it listens."""
    line = process.stdout.readline()
    assert line.startswith("listens"), line + process.stderr.read()
    return line.split()[1]


def said(host, *words, **settings):
    done = host.run(sys.executable, PEER, *words, **settings)
    assert done.returncode == 0, done.stderr
    return done.stdout


def packets_out(host):
    return int(re.search(r"packets (\d+) out", host.status())[1])


@pytest.mark.parametrize("address", ["10.0.0.2", "fd00::2"])
def test_both_ends_see_the_real_names(two, address):
    one, other = two
    server = other.peer("echo", "::" if ":" in address else "0.0.0.0")
    port = port_of(server)
    out = said(one, "names", address, port).splitlines()
    local, peer = re.fullmatch(r"local (\S+ \d+) peer (\S+ \d+)", out[0]).groups()
    assert peer == f"{address} {port}"
    assert local.split()[0] == address.replace("2", "1")
    assert out[1:] == ["got hello", "end b''"]
    assert server.stdout.readline() == f"accepted {local} at {peer}\n"


def test_nothing_but_udp_is_between_them(two):
    one, other = two
    port = port_of(other.peer("echo", "0.0.0.0"))
    said(one, "names", "10.0.0.2", port)
    for host in two:
        assert "10.0.0." not in host.plain("ss", "-Htan"), "a TCP connection to the other host"
        assert packets_out(host) > 3


def assert_bulk_comes_back(one, server, size):
    """The hash of what was sent and that of what came back, and how much came."""
    sent, received, count, _ = said(one, "bulk", "10.0.0.2", port_of(server), size).split()
    assert int(count) == size
    assert sent == received


def test_bulk_arrives_both_ways(two):
    one, other = two
    assert_bulk_comes_back(one, other.peer("echo", "0.0.0.0"), SIZE)


def test_bulk_arrives_on_a_lossy_path(two):
    one, other = two
    for host in two:
        try:
            host.plain("tc", "qdisc", "add", "dev", "wire", "root", "netem", "delay", "2ms",
                       "loss", "1%")
        except AssertionError as error:
            pytest.skip(f"this kernel cannot lose packets: {error}")
    assert_bulk_comes_back(one, other.peer("echo", "0.0.0.0"), 2 << 20)


def unread_at_broker(host):
    """The most that lies in a leg's end there and waits for the broker, bytes."""
    legs = [line.split() for line in host.plain("ss", "-Htn", "state", "established").splitlines()]
    unread = [int(leg[0]) for leg in legs if leg[2].startswith("127.83.255.")]
    assert unread
    return max(unread)


def test_a_slow_reader_stops_its_writer(two):
    one, other = two
    reader = other.peer("sink", "0.0.0.0", 0, FAST)
    writer = one.peer("pour", "10.0.0.2", port_of(reader))
    assert reader.stdout.readline() == "accepted\n"
    sent = int(writer.stdout.readline().split()[-1])
    assert 100_000 < sent - FAST < 40 << 20, "the buffers of two sockets, two stacks and no more"
    memory = [int(re.search(r"VmRSS:\s+(\d+)", open(f"/proc/{host.broker_pid()}/status",
                                                    encoding="ascii").read())[1]) for host in two]
    assert max(memory) < 64 << 10
    assert unread_at_broker(one) < 1 << 20
    writer.stdin.close()
    reader.stdin.write("\n")
    reader.stdin.flush()
    assert reader.stdout.readline() == f"end after {sent}\n"


def test_refused_where_nobody_listens(two):
    one, other = two
    port_of(other.peer("echo", "0.0.0.0"))
    result, took = said(one, "connect", "10.0.0.2", 9, **PATIENT).split()
    assert result == "ConnectionRefusedError"
    assert float(took) < 4


def test_refused_where_no_broker_is(two):
    result, took = said(two[0], "connect", "10.0.0.2", 9, **PATIENT).split()
    assert result == "ConnectionRefusedError", "an ICMP error says that the UDP port is closed"
    assert float(took) < 4


def test_refused_after_the_server_has_ended(two):
    one, other = two
    server = other.peer("echo", "0.0.0.0")
    port = port_of(server)
    said(one, "names", "10.0.0.2", port)
    server.kill()
    server.wait()
    assert said(one, "connect", "10.0.0.2", port).split()[0] == "ConnectionRefusedError"


def test_times_out_where_nobody_answers(two):
    one, other = two
    other.plain("ip", "link", "set", "wire", "down")
    one.plain("ip", "neigh", "add", "10.0.0.2", "lladdr", "02:00:00:00:00:02", "dev", "wire")
    result, took = said(one, "connect", "10.0.0.2", 9, SCTPSHIM_INIT_ATTEMPTS="1",
                        SCTPSHIM_RTO_INITIAL="300").split()
    assert result == "TimeoutError"
    assert 0.3 < float(took) < 20


def test_unreachable_where_there_is_no_way(two):
    assert said(two[0], "connect", "192.0.2.1", 9).startswith("Network is unreachable")


def test_a_reset_is_a_reset(two):
    one, other = two
    server = other.peer("watch", "0.0.0.0")
    assert said(one, "abort", "10.0.0.2", port_of(server)) == "got x\n"
    assert server.stdout.readline() == "ConnectionResetError\n"


def test_a_killed_program_ends_its_stream(two):
    one, other = two
    server = other.peer("watch", "0.0.0.0")
    client = one.peer("connect", "10.0.0.2", port_of(server), "wait")
    client.stdout.readline()
    assert client.stdout.readline() == "got x\n"
    client.kill()
    assert server.stdout.readline() == "end b''\n"


def test_a_killed_broker_is_a_reset_and_the_next_connect_starts_another(two):
    one, other = two
    port = port_of(other.peer("echo", "0.0.0.0"))
    client = one.peer("connect", "10.0.0.2", port, "wait")
    assert client.stdout.readline().startswith("connected")
    assert client.stdout.readline() == "got x\n"
    first = one.broker_pid()
    os.kill(first, signal.SIGKILL)
    assert client.stdout.readline() == "ConnectionResetError\n"
    assert "got hello" in said(one, "names", "10.0.0.2", port)
    assert one.broker_pid() not in (None, first)


def test_a_killed_broker_of_the_server_finds_it_again(two):
    one, other = two
    port = port_of(other.peer("echo", "0.0.0.0"))
    said(one, "names", "10.0.0.2", port)
    os.kill(other.broker_pid(), signal.SIGKILL)
    until(lambda: not other.status(), "the first broker is gone")
    other.broker()
    until(other.status, "the second broker runs")
    assert "got hello" in said(one, "names", "10.0.0.2", port)


def test_preforked_workers_accept_and_know_their_peers(two):
    one, other = two
    port = port_of(other.peer("prefork", "0.0.0.0", 3))
    workers = set()
    for _ in range(12):
        done = one.run(sys.executable, "-c", f"""if True:
            import socket
            s = socket.create_connection(("10.0.0.2", {port}))
            line = s.makefile().readline().split()
            assert (line[1], int(line[2])) == s.getsockname(), line
            s.sendall(b"back")
            assert s.recv(10) == b"back"
            print(line[0])""")
        assert done.returncode == 0, done.stderr
        workers.add(done.stdout)
    assert workers


def test_a_connection_survives_exec(two):
    one, other = two
    assert_bulk_comes_back(one, other.peer("execute", "0.0.0.0"), 1 << 20)


def test_a_server_that_empties_its_environment_accepts(two):
    """nginx's workers do."""
    one, other = two
    server = other.start(sys.executable, "-c", """if True:
        import os, socket
        s = socket.socket()
        s.bind(("0.0.0.0", 0))
        s.listen(5)
        os.environ.clear()
        print("listens", s.getsockname()[1], flush=True)
        c, peer = s.accept()
        c.sendall(peer[0].encode())
        c.close()
        s.accept()""")
    port = port_of(server)
    done = one.run(sys.executable, "-c", f"""if True:
        import socket
        print(socket.create_connection(("10.0.0.2", {port})).recv(100).decode())""")
    assert done.stdout == "10.0.0.1\n", done.stderr


def test_a_rule_leaves_a_port_to_tcp(two, tmp_path):
    one, other = two
    rules = tmp_path / "rules.conf"
    rules.write_text("[rule plain]\nport = 7777\naction = tcp\n")
    server = other.peer("echo", "0.0.0.0", 7777, SCTPSHIM_CONFIG=str(rules))
    assert port_of(server) == "7777"
    out = said(one, "names", "10.0.0.2", 7777, SCTPSHIM_CONFIG=str(rules))
    assert "got hello" in out
    assert one.status() is None and other.status() is None, "no broker was needed"


def test_many_connections_one_after_the_other(two):
    one, other = two
    port = port_of(other.peer("echo", "0.0.0.0"))
    done = one.run(sys.executable, "-c", f"""if True:
        import socket
        for i in range(300):
            with socket.create_connection(("10.0.0.2", {port})) as s:
                s.sendall(b"%d" % i)
                assert s.recv(10) == b"%d" % i""")
    assert done.returncode == 0, done.stderr
    until(lambda: all(": 0 associations, 0 legs" in host.status() for host in two),
          "the brokers have forgotten them")


def test_a_plain_client_is_kept_out(host):
    """Who connects to the leg of a listening program without the broker does not get in."""
    server = host.peer("echo", "127.0.0.1")
    port = port_of(server)
    line = next(line for line in host.plain("ss", "-Htln").splitlines() if f":{port} " in line)
    address = line.split()[3].rpartition(":")[0]
    assert address.startswith("127.83.")
    done = subprocess.run([*host.entry, sys.executable, "-c", f"""if True:
        import socket
        s = socket.create_connection(("{address}", {port}))
        s.settimeout(20)
        try:
            s.sendall(b"x")
            print(s.recv(10))
        except ConnectionResetError:
            print("reset")"""], capture_output=True, text=True, timeout=60, check=False)
    assert done.stdout in ("b''\n", "reset\n"), done.stderr
    assert "accepted" not in said(host, "names", "127.0.0.1", port)
    assert server.stdout.readline().startswith("accepted 127.0.0.1"), "the first one it accepts"
