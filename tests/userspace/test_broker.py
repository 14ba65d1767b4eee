# SPDX-License-Identifier: BSD-3-Clause
"""The broker's life: started when it is needed, once; gone when it is not; asked nicely or not."""

import json
import os
import re
import signal
import socket
import struct
import subprocess
import sys
import time

from hosts import PEER, until

REQUEST = 3784


def control(host):
    """The path of the broker's control socket."""
    return host.status().split(" at ")[1].strip()


def test_the_first_program_starts_it(host):
    assert host.status() is None
    server = host.peer("echo", "127.0.0.1")
    server.stdout.readline()
    status = host.status()
    assert re.match(r"sctpshimd \S+, libusrsctp \S+: 0 associations, 0 legs, "
                    r"1 listening; 0 made, 0 came; UDP port 9899, ", status)
    parent = open(f"/proc/{host.broker_pid()}/stat", encoding="ascii").read().split()[3]
    assert int(parent) not in (server.pid, os.getpid()), "it is no child of the program's"


def test_it_inherits_nothing(host):
    """Descriptors, directory and session are its own."""
    server = host.start("sh", "-c", f"exec 7</etc/passwd; exec {sys.executable} {PEER} echo 127.0.0.1")
    server.stdout.readline()
    pid = host.broker_pid()
    files = {os.readlink(f"/proc/{pid}/fd/{fd}") for fd in os.listdir(f"/proc/{pid}/fd")}
    own = {"/dev/null", control(host).replace(".sock", ".listeners")}
    assert not {name for name in files if name.startswith(("/", "pipe:"))} - own
    assert os.readlink(f"/proc/{pid}/cwd") == "/"
    assert os.getsid(pid) == pid
    assert os.listdir(f"/proc/{pid}/task") == [str(pid)], "one thread"
    assert "LD_PRELOAD" not in open(f"/proc/{pid}/environ", encoding="ascii").read()


def test_a_program_without_standard_descriptors_starts_it(host):
    """As Node, whose are closed by exec()."""
    done = host.run(sys.executable, "-c", """if True:
        import os, socket
        for fd in range(3):
            os.set_inheritable(fd, False)
        with socket.socket() as s:
            s.bind(("127.0.0.1", 0))
            s.listen(1)
            print("listens", flush=True)""")
    assert (done.stdout, done.stderr) == ("listens\n", "")
    assert host.broker_pid()


def test_programs_that_start_together_start_one(host):
    clients = [host.peer("connect", "127.0.0.1", 9) for _ in range(12)]
    assert {client.stdout.readline().split()[0] for client in clients} == {"ConnectionRefusedError"}
    started = [line for line in host.log().splitlines() if "info: sctpshimd " in line]
    assert len(started) == 1


def test_who_is_accepted_is_connected(host):
    """Between programs of one broker, as over TCP: accept() returns after the caller was told."""
    done = host.run(sys.executable, "-c", """if True:
        import select, socket
        server, late = socket.create_server(("127.0.0.1", 0)), 0
        for _ in range(200):
            with socket.socket() as client:
                client.setblocking(False)
                client.connect_ex(server.getsockname())
                with server.accept()[0]:
                    late += select.select([], [client], [], 0) != ([], [client], [])
        print(late)""")
    assert (done.stdout, done.stderr) == ("0\n", "")


def test_who_is_connected_can_be_accepted(host):
    """The other way round: it is in the queue when connect() returns."""
    done = host.run(sys.executable, "-c", """if True:
        import socket
        server = socket.create_server(("127.0.0.1", 0))
        server.setblocking(False)
        for _ in range(200):
            with socket.create_connection(server.getsockname()):
                server.accept()[0].close()""")
    assert (done.returncode, done.stderr) == (0, "")


def test_the_program_sees_no_child(host):
    done = host.run(sys.executable, "-c", """if True:
        import os, signal, socket
        seen = []
        signal.signal(signal.SIGCHLD, lambda *_: seen.append(1))
        before = set(os.listdir("/proc/self/fd"))
        with socket.socket() as s:
            s.connect_ex(("127.0.0.1", 9))
        try:
            print(os.waitpid(-1, os.WNOHANG))
        except ChildProcessError:
            print("none")
        print(seen, before == set(os.listdir("/proc/self/fd")))""")
    assert (done.stdout, done.stderr) == ("none\n[] True\n", "")
    assert host.broker_pid()


def test_it_ends_when_there_is_nothing_to_do(host):
    broker = host.broker("--foreground", "--idle=3")
    until(host.status, "it runs")
    server = host.peer("echo", "127.0.0.1")
    port = server.stdout.readline().split()[1]
    time.sleep(4)
    assert broker.poll() is None, "somebody listens"
    assert "got hello" in host.run(sys.executable, PEER, "names", "127.0.0.1", port).stdout
    server.kill()
    assert broker.wait(20) == 0
    assert host.status() is None


def test_there_is_one_only(host):
    host.broker("--foreground")
    until(host.status, "it runs")
    second = host.broker("--foreground")
    assert second.wait(20) == 1
    assert "there is one already" in host.log()
    assert host.broker().wait(20) == 0, "who only wants one to run has what he wants"


def test_a_signal_ends_it_and_its_socket_is_no_obstacle(host):
    broker = host.broker("--foreground")
    path = until(lambda: host.status() and control(host), "it runs")
    os.kill(broker.pid, signal.SIGTERM)
    assert broker.wait(20) == 0
    assert os.path.exists(path), "left behind, as after a crash"
    done = host.run(sys.executable, PEER, "connect", "127.0.0.1", 9)
    assert done.stdout.startswith("ConnectionRefusedError")
    assert host.broker_pid() not in (None, broker.pid)


def test_one_that_is_just_dying_is_no_obstacle(host):
    """A process that is killed can be connected to until the kernel has closed its descriptors."""
    broker = host.broker("--foreground")
    path = until(lambda: host.status() and control(host), "it runs")
    broker.terminate()
    assert broker.wait(20) == 0
    os.unlink(path)
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as dying:
        dying.bind(path)
        dying.listen()
        started = host.broker()
        visitor, _ = dying.accept()
        visitor.close()
    assert started.wait(20) == 0
    assert host.status()


def test_a_registry_that_is_spoilt_or_not_ours_is_no_obstacle(host, tmp_path):
    """It is read by the next broker, which believes nothing in it that the kernel does not say."""
    server = host.peer("echo", "127.0.0.1")
    server.stdout.readline()
    registry = control(host).replace(".sock", ".listeners")
    good = open(registry, "rb").read()
    assert os.stat(registry).st_mode & 0o777 == 0o600 and any(good)
    stale = bytearray(good)
    stale[0] ^= 1                                                # another socket's cookie
    for bytes_ in (bytes(stale), good[:-1], os.urandom(len(good)), b""):
        host.kill_broker()
        open(registry, "wb").write(bytes_)
        host.broker()
        until(host.status, "it runs")
        assert " 0 listening" in host.status()
    host.kill_broker()
    os.chmod(registry, 0o666)
    host.broker()
    until(host.status, "it runs")
    assert "not this user's alone" in host.log()


def test_a_directory_that_others_may_enter_is_not_used(host):
    (host.home / "sctpshim").mkdir()
    (host.home / "sctpshim").chmod(0o755)
    done = host.run(sys.executable, PEER, "connect", "127.0.0.1", 9)
    assert done.stdout.startswith("Network is down")
    assert "no broker" in host.log()


def test_without_a_broker_it_says_so(host, top, tmp_path):
    """A build without libusrsctp: the library is there, the program sctpshimd is not."""
    library = tmp_path / "libsctpshim.so"
    library.write_bytes((top / "build/libsctpshim.so").read_bytes())
    done = subprocess.run([*host.entry, sys.executable, PEER, "connect", "127.0.0.1", "9"],
                          env={**host.environment, "LD_PRELOAD": str(library)}, text=True,
                          capture_output=True, timeout=60, check=False)
    assert done.stdout.startswith("Network is down")
    assert "no broker (ENETDOWN): this program cannot connect" in host.log()


def test_status_lists_connections_with_their_programs(host):
    """Both ends are here; the broker was started by the listener, and knows whose it is even so."""
    server = host.peer("echo", "127.0.0.1")
    port = server.stdout.readline().split()[1]
    client = host.peer("connect", "127.0.0.1", port, "wait")
    client.stdout.readline()
    assert client.stdout.readline() == "got x\n"
    local = server.stdout.readline().split()[2]
    ends = (f"127.0.0.1:{local}", f"127.0.0.1:{port}")
    lines = status(host)
    for one, other, process in ((*ends, client), (*ends[::-1], server)):
        found = [line for line in lines if f"ESTABLISHED {one}-{other}  " in line]
        assert found and found[0].endswith(f" {process.pid}  (through the broker)"), lines
    assert lines[-1].startswith(f"broker {host.broker_pid()}: sctpshimd "), lines
    seen = json.loads(status(host, "--json", f"--pid={client.pid}")[0])
    assert [(one["broker"], one["local_port"], one["peer_port"], one["holders"][0]["pid"])
            for one in seen["associations"]] == [(True, int(local), int(port), client.pid)]
    assert [one["pid"] for one in seen["brokers"]] == [host.broker_pid()]
    assert not json.loads(status(host, "--json", "--port=9")[0])["associations"]


def status(host, *words):
    """What `sctpshim status` says, in lines."""
    return subprocess.run([*host.entry, str(host.top / "scripts/sctpshim"), "status", *words],
                          env=host.environment, capture_output=True, text=True, timeout=60,
                          check=True).stdout.splitlines()


def test_strange_requests_get_nothing(host):
    host.broker("--foreground")
    path = until(lambda: host.status() and control(host), "it runs")
    good = struct.pack("=IHH", 0x53435442, 1, 4)
    for text in (b"", b"x", good, good.ljust(4096, b"\0"), os.urandom(REQUEST),
                 struct.pack("=IHH", 0x53435442, 2, 4).ljust(REQUEST, b"\0"),
                 struct.pack("=IHH", 0x53435442, 1, 9).ljust(REQUEST, b"\0")):
        with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as visitor:
            visitor.settimeout(20)
            visitor.connect(path)
            visitor.send(text)
            assert visitor.recv(1000) == b""
    assert host.status()


def test_a_visitor_who_says_nothing_keeps_nobody_waiting(host):
    host.broker("--foreground")
    path = until(lambda: host.status() and control(host), "it runs")
    visitors = []
    for _ in range(50):
        visitors.append(socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET))
        visitors[-1].connect(path)
    assert host.run(sys.executable, PEER, "connect", "127.0.0.1",
                    9).stdout.startswith("ConnectionRefusedError")
    visitors[0].settimeout(20)
    assert visitors[0].recv(10) == b"", "sent away after a while"
    for visitor in visitors:
        visitor.close()


def test_a_second_users_broker_can_connect_but_not_be_found(two):
    """UDP port 9899 is taken, by somebody else's broker for example."""
    one, other = two
    port = other.peer("echo", "0.0.0.0").stdout.readline().split()[1]
    with subprocess.Popen([*one.entry, sys.executable, "-c", """if True:
            import socket, sys
            s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
            s.bind(("", 9899))
            print("bound", flush=True)
            sys.stdin.read()"""], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as holder:
        assert holder.stdout.readline() == b"bound\n"
        assert "got hello" in one.run(sys.executable, PEER, "names", "10.0.0.2", port).stdout
        assert "UDP port 9899 is taken" in one.log()
        refused = one.run(sys.executable, PEER, "watch", "0.0.0.0")
        assert "Address already in use" in refused.stderr
        holder.stdin.close()
