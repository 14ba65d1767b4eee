# SPDX-License-Identifier: BSD-3-Clause
"""sctpshim primary and probe: what they change, the kernel has changed; what they refuse, and why."""

import pytest

from namespaces import NOBODY, borrowed, command, connect, serve, until


def primaries(hosts, host):
    """The primary addresses of the only association on HOST."""
    return [address for address, is_primary in hosts.paths(host, "primary").items() if is_primary]


@pytest.mark.parametrize("name", ["{id}", "{pid}:{fd}", "10.1.0.1:{port}-10.2.0.2:7000"])
def test_primary(hosts, pair, name):
    near, _ = pair
    found = hosts.association(hosts.near)
    name = name.format(id=found["id"], pid=near.pid, fd=near.fd, port=found["local_port"])
    assert primaries(hosts, hosts.near) == ["10.1.0.2"]
    done = hosts.tool(hosts.near, "primary", name, "10.2.0.2")
    assert done.returncode == 0, done.stderr
    line = next(line for line in done.stdout.splitlines() if "path 10.2.0.2" in line)
    assert " primary " in line
    assert primaries(hosts, hosts.near) == ["10.2.0.2"]
    with borrowed(near.pid, near.fd) as kernel:
        assert kernel.status()[3] == "10.2.0.2"
    if "UNCONFIRMED" in line:
        assert done.stderr == ("sctpshim: 10.2.0.2 is UNCONFIRMED: other paths are used until it "
                               "is active\n")


def test_what_primary_refuses(hosts, pair):
    name = str(hosts.association(hosts.near)["id"])

    def refused(*words, **keywords):
        done = hosts.tool(hosts.near, "primary", *words, **keywords)
        assert (done.returncode, done.stdout) == (1, "")
        return done.stderr
    assert refused(name, "10.2.0.9") == "sctpshim: 10.2.0.9: not one of the peer's addresses\n"
    assert refused(name, "host") == "sctpshim: host: not an IP address\n"
    assert refused("--peer", name, "10.9.0.1").startswith("sctpshim: the peer cannot be asked: ")
    assert refused(name, "10.2.0.2", before=NOBODY) == (
        f"sctpshim: {name}: no process that holds it can be seen from here (run as root)\n")
    for other in ("0", "99999", f"{pair[0].pid}:99", "10.1.0.1:1-10.1.0.2:7000", "x", "1:2:3"):
        assert refused(other, "10.2.0.2").startswith(f"sctpshim: {other}: no such association; ")
    assert primaries(hosts, hosts.near) == ["10.1.0.2"]
    assert hosts.tool(hosts.near, "primary", name).returncode == 2
    assert hosts.tool(hosts.near, "primary", name, "10.2.0.2", "x").returncode == 2


def test_a_path_that_leads_back_here_is_refused(hosts):
    """Both hosts have an address that is only theirs: what is sent there ends the association."""
    for host in (hosts.near, hosts.far):
        command("ip", "-n", host, "link", "add", "docker0", "type", "dummy")
        command("ip", "-n", host, "addr", "add", "172.17.0.1/16", "dev", "docker0")
        command("ip", "-n", host, "link", "set", "docker0", "up")
    near, far = hosts.puppet(hosts.near), hosts.puppet(hosts.far, shim=False)
    serve(far)
    assert far("s.setsockopt(132, 9, struct.pack('=i128sIHIIIIBx',"
               " 0, b'', 0, 0, 0, 0, 2, 0, 0))") is None             # no heartbeats from there
    connect(near, far)
    name = hosts.association(hosts.near)["id"]
    assert "172.17.0.1" in hosts.paths(hosts.near)
    for verb in ("primary", "probe"):
        done = hosts.tool(hosts.near, verb, name, "172.17.0.1")
        assert (done.returncode, done.stdout) == (1, "")
        assert done.stderr == (
            "sctpshim: 172.17.0.1: also an address of this host: what is sent there never reaches "
            "the peer, and ends the association\n")
    done = hosts.tool(hosts.near, "probe", name)
    assert done.returncode == 0
    assert "sctpshim: 172.17.0.1: left out: also an address of this host\n" in done.stderr
    assert hosts.association(hosts.near)["state"] == "ESTABLISHED"


def test_probe_confirms_a_path(hosts, pair):
    assert hosts.paths(hosts.near) == {"10.1.0.2": "ACTIVE", "10.2.0.2": "UNCONFIRMED"}
    done = hosts.tool(hosts.near, "probe", hosts.association(hosts.near)["id"], "10.2.0.2")
    assert (done.returncode, done.stderr) == (0, "")
    assert "path 10.2.0.2  ACTIVE " in done.stdout
    assert hosts.paths(hosts.near) == {"10.1.0.2": "ACTIVE", "10.2.0.2": "ACTIVE"}


def test_asking_the_peer(hosts):
    for host in (hosts.near, hosts.far):
        for name in ("addip_enable", "addip_noauth_enable"):
            command("ip", "netns", "exec", host, "sysctl", "-qw", f"net.sctp.{name}=1")
    near, far = hosts.puppet(hosts.near, shim=False), hosts.puppet(hosts.far, shim=False)
    serve(far)
    connect(near, far, protocol=132)
    name = hosts.association(hosts.near)["id"]
    assert primaries(hosts, hosts.far) == ["10.1.0.1"]
    done = hosts.tool(hosts.near, "primary", "--peer", name, "10.9.0.1")
    assert (done.returncode, done.stderr) == (
        1, "sctpshim: 10.9.0.1: not one of this end's addresses\n")
    done = hosts.tool(hosts.near, "primary", "--peer", name, "10.2.0.1")
    assert (done.returncode, done.stderr) == (0, "")
    until(lambda: primaries(hosts, hosts.far) == ["10.2.0.1"])


def test_without_asconf_the_peer_cannot_be_asked(hosts, pair):
    done = hosts.tool(hosts.near, "primary", "--peer", hosts.association(hosts.near)["id"],
                      "10.2.0.1")
    assert (done.returncode, done.stdout) == (1, "")
    assert "address changes (RFC 5061) were off" in done.stderr
