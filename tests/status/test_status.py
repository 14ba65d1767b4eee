# SPDX-License-Identifier: BSD-3-Clause
"""sctpshim status: what it shows is what the kernel, asked in another way, says."""

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from namespaces import NAMES, NOBODY, SCTP, borrowed, command, connect, exchange, serve, until

NOSCTP = Path(__file__).parents[1] / "cli/nosctp.py"


def test_both_paths_as_the_kernel_has_them(hosts, pair):
    near, _ = pair
    found = hosts.association(hosts.near)
    with borrowed(near.pid, near.fd) as kernel:
        _, incoming, outgoing, primary = kernel.status()
        told = {address: kernel.path(address, 7000) for address in ("10.1.0.2", "10.2.0.2")}
    assert {path["address"] for path in found["paths"]} == set(told)
    for path in found["paths"]:
        state, cwnd, _, rto, mtu = told[path["address"]]
        assert (path["state"], path["cwnd"], path["rto_ms"], path["mtu"]) == (
            NAMES[state], cwnd, rto, mtu)
        assert path["primary"] == (path["address"] == primary)
    assert (found["streams_in"], found["streams_out"]) == (incoming, outgoing)
    assert found["state"] == "ESTABLISHED"
    assert found["accepted"] is True
    assert (found["local_port"], found["peer_port"]) == (near("c.getsockname()[1]"), 7000)
    assert "10.1.0.1" in found["local_addresses"]
    assert (found["send_queue"], found["receive_queue"], found["retransmitted"]) == (0, 0, 0)
    assert found["style"] == "one-to-one"
    holder, = found["holders"]
    assert holder == {"pid": near.pid, "program": Path(sys.executable).resolve().name[:15],
                      "fds": [near.fd], "library": True} | {"program": holder["program"]}
    with open(f"/proc/{near.pid}/comm", encoding="utf-8") as comm:
        assert holder["program"] == comm.read().strip()
    assert (found["shim"], found["peer_shim"], found["rule"]) == (True, False, None)


def test_the_other_end_is_native_and_has_a_listener(hosts, pair):
    _, far = pair
    document = hosts.status(hosts.far)
    found, = document["associations"]
    assert found["shim"] is False and found["peer_shim"] is None
    assert found["holders"][0]["library"] is False
    listener, = document["listeners"]
    assert (listener["local_port"], listener["local_addresses"]) == (7000, ["0.0.0.0"])
    assert listener["holders"][0]["pid"] == far.pid
    assert (document["version"], document["missing"]) == (1, [])


def test_text_says_the_same(hosts, pair):
    near, _ = pair
    found = hosts.association(hosts.near)
    done = hosts.tool(hosts.near, "status")
    assert (done.returncode, done.stderr) == (0, "")
    program = found["holders"][0]["program"]
    first = found["paths"][0]
    expected = (
        rf"{found['id']} +ESTABLISHED 10\.1\.0\.1:{found['local_port']}-10\.1\.0\.2:7000  "
        rf"{program} {near.pid}:{near.fd}  \(shim to native\)\n"
        r"(      local 10\.1\.0\.1 10\.2\.0\.1\n)?"
        rf"      path 10\.1\.0\.2  ACTIVE +primary  cwnd {first['cwnd']}  srtt \d+ ms  "
        rf"rto {first['rto_ms']} ms  mtu 1500\n"
        r"      path 10\.2\.0\.2  \w+ +cwnd \d+  srtt \d+ ms  rto \d+ ms  mtu 1500\n"
        r"      streams \d+ in \d+ out; queued 0 in 0 out; retransmitted \d+; failovers 0\n")
    assert re.fullmatch(expected, done.stdout), done.stdout


def names(value):
    """The names of all members in a JSON document."""
    if isinstance(value, dict):
        return set(value).union(*map(names, value.values()))
    return set().union(*map(names, value)) if isinstance(value, list) else set()


def test_the_manual_names_every_member(top, hosts, pair):
    page = (top / "docs/sctpshim.1").read_text()
    words = set(re.findall(r"\w+", page[page.index(".Ss JSON"):page.index(".Sh ENVIRONMENT")]))
    found = names({**hosts.status(hosts.far), "reasons": {}})     # their words: docs/fallback.md
    assert len(found) > 30
    assert found - words == set()


RULES = """
[rule served]
role = listen
port = 7000

[rule cluster]
role = connect
address = 10.1.0.0/24
"""


def test_the_rule_of_each_socket(hosts, tmp_path):
    """By whoever looks: in the log, in the text, and in JSON, also of what was inherited."""
    rules = tmp_path / "rules.conf"
    rules.write_text(RULES)
    near, far = [hosts.puppet(host, LOG="info", CONFIG=rules) for host in (hosts.near, hosts.far)]
    serve(far, protocol=0)
    connect(near, far)
    exchange(near, far)
    assert near.log().endswith("the peer is a shim; rule cluster\n")
    listening, accepted = far.log().splitlines()
    assert listening.endswith(" listens at 0.0.0.0:7000: rule served: sctp")
    assert accepted.endswith("the peer is a shim; rule served")
    assert hosts.association(hosts.near)["rule"] == "cluster"
    assert " (shim to shim; rule cluster)\n" in hosts.tool(hosts.near, "status").stdout
    far.become(far("d.fileno()"), far("s.fileno()"))
    document = hosts.status(hosts.far)
    assert [one["rule"] for one in document["associations"] + document["listeners"]] == [
        "served", "served"]
    assert near("c.close()") is None
    serve(near, port=7001)
    near("c = socket.create_connection(('127.0.0.1', 7001))")
    found = hosts.status(hosts.near)["associations"]
    assert {one["rule"] for one in found if one["shim"]} == {""}
    assert "(shim to native; no rule)" in hosts.tool(hosts.near, "status").stdout
    rules.unlink()
    document = hosts.status(hosts.far)
    assert re.fullmatch("#[0-9a-f]{6}", document["listeners"][0]["rule"])


def test_what_is_not_read_is_queued(hosts, pair):
    near, far = pair
    assert far("d.send(b'x' * 5000)") == 5000
    until(lambda: hosts.association(hosts.near)["receive_queue"] >= 5000)
    assert near("c.recv(5000)") == b"x" * 5000
    assert hosts.association(hosts.near)["receive_queue"] == 0


def test_states_follow_the_links(hosts, pair):
    near, _ = pair
    with borrowed(near.pid, near.fd) as kernel:
        for address in ("10.1.0.2", "10.2.0.2"):
            kernel.heartbeats(address, 7000)
        until(lambda: set(hosts.paths(hosts.near).values()) == {"ACTIVE"})
        hosts.link(1, "down")
        until(lambda: hosts.paths(hosts.near) == {"10.1.0.2": "INACTIVE", "10.2.0.2": "ACTIVE"})
        hosts.link(1, "up")
        until(lambda: set(hosts.paths(hosts.near).values()) == {"ACTIVE"})


def test_round_trip_times_are_milliseconds(hosts, pair):
    command("tc", "-n", hosts.far, "qdisc", "add", "dev", "f1", "root", "netem", "delay", "150ms")

    def measured(before):
        return hosts.association(hosts.near, before=before)["paths"][0]["srtt_ms"]

    # What was sent again, on a busy machine, is not measured: some more then.
    until(lambda: exchange(*pair, times=10) or measured([]) >= 90)
    with borrowed(pair[0].pid, pair[0].fd) as kernel:
        ticks = kernel.path("10.1.0.2", 7000)[2]
    assert ticks > 0
    for before in ([], NOBODY):                        # with getsockopt(), and with sock_diag
        assert 90 <= measured(before) <= 250


def test_every_holder_is_shown(hosts, pair):
    near, _ = pair
    child = near("os.fork() or time.sleep(100)")
    spare = near("os.dup(c.fileno())")
    try:
        holders = hosts.association(hosts.near)["holders"]
        assert {holder["pid"]: sorted(holder["fds"]) for holder in holders} == {
            near.pid: sorted([near.fd, spare]), child: [near.fd]}
        text = hosts.tool(hosts.near, "status").stdout.splitlines()[0]
        assert f" {child}:{near.fd}" in text
    finally:
        near(f"os.kill({child}, 9)")


def test_shims_at_both_ends_over_loopback(hosts):
    one = hosts.puppet(hosts.near)
    serve(one, port=7100, protocol=0)
    assert one("c = socket.create_connection(('127.0.0.1', 7100))") is None
    before = hosts.status(hosts.near)["associations"]
    waiting = [found for found in before if not found["accepted"]]
    assert [found["local_port"] for found in waiting] == [7100]
    assert waiting[0]["holders"][0]["fds"] == [one("s.fileno()")]
    assert one("d = s.accept()[0]") is None
    after = hosts.status(hosts.near)["associations"]
    assert [(found["shim"], found["peer_shim"], found["accepted"]) for found in after] == [
        (True, True, True)] * 2
    assert {found["holders"][0]["fds"][0] for found in after} == {
        one("c.fileno()"), one("d.fileno()")}


def test_ipv6(hosts):
    one = hosts.puppet(hosts.near)
    for line in ("s = socket.create_server(('::1', 7100), family=socket.AF_INET6)",
                 "c = socket.create_connection(('::1', 7100))", "d = s.accept()[0]"):
        assert one(line) is None
    document = hosts.status(hosts.near)
    assert document["listeners"][0]["local_addresses"] == ["::1"]
    assert [found["paths"][0]["address"] for found in document["associations"]] == ["::1"] * 2
    assert all(found["paths"][0]["cwnd"] > 0 for found in document["associations"])
    assert "LISTEN [::1]:7100" in hosts.tool(hosts.near, "status").stdout


def test_one_to_many_sockets(hosts):
    far, near = hosts.puppet(hosts.far, shim=False), hosts.puppet(hosts.near, shim=False)
    serve(far)
    for line in (f"c = socket.socket(socket.AF_INET, socket.SOCK_SEQPACKET, {SCTP})",
                 "c.sendto(b'1', ('10.1.0.2', 7000))"):
        near(line)
    assert far("d = s.accept()[0]") is None
    near("c.bind(('', 0))")
    found = until(lambda: [one for one in hosts.status(hosts.near)["associations"]
                           if one["state"] == "ESTABLISHED"])[0]
    assert (found["style"], found["shim"], found["peer_shim"]) == ("one-to-many", False, None)
    assert found["paths"][0]["mtu"] == 1500


def test_names_of_programs_are_any_bytes(hosts, pair):
    near, _ = pair
    name = b"\"\\\x1b[2J\xc3\xa9\xff\xed\xa0\x80"
    assert near(f"open('/proc/self/comm', 'wb').write({name!r})") == len(name)
    shown = hosts.association(hosts.near)["holders"][0]["program"]
    assert shown == '"\\?[2J\u00e9' + "\ufffd" * 4
    done = subprocess.run(["ip", "netns", "exec", hosts.near, hosts.launcher, "status"],
                          capture_output=True, timeout=60, check=False)
    assert done.returncode == 0 and b"\x1b" not in done.stdout and name[-6:] in done.stdout


def test_filters(hosts, pair):
    near, _ = pair
    program = hosts.association(hosts.near)["holders"][0]["program"]
    port = near("c.getsockname()[1]")

    def shown(*words):
        return len(hosts.status(hosts.near, *words)["associations"])
    assert shown(f"--pid={near.pid}") == shown("--pid", near.pid) == shown("--port=7000") == 1
    assert shown(f"--port={port}") == shown("--address=10.2.0.2", f"--program={program}") == 1
    assert shown("--pid=1") == shown("--port=7001") == shown("--address=10.3.0.1") == 0
    assert shown("--program=no") == shown("--address=10.2.0.2", "--port=9") == 0
    assert hosts.tool(hosts.near, "status", "--port=9").stdout == "no SCTP sockets\n"


@pytest.mark.parametrize("words,said", [
    (["--pid=x"], "status: --pid: expected a process number, got 'x'"),
    (["--port=70000"], "status: --port: expected a number from 1 to 65535, got '70000'"),
    (["--address=host"], "status: --address: expected an IP address, got 'host'"),
    (["--watch=0"], "status: --watch: expected seconds from 0.1 to 86400, got '0'"),
    (["more"], "status: expected options only, got 'more'"),
    (["--nothing"], "unrecognized option '--nothing'"),
])
def test_wrong_usage(launcher, shim_env, words, said):
    done = subprocess.run([launcher, "status", *words], env=shim_env, capture_output=True,
                          text=True, timeout=60, check=False)
    assert (done.returncode, done.stdout) == (2, "")
    assert said in done.stderr.splitlines()[0]


def test_what_others_may_see(hosts, pair):
    before = hosts.association(hosts.near)
    document = hosts.status(hosts.near, before=NOBODY)
    found, = document["associations"]
    assert (found["holders"], found["uid"], found["shim"]) == ([], 0, True)
    for key in ("id", "state", "local_addresses", "peer_port", "streams_out", "peer_shim"):
        assert found[key] == before[key]
    for mine, theirs in zip(before["paths"], found["paths"]):
        assert (theirs["state"], theirs["rto_ms"], theirs["mtu"]) == (
            mine["state"], mine["rto_ms"], None)
        assert theirs["cwnd"] == (mine["cwnd"] if mine["primary"] else None)
    assert document["missing"] == [
        "programs, rules, MTU, failovers, and cwnd and srtt of all but primary paths, of 1 socket: "
        "held by processes that cannot be seen from here (run as root)"]
    done = hosts.tool(hosts.near, "status", before=NOBODY)
    assert done.stderr == f"sctpshim: not shown: {document['missing'][0]}\n"
    assert "  a program of user 0  (shim to native)" in done.stdout


def test_without_sctp_diag(hosts, pair):
    with open("/proc/cpuinfo", encoding="utf-8") as cpu:
        if "User Mode Linux" not in cpu.read():
            pytest.skip("takes a module away: in the guest only")
    with open("/proc/sys/kernel/modprobe", "r+", encoding="utf-8") as loader:
        before = loader.read()
        loader.seek(0)
        loader.write("/bin/false")
        loader.flush()
        try:
            command("rmmod", "sctp_diag")
            document = hosts.status(hosts.near)
            unseen = hosts.status(hosts.near, before=NOBODY)
        finally:
            loader.seek(0)
            loader.write(before)
    missing = ("whose sockets are the library's, and cwnd and srtt: no sock_diag for SCTP (ENOENT; "
               "as root: modprobe sctp_diag)")
    assert document["missing"] == [missing]
    assert document["associations"][0]["shim"] is True         # seen inside the socket
    assert document["associations"][0]["paths"][0]["cwnd"] > 0
    assert unseen["missing"][0] == missing
    assert unseen["associations"][0]["shim"] is None
    assert unseen["associations"][0]["paths"][0]["state"] == "ACTIVE"


def test_watching_counts_failovers(hosts):
    """Of native sockets too; that no library counts for."""
    near, far = hosts.puppet(hosts.near, shim=False), hosts.puppet(hosts.far, shim=False)
    serve(far)
    connect(near, far, protocol=SCTP)
    with borrowed(near.pid, near("c.fileno()")) as kernel:
        for address in ("10.1.0.2", "10.2.0.2"):
            kernel.heartbeats(address, 7000)
        until(lambda: set(hosts.paths(hosts.near).values()) == {"ACTIVE"})
        assert hosts.association(hosts.near)["failovers"] is None
        with hosts.watch(hosts.near, "status", "--json", "--watch=0.2") as watching:
            try:
                assert json.loads(watching.stdout.readline())["associations"][0]["failovers"] == 0
                hosts.link(1, "down")
                until(lambda: json.loads(watching.stdout.readline())["associations"][0][
                    "failovers"] >= 1)
            finally:
                watching.kill()


def test_one_line_without_sctp(launcher, shim_env, hosts, tmp_path):
    """Where nothing has been left to TCP either, and no broker runs."""
    tmp_path.chmod(0o700)
    hide = "mount -t tmpfs none /proc && exec \"$@\""
    for words in (["status"], ["primary", "1", "10.0.0.1"], ["probe", "1"]):
        done = subprocess.run(["unshare", "-m", "sh", "-c", hide, "sh", sys.executable, NOSCTP,
                               launcher, *words],
                              env={**shim_env, "XDG_RUNTIME_DIR": str(tmp_path)},
                              capture_output=True, text=True, timeout=60, check=False)
        assert (done.returncode, done.stdout) == (69, "")
        assert re.fullmatch(r"sctpshim: SCTP cannot be used \(E\w+\): .*\n", done.stderr)
