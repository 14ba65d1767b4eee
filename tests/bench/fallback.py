#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
"""What prefer-sctp costs a connect that ends as TCP's, beside plain TCP in the same run.

On a kernel without SCTP: where nothing is known and nothing tried, which is what a verdict for TCP
costs too.  Where SCTP is (tests/vm/run tests/bench/fallback.py) also a verdict, and first contact.
"""

import argparse
import json
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.append(str(ROOT / "tests"))

import ledgers                                                               # noqa: E402
from variants import TCP                                                     # noqa: E402

SHIM = {"LD_PRELOAD": str(ROOT / "build/libsctpshim.so"), "SCTPSHIM_STACK": "kernel"}
PREFER = {**SHIM, "SCTPSHIM_ACTION": "prefer-sctp"}
WAYS = {
    "plain TCP": {},
    "action = tcp": {**SHIM, "SCTPSHIM_ACTION": "tcp"},
    "not known, not tried": {**PREFER, "SCTPSHIM_FALLBACK_TIMEOUT": "0"},
    "a verdict is cached": PREFER,
    "refused each time": {**PREFER, "SCTPSHIM_FALLBACK_LIFETIME": "0"},
}
WITHOUT_SCTP = ("plain TCP", "action = tcp", "not known, not tried")


def has_sctp():
    """Is SCTP in this kernel?"""
    try:
        socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_SCTP).close()
    except OSError:
        return False
    return True


def serve(listener):
    """Take connections and drop them, until it is closed."""
    try:
        while True:
            listener.accept()[0].close()
    except OSError:
        pass


def took(settings, port, count, runtime):
    """Microseconds of socket(), connect() and close(): medians of COUNT connections."""
    out = subprocess.run([ROOT / "build/tests/bench/connectcost", str(port), str(count)],
                         env={**TCP.settings(), **settings, "XDG_RUNTIME_DIR": runtime}, check=True,
                         text=True, stdout=subprocess.PIPE).stdout
    return json.loads(out)


def measure(ways, rounds, count):
    """(name, round, what was taken), the ways in turns, over this machine's loopback."""
    listener = socket.create_server(("127.0.0.1", 0), backlog=4096)
    threading.Thread(target=serve, args=(listener,), daemon=True).start()
    with tempfile.TemporaryDirectory() as runtime:
        for number in range(rounds):
            for name in ways:
                yield name, number, took(WAYS[name], listener.getsockname()[1], count, runtime)
    ledgers.remove_abandoned()
    listener.close()


def show(name, rounds, plain):
    """A line: how much it is, and how much more than plain TCP's beside it."""
    totals = [sum(one.values()) for one in rounds]
    more = sorted(total - sum(one.values()) for total, one in zip(totals, plain))
    steps = ", ".join(f"{step.removesuffix('_us')} {statistics.median(r[step] for r in rounds):.1f}"
                      for step in rounds[0])
    quartiles = f"{more[len(more) // 4]:.1f} to {more[3 * len(more) // 4]:.1f}"
    print(f"{name:21} {statistics.median(totals):7.1f} us ({steps}), the best {min(totals):.1f}; "
          f"over TCP {statistics.median(more):.1f} ({quartiles})", flush=True)


def main():
    """Print one line for each way."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("count", type=int, nargs="?", default=1500, help="connections a round (1500)")
    parser.add_argument("--rounds", type=int, default=12, help="of each way, in turns (12)")
    options = parser.parse_args()
    rounds = {name: [] for name in (WAYS if has_sctp() else WITHOUT_SCTP)}
    for name, _, report in measure(list(rounds), options.rounds, options.count):
        rounds[name].append(report)
    for name, of_this in rounds.items():
        show(name, of_this, rounds["plain TCP"])


if __name__ == "__main__":
    main()
