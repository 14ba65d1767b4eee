# SPDX-License-Identifier: BSD-3-Clause
"""A network of a behaviour's own: loopback only, with addresses that swallow what is sent to them.

A connection that stays "connecting" cannot be had on plain loopback: it answers within the call.
In a private network namespace a route through `lo` to an address that is not local does it, for
TCP and SCTP alike: the packet comes back in, is not for this host, and is dropped without a word.
Making the address local later lets the retransmitted packet arrive, so a connection can be held
for as long as a behaviour likes and then be let go.
"""

import os
import subprocess

import libc
from harness import Skip

CLONE_NEWUSER, CLONE_NEWNET = 0x10000000, 0x40000000
OWN = "10.99.0.1"                  # an address of lo
HOLE = "10.99.1.7"                 # swallows
UNREACHABLE = "10.99.2.7"          # the route says unreachable
PROHIBITED = "10.99.3.7"           # the route says prohibited
NO_ROUTE = "10.98.0.1"             # there is no route


def ip(*commands):
    """Run ip(8) commands, without the shim: it is no part of what is tested."""
    environment = {key: value for key, value in os.environ.items() if key != "LD_PRELOAD"}
    done = subprocess.run(["ip", "-batch", "-"], input="\n".join(commands), text=True,
                          capture_output=True, env=environment, check=False)
    if done.returncode:
        raise Skip(f"ip(8): {done.stderr.strip() or done.returncode}")


def private():
    """Move this process into a network namespace of its own and set it up."""
    uid, gid = os.getuid(), os.getgid()
    if uid == 0:
        flags = CLONE_NEWNET
    else:
        flags = CLONE_NEWNET | CLONE_NEWUSER
    if isinstance(failed := libc.raw("unshare", flags), str):
        raise Skip(f"no network namespace of its own: {failed}")
    if uid:
        for name, text in (("setgroups", "deny"), ("uid_map", f"0 {uid} 1"),
                           ("gid_map", f"0 {gid} 1")):
            with open(f"/proc/self/{name}", "w", encoding="ascii") as stream:
                stream.write(text)
    ip("link set lo up", f"addr add {OWN}/32 dev lo", f"route add 10.99.1.0/24 dev lo src {OWN}",
       "route add unreachable 10.99.2.0/24", "route add prohibit 10.99.3.0/24")


def open_hole():
    """Make the swallowing address local: what is retransmitted from now on arrives."""
    ip(f"addr add {HOLE}/32 dev lo")


def sysctl(name, value):
    """Set a sysctl of this namespace."""
    try:
        with open("/proc/sys/" + name.replace(".", "/"), "w", encoding="ascii") as stream:
            stream.write(value)
    except OSError as error:
        raise Skip(f"cannot set {name}: {error.strerror}") from error
