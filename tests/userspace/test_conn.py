# SPDX-License-Identifier: BSD-3-Clause
"""The broker over libusrsctp's public functions (AF_CONN), which takes over where its insides are others.

That its programs see what TCP shows is test_conformance.py's.
"""

import subprocess

import pytest

from hosts import until
from test_hosts import port_of, said

SIZE = 16 << 20


@pytest.fixture
def mixed(two):
    """Two hosts, the first of which has that broker."""
    two[0].program += "-conn"
    two[0].broker("--idle=0")
    assert "over its public functions" in until(two[0].status, "there is a broker")
    yield two
    assert "over its public functions" in two[0].status()
    assert "over its public functions" not in two[1].status()


@pytest.mark.parametrize("client", [0, 1])
@pytest.mark.parametrize("address", ["10.0.0.{}", "fd00::{}"])
def test_it_talks_to_the_other_one(mixed, client, address):
    one, other = mixed[client], mixed[1 - client]
    port = port_of(other.peer("echo", "::" if ":" in address else "0.0.0.0"))
    where = address.format(2 - client)
    names, *rest = said(one, "names", where, port).splitlines()
    assert names.startswith(f"local {address.format(1 + client)} ")
    assert names.endswith(f" peer {where} {port}")
    assert rest == ["got hello", "end b''"]
    port = port_of(other.peer("echo", "::" if ":" in address else "0.0.0.0"))
    sent, received, count, _ = said(one, "bulk", where, port, SIZE).split()
    assert (int(count), received) == (SIZE, sent)


def test_who_wants_several_paths_is_told(mixed):
    one, other = mixed
    port = port_of(other.peer("echo", "0.0.0.0"))
    said(one, "names", "10.0.0.2", port, SCTPSHIM_LOCAL_ADDRS="10.0.0.1")
    assert "several paths are wanted" in one.log()


def test_another_library_s_broker_hands_over(host, top):
    """Its self-test does not come to an end."""
    host.program = str(top / "build/tests/userspace/other/sctpshimd")
    process = subprocess.Popen([*host.entry, host.program, "--foreground", "--idle=0"],
                               env=host.environment, stderr=subprocess.PIPE, text=True)
    host.started.append(process)
    host.brokers.append(process)
    assert "over its public functions" in until(host.status, "there is a broker")
    assert "going on as sctpshimd-conn, which is slower" in host.log()
    port = port_of(host.peer("echo", "127.0.0.1"))
    assert said(host, "names", "127.0.0.1", port).splitlines()[1:] == ["got hello", "end b''"]
    assert "1 made, 1 came" in host.status()
