# SPDX-License-Identifier: BSD-3-Clause
"""LOCAL_ADDRS and PEER_ADDRS: what is bound, what is advertised, who is reached, and the names."""

import errno
import os
import signal
import subprocess

import pytest

from twohosts import PRELUDE, run

BOTH = {"10.1.0.2", "10.2.0.2"}
HOME = {"127.0.0.1"}
SIX = "{}:0000:0000:0000:0000:0000:000{}"


FORMS = [
    ("10.1.0.2,10.2.0.2", BOTH | HOME),
    ("if:s2", {"10.2.0.2"} | HOME),
    ("10.2.0.0/16, 10.3.0.0/16", {"10.2.0.2"} | HOME),
    ("all,!if:s1", {"10.2.0.2"} | HOME),
    ("!10.1.0.0/24", {"10.2.0.2"} | HOME),
    ("!10.1.0.0/24,!127.0.0.0/8", {"10.2.0.2"}),
    ("all", {"0.0.0.0"}),
    ("10.9.9.9", {"0.0.0.0"}),
    ("10.9.9.9 10.2.0.2", {"10.2.0.2"} | HOME),
]


def test_listener_without_an_address(hosts):
    """The list instead of the wildcard, which the program goes on to see."""
    for port, (wanted, bound) in enumerate(FORMS, 7000):
        server = hosts.serve(port=port, LOCAL_ADDRS=wanted)
        assert (server.name, hosts.bound(hosts.server, port)) == ("0.0.0.0", bound), wanted
        missing = [line for line in server.errors if "meant by 10.9.9.9: left out" in line]
        assert len(missing) == ("10.9.9.9" in wanted), server.errors


def test_listener_is_reached(hosts):
    """At each address of the list, over loopback, and not at others; the client learns them all."""
    hosts.serve(LOCAL_ADDRS="10.2.0.2")
    client = hosts.talk(hosts.client, "ask", "10.2.0.2", 7000, 0)
    assert client.next("connected")["peer"] == "10.2.0.2"
    assert hosts.associations(hosts.client)[0][1] == ["10.2.0.2"]
    client.finish("asked")
    assert "failed" in hosts.talk(hosts.client, "ask", "10.1.0.2", 7000, 0).next("failed")
    for address in ("127.0.0.1", "127.0.1.1"):
        home = hosts.talk(hosts.server, "ask", address, 7000, 0)
        assert home.next("connected")["peer"] == address
        home.finish("asked")


def test_listener_with_an_address(hosts):
    """The list is added; the program's address is the one that it is called by."""
    server = hosts.serve("10.1.0.2", LOCAL_ADDRS="if:s2")
    assert hosts.bound(hosts.server, 7000) == BOTH
    assert server.name == "10.1.0.2"
    client = hosts.talk(hosts.client, "ask", "10.2.0.2", 7000, 0)
    client.next("connected")
    assert server.next("accepted") == {"accepted": "10.2.0.1", "own": "10.2.0.2"}


def test_loopback_listener_stays_at_home(hosts):
    """Who binds 127.0.0.1 is not to be reached from outside, whatever LOCAL_ADDRS says."""
    hosts.serve("127.0.0.1", LOCAL_ADDRS="all 10.1.0.2")
    assert hosts.bound(hosts.server, 7000) == HOME
    assert "failed" in hosts.talk(hosts.server, "ask", "127.0.1.1", 7000, 0).next("failed")


def test_other_loopback_addresses_are_refused(hosts):
    """However the kernel pads the pointers in its list of listeners: each is another one."""
    program = hosts.python(hosts.server, """
refused = 0
for port in range(7000, 7100):
    with socket.socket() as listener, socket.socket() as client:
        listener.bind(("127.0.0.1", port))
        listener.listen()
        refused += client.connect_ex(("127.0.1.1", port)) == errno.ECONNREFUSED
say(refused=refused)
""")
    assert program.next("refused") == {"refused": 100}


def test_errors_of_binding_are_tcps(hosts):
    """A port in use, at all addresses or at another one; port 0; listening without bind; AF_UNSPEC."""
    program = hosts.python(hosts.server, """
def bind(port, host="0.0.0.0"):
    s = socket.socket()
    try:
        s.bind((host, port))
    except OSError as error:
        return error.errno, s
    return s.getsockname(), s
first = bind(7100)
say(first=first[0], again=bind(7100)[0], other=bind(7100, "10.1.0.2")[0])
narrow = bind(7200, "10.1.0.2")
say(wide=bind(7200)[0])
any = bind(0)
any[1].listen()
say(any=any[0][0], port=any[0][1])
s = socket.socket()
s.listen()
say(unbound=s.getsockname()[0], port=s.getsockname()[1])
t = socket.socket()
t.bind(("0.0.0.0", 0))
port = t.getsockname()[1]
t.connect(any[0])
import ctypes
ctypes.CDLL(None).connect(t.fileno(), bytes(16), 16)
say(disconnected=t.getsockname()[0], same=t.getsockname()[1] == port)
time.sleep(60)
""", LOCAL_ADDRS="10.2.0.2,10.1.0.2")
    assert program.next("first") == {"first": ["0.0.0.0", 7100], "again": 98, "other": 98}
    assert program.next("wide") == {"wide": 98}
    for key in ("any", "unbound"):
        line = program.next(key)
        assert line[key] == "0.0.0.0"
        assert hosts.bound(hosts.server, line["port"]) == BOTH | HOME
    assert program.next("disconnected") == {"disconnected": "0.0.0.0", "same": True}


def test_listener_handed_on(hosts):
    """Another program that inherits the listener sees the same name, and serves the same."""
    heir = PRELUDE + """
s = socket.socket(fileno=int(sys.argv[1]))
say(name=s.getsockname())
c, peer = s.accept()
say(own=c.getsockname()[0], peer=peer[0])
"""
    program = hosts.command(hosts.server, "/usr/bin/python3", "-c", PRELUDE + """
s = socket.create_server(("0.0.0.0", 7000))
os.set_inheritable(s.fileno(), True)
os.execv(sys.executable, [sys.executable, "-c", sys.argv[1], str(s.fileno())])
""", heir, LOCAL_ADDRS="if:s1,if:s2")
    assert program.next("name")["name"] == ["0.0.0.0", 7000]
    hosts.talk(hosts.client, "ask", "10.2.0.2", 7000, 0)
    assert program.next("own") == {"own": "10.2.0.2", "peer": "10.2.0.1"}


def test_connector(hosts):
    """Bound by the program or not, it advertises the list; its name is where it connects from."""
    hosts.serve()
    for own, wanted, advertised in (("", "if:c1", {"10.1.0.1"}),
                                    ("", "10.2.0.1,10.1.0.1", {"10.1.0.1", "10.2.0.1"}),
                                    (",10.1.0.1", "if:c2", {"10.1.0.1", "10.2.0.1"})):
        client = hosts.talk(hosts.client, "ask", f"10.1.0.2{own}", 7000, 0, LOCAL_ADDRS=wanted)
        assert client.next("connected")["own"] == "10.1.0.1"
        assert set(hosts.associations(hosts.server)[0][1]) == advertised, (own, wanted)
        client.finish("asked")
    home = hosts.talk(hosts.server, "ask", "127.0.0.1", 7000, 0, LOCAL_ADDRS="if:s1")
    assert home.next("connected")["own"] == "127.0.0.1"


HEIR = """
s = socket.socket(fileno=int(sys.argv[1]))
def ask():
    s.sendall(b"REQUEST!" + bytes(56))
    s.recv(64, socket.MSG_WAITALL)
    return s.getsockname()[:2], s.getpeername()[0]
say(inherited=ask())
signal.sigwait([signal.SIGUSR1])
say(later=ask())
os.execv(sys.executable, [sys.executable, "-c", sys.argv[2], *sys.argv[1:]])
"""
ANCESTOR = """
signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGUSR1])
s = socket.create_connection((sys.argv[1], 7000))
say(own=s.getsockname()[:2])
os.set_inheritable(s.fileno(), True)
os.execv(sys.executable, [sys.executable, "-c", sys.argv[2], str(s.fileno()), sys.argv[2]])
"""


@pytest.mark.parametrize("address", ["10.1.0.2", "fd00:1::2", "::ffff:10.1.0.2"])
def test_names_of_an_inherited_connection(hosts, fast, address):
    """After exec, after a failover then, and after another exec: those of the beginning."""
    server = hosts.serve("::", **fast)
    program = hosts.command(hosts.client, "/usr/bin/python3", "-c", PRELUDE + ANCESTOR, address,
                            PRELUDE + HEIR, **fast)
    names = [program.next("own")["own"], address]
    assert program.next("inherited")["inherited"] == names
    hosts.wait_for_paths(hosts.client, *hosts.associations(hosts.client)[0][1])
    hosts.wait_for_paths(hosts.server, *hosts.associations(hosts.server)[0][1])
    hosts.down(hosts.client, 1)
    os.kill(program.pid, signal.SIGUSR1)
    assert program.next("later")["later"] == names
    assert program.next("inherited")["inherited"] == names
    assert server.running()


def test_ipv6_and_mixed(hosts):
    """An IPv6 wildcard listener has addresses of both kinds, and clients of both.

    Of IPv4 the kernel tells a peer with a global address only global ones: 10.2.0.2 it keeps back.
    """
    for host, end, address in ((hosts.client, "c2", 1), (hosts.server, "s2", 2)):
        run(f"ip -n {host} addr add 198.51.100.{address}/24 dev {end}")
    server = hosts.serve("::", LOCAL_ADDRS="fd00:1::2,198.51.100.2,10.2.0.2")
    assert server.name == "::"
    assert hosts.bound(hosts.server, 7000) == {
        SIX.format("fd00:0001", 2), SIX.format("0000:0000", 1), "198.51.100.2", "10.2.0.2",
        "127.0.0.1"}
    six = hosts.talk(hosts.client, "ask", "fd00:1::2", 7000, 0,
                     LOCAL_ADDRS="fd00:1::1,10.2.0.1,198.51.100.1")
    assert six.next("connected")["own"] == "fd00:1::1"
    assert hosts.associations(hosts.server)[0] == (
        [SIX.format("fd00:0001", 2), "198.51.100.2"], [SIX.format("fd00:0001", 1), "198.51.100.1"])
    hosts.wait_for_paths(hosts.client, SIX.format("fd00:0001", 2), "198.51.100.2")
    six.finish("asked")
    assert server.next("accepted") == {"accepted": "fd00:1::1", "own": "fd00:1::2"}
    assert server.wait_for("closed")
    four = hosts.talk(hosts.client, "ask", "10.2.0.2", 7000, 0)
    assert four.next("connected")["peer"] == "10.2.0.2"
    assert server.next("accepted") == {"accepted": "::ffff:10.2.0.1", "own": "::ffff:10.2.0.2"}


def test_ipv6_peer_with_an_ipv4_address(hosts, fast):
    """And the other way round, through a dead first address."""
    for host, end, address in ((hosts.client, "c2", 1), (hosts.server, "s2", 2)):
        run(f"ip -n {host} addr add 198.51.100.{address}/24 dev {end}")
    hosts.serve("::", **fast)
    hosts.black_hole(1)
    client = hosts.talk(hosts.client, "ask", "fd00:1::2", 7000, 0, **fast,
                        PEER_ADDRS="fd00:1::2=198.51.100.2")
    assert client.next("connected")["peer"] == "fd00:1::2"
    assert client.finish("asked")["peer"] == "fd00:1::2"


def test_peer_with_further_addresses(hosts, fast):
    """A dead first address costs one short timeout; the names are those that were asked for."""
    server = hosts.serve("10.1.0.2", LOCAL_ADDRS="10.2.0.2", **fast)
    ways = {**fast, "PEER_ADDRS": "10.9.0.1=10.9.0.2 10.1.0.2=10.1.0.2,10.2.0.2"}
    client = hosts.talk(hosts.client, "ask", "10.1.0.2", 7000, 0, **ways)
    assert client.next("connected")["peer"] == "10.1.0.2"
    assert server.next("accepted")["own"] == "10.1.0.2"
    client.finish("asked")
    server.next("closed")
    hosts.black_hole(1)
    took = []
    while len(took) < 3 and min(took, default=1) >= 0.9:     # a busy machine gets more tries
        client = hosts.talk(hosts.client, "ask", "10.1.0.2", 7000, 0, **ways)
        said = client.next("connected")
        assert said["peer"] == "10.1.0.2"
        assert server.next("accepted")["own"] == "10.2.0.2"
        assert client.finish("asked")["peer"] == "10.1.0.2"
        server.next("closed")
        took.append(said["connected"])
    assert 0.15 < min(took) < 0.9, took
    hosts.heal(1)
    hosts.down(hosts.client, 1)                              # no route: not even a timeout
    ways.update(RTO_INITIAL=5000, RTO_MAX=5000, INIT_TIMEOUT=5000)
    said = hosts.talk(hosts.client, "ask", "10.1.0.2", 7000, 0, **ways).next("connected")
    assert said["peer"] == "10.1.0.2" and said["connected"] < 4, said


NONBLOCKING = """
s = socket.socket()
s.setblocking(False)
say(begun=s.connect_ex(("10.1.0.2", 7000)), again=s.connect_ex(("10.1.0.2", 7000)))
poll = select.poll()
poll.register(s, select.POLLOUT)
say(poll=[bits for _, bits in poll.poll(30000)])
say(error=s.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR), result=s.connect_ex(("10.1.0.2", 7000)),
    peer=s.getpeername()[0])
time.sleep(0.3)
say(later=s.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR))
s.setblocking(True)
s.sendall(b"REQUEST!" + bytes(56))
say(answer=s.recv(8).decode())
os.set_inheritable(s.fileno(), True)
os.execv(sys.executable, [sys.executable, "-c", sys.argv[1], str(s.fileno())])
"""


def test_non_blocking_to_a_dead_first_address(hosts, fast):
    """EINPROGRESS, EALREADY, POLLOUT, no error now or later; the name survives exec."""
    hosts.serve("10.1.0.2", LOCAL_ADDRS="10.2.0.2", **fast)
    hosts.down(hosts.server, 1)                              # later: host unreachable, by ARP
    heir = PRELUDE + "say(heir=socket.socket(fileno=int(sys.argv[1])).getpeername()[0])"
    program = hosts.command(hosts.client, "/usr/bin/python3", "-c", PRELUDE + NONBLOCKING, heir,
                            **fast, PEER_ADDRS="10.1.0.2=10.2.0.2")
    assert program.next("begun") == {"begun": 115, "again": 114}
    assert program.next("poll")["poll"] == [4]
    assert program.next("error") == {"error": 0, "result": 0, "peer": "10.1.0.2"}
    assert program.next("later")["later"] == 0
    assert program.next("answer")["answer"] == "REQUEST!"
    assert program.next("heir")["heir"] == "10.1.0.2"


def test_blocking_connect_to_nowhere(hosts, fast):
    """SO_SNDTIMEO and signals end the wait as with one address; then all tries are used up."""
    hosts.black_hole(1)
    hosts.black_hole(2)
    program = hosts.python(hosts.client, """
def connect(s):
    began = time.monotonic()
    try:
        s.connect(("10.1.0.2", 7000))
        error = 0
    except OSError as e:
        error = e.errno
    return error, round(time.monotonic() - began, 1)
s = socket.socket()
s.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, struct.pack("qq", 0, 400000))
say(timeout=connect(s))
class Interrupted(Exception):
    pass
def handler(*_):
    raise Interrupted
signal.signal(signal.SIGALRM, handler)
signal.setitimer(signal.ITIMER_REAL, 0.3)
s = socket.socket()
try:
    connect(s)
except Interrupted:
    say(interrupted=True)
say(given_up=connect(socket.socket()))
""", **fast, INIT_ATTEMPTS=3, PEER_ADDRS="10.1.0.2=10.2.0.2")
    error, seconds = program.next("timeout")["timeout"]
    assert (error, 0.4 <= seconds < 5) == (115, True)
    assert program.next("interrupted")
    error, seconds = program.next("given_up")["given_up"]
    assert error == 110 and 0.9 < seconds < 30, (error, seconds)


def test_addresses_of_a_name(hosts, fast, tmp_path):
    """PEER_ADDRS=dns: what the resolver told the program of the name."""
    names = tmp_path / "hosts"
    names.write_text("10.1.0.2 twin\n10.2.0.2 twin\n10.1.0.2 single\n")
    hosts.serve("10.1.0.2", LOCAL_ADDRS="10.2.0.2", **fast)
    hosts.black_hole(1)
    code = PRELUDE + """
for resolve in ("socket.getaddrinfo(%r, 7000, type=socket.SOCK_STREAM)[0][4][0]",
                "socket.gethostbyname_ex(%r)[2][0]"):
    address = eval(resolve % sys.argv[1])
    s = socket.socket()
    s.settimeout(1.5)
    say(address=address, result=s.connect_ex((address, 7000)) or s.getpeername()[0])
"""
    missed = [errno.EAGAIN, errno.EHOSTUNREACH]              # out of time, or of ARP's
    for name, options, result in (("twin", {"PEER_ADDRS": "dns"}, ["10.1.0.2"]),
                                  ("twin", {}, missed), ("single", {"PEER_ADDRS": "dns"}, missed)):
        mounted = f"mount --bind {names} /etc/hosts && exec \"$@\""
        program = hosts.command(hosts.client, "/bin/sh", "-c", mounted, "-", "/usr/bin/python3",
                                "-c", code, name, **fast, **options)
        for _ in range(2):
            line = program.next("address")
            assert line["address"] == "10.1.0.2" and line["result"] in result, (name, line)


def test_profiles_are_good(top, launcher):
    """Each file of config/ is accepted as it is."""
    profiles = sorted((top / "config").glob("*.conf"))
    assert {profile.name for profile in profiles} >= {"failover-fast.conf", "lan.conf", "wan.conf"}
    for profile in profiles:
        done = subprocess.run([launcher, "check-config", profile], capture_output=True, text=True,
                              check=False)
        assert (done.returncode, done.stdout, done.stderr) == (0, "", ""), profile


RULES = """
[rule served]
role = listen
port = 7000
local_addrs = 10.2.0.2

[rule cluster]
role = connect
address = 10.1.0.0/24
peer_addrs = 10.1.0.2=10.2.0.2
peer_addrs = 10.1.0.3=10.2.0.3
rto_initial = 200
rto_min = 100

[rule others]
peer_addrs = 10.2.0.2=10.1.0.2
"""


LATE = """
[rule served]
role = listen
local_addrs = 10.2.0.2,10.1.0.2

[rule out]
role = connect
address = 10.0.0.0/8
local_addrs = 10.1.0.2

[rule home]
"""


def test_by_a_rule_that_is_found_after_bind(hosts, tmp_path):
    """Bound to port 0: the rule is known when the socket listens, or connects. Names stay."""
    rules = tmp_path / "rules.conf"
    rules.write_text(LATE)
    program = hosts.python(hosts.server, """
def bound(host):
    s = socket.socket()
    s.bind((host, 0))
    return s, s.getsockname()
def show(s, name, *peer):
    spare = socket.socket(fileno=os.dup(s.fileno()))
    kept.extend((s, spare))
    s.connect(*peer) if peer else s.listen()
    say(name=s.getsockname()[0], port=name[1], same=s.getsockname() == name,
        also=spare.getsockname() == name)
kept = []
for host in ("0.0.0.0", "10.1.0.2", "127.0.0.1"):
    show(*bound(host))
native = socket.socket(socket.AF_INET, socket.SOCK_STREAM, 132)
native.bind(("10.2.0.2", 7000))
native.listen()
show(*bound("10.2.0.2"), ("10.2.0.2", 7000))
kept.append(native.accept()[0])
say(accepted=True)
time.sleep(60)
""", CONFIG=rules)
    for host, addresses in (("0.0.0.0", BOTH | HOME), ("10.1.0.2", BOTH), ("127.0.0.1", HOME),
                            ("10.2.0.2", None)):
        line = program.next("name")
        assert (line["name"], line["same"], line["also"]) == (host, True, True), (host, line)
        assert not addresses or hosts.bound(hosts.server, line["port"]) == addresses, host
    program.next("accepted")
    assert BOTH in [set(own) for own, _ in hosts.associations(hosts.server)]


def test_by_rule(hosts, tmp_path):
    """Addresses are a rule's, for listeners and connectors, each list in as many lines as it has."""
    rules = tmp_path / "rules.conf"
    rules.write_text(RULES)
    hosts.serve(CONFIG=rules)
    assert hosts.bound(hosts.server, 7000) == {"10.2.0.2", "127.0.0.1"}
    hosts.black_hole(1)
    took = []
    while len(took) < 3 and min(took, default=1) >= 0.9:     # a busy machine gets more tries
        client = hosts.talk(hosts.client, "ask", "10.1.0.2", 7000, 0, CONFIG=rules)
        said = client.next("connected")
        assert said["peer"] == "10.1.0.2"
        took.append(said["connected"])
    assert min(took) < 0.9, took
