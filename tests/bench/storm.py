#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
"""Connections at a rate that no plane may follow, each with bytes to carry: does it collapse?

Over plain TCP and over the userspace plane, between two hosts of a veth pair. Every byte is checked, every
connection must come to its end without an error, also those that are open when the time is up, and
in the last part of the time about as much must have arrived as in the first. What TCP shows says what
the machine had to give, and is no failure.
"""

import argparse
import contextlib
import re
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
sys.dont_write_bytecode = True

from variants import TCP, USERSPACE                                          # noqa: E402
from stage import Network, stage                                             # noqa: E402

VARIANTS = {"tcp": TCP, "userspace": USERSPACE}
PART = 6                                 # the first and the last of so many parts are compared
PATIENCE = 180                           # seconds, beyond those asked for


def parts(report):
    """Bytes a second in the first part, and in the last one."""
    seconds = report["bytes"]
    length = max(1, len(seconds) // PART)
    # The first second begins with nothing.
    first = seconds[1:1 + length] if len(seconds) > length else seconds
    return sum(first) / len(first), sum(seconds[-length:]) / length


def troubles(report, least):
    """What should not have been."""
    first, last = parts(report)
    if report["wrong"]:
        yield f"{report['wrong']} connections had wrong bytes"
    if report["failed"]:
        yield f"{report['failed']} connections failed ({report['error']})"
    if report["unended"]:
        yield f"{report['unended']} connections did not end"
    if last < least * first:
        yield f"it collapsed: {first / 1e6:.1f} MB/s at first, {last / 1e6:.1f} at last"


def memory(host):
    """The most that the host's broker has had, bytes; 0 when there is none."""
    with contextlib.suppress(FileNotFoundError, TypeError):
        status = Path(f"/proc/{host.broker_pid()}/status").read_text(encoding="ascii")
        return int(re.search(r"VmHWM:\s+(\d+)", status)[1]) << 10
    return 0


def lost(host):
    """Datagrams that found no room in the buffer of the host's broker."""
    names, values = [line.split() for line in host.plain("cat", "/proc/net/snmp").splitlines()
                     if line.startswith("Udp:")]
    return int(values[names.index("RcvbufErrors")])


def brokers_of(hosts):
    """The same of the brokers."""
    sizes = "/".join(str(memory(host) >> 20) for host in hosts)
    return f", brokers {sizes} MB, {sum(lost(host) for host in hosts)} datagrams lost"


def describe(variant, report, brokers):
    """One line."""
    first, last = parts(report)
    times = f", median {report['median_us'] / 1e3:.1f} ms, 99 of 100 within " \
            f"{report['p99_us'] / 1e3:.0f} ms" if report["done"] else ""
    return f"{variant.label}: {report['begun']} begun, {report['skipped']} had no room, " \
           f"{report['done']} done, {report['per_second']:.0f}/s, {first / 1e6:.1f} MB/s at first, " \
           f"{last / 1e6:.1f} at last, the last ones took {report['drain_ms']:.0f} ms{times}{brokers}"


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("seconds", type=int)
    parser.add_argument("--rate", type=int, default=1100, help="connections a second")
    parser.add_argument("--bytes", type=int, default=300000, help="that each is sent")
    parser.add_argument("--most", type=int, default=2000, help="connections at the same time")
    parser.add_argument("--mtu", type=int, default=1500)
    parser.add_argument("--least", type=float, default=0.7,
                        help="of the first part's rate, in the last one")
    parser.add_argument("--only", choices=VARIANTS)
    options = parser.parse_args()
    compared = [VARIANTS[options.only]] if options.only else list(VARIANTS.values())
    failed = False
    with stage(Network(options.mtu), compared, "pour") as place:
        place.ports_come_back_at_once()
        for variant in compared:
            report = place.load(variant, "storm", options.rate, options.bytes, options.seconds,
                                options.most, limit=options.seconds + PATIENCE)
            brokers = brokers_of(place.hosts) if variant is USERSPACE else ""
            print(describe(variant, report, brokers), flush=True)
            for trouble in troubles(report, options.least):
                print(f"{variant.label}: {trouble}", flush=True)
                failed |= variant is USERSPACE
    return failed


if __name__ == "__main__":
    sys.exit(main())
