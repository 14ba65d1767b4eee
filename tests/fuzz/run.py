#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
"""Play random sequences of socket calls over TCP and under the shim, and compare.

The kernel plane needs SCTP in the kernel: tests/vm/run tests/fuzz/run.py.  A failing sequence is shrunk and printed
with what TCP and the shim showed at each step; --seed plays it again.
"""

import argparse
import contextlib
import os
import sys
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, HERE)

from generate import GROUPS, generate                                     # noqa: E402
from play import KERNEL, Shrinker, confirmed, failures, play, prefer, userspace   # noqa: E402

BATCH = 100


def arguments():
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("-n", type=int, default=200, help="how many sequences (200)")
    parser.add_argument("--first", type=int, default=0, help="seed of the first one (0)")
    parser.add_argument("--seed", type=int, action="append", default=[],
                        help="play just this one (or these) and show it")
    parser.add_argument("--script", help="play the steps in this file and show them")
    parser.add_argument("--without", default="", help=f"leave out, of: {', '.join(GROUPS)}")
    which = parser.add_mutually_exclusive_group()
    which.add_argument("--userspace", action="store_true", help="of the userspace plane")
    which.add_argument("--prefer", action="store_true", help="under action = prefer-sctp")
    parser.add_argument("--corrupt", help="falsify what this verb shows under the shim (a test)")
    parser.add_argument("--seconds", type=int, help="begin no sequence later than this")
    parser.add_argument("--show", type=int, default=10, help="failures to shrink at most (10)")
    return parser.parse_args()


def show_one(lines, options, plane):
    """Play one script; its steps with what each transport showed."""
    found = confirmed(lines, options.corrupt, plane=plane)
    if found is None:
        seen = play([lines], None, 20000)[0]
        for index, line in enumerate(lines):
            print(f"  {line:40} {seen[index] if index < len(seen) else '(not reached)'}")
        print("no unexplained difference")
        return 0
    print(found.text())
    if options.show:
        print("\nshrunk:")
        print(Shrinker(found, options.corrupt, plane).run().text())
    return 1


class Tally:
    """What a run has found."""

    def __init__(self):
        self.kinds, self.late, self.used = {}, {}, {}

    def add(self, seed, failure, confirmed):
        """A difference; one that was not seen again was only late."""
        kinds = self.kinds if confirmed else self.late
        kinds.setdefault(failure.signature(), []).append((seed, failure))


def run_batches(options, without, tally, plane):
    for first in range(options.first, options.first + options.n, BATCH):
        if options.seconds and time.monotonic() - options.begin > options.seconds:
            options.n = first - options.first
            return
        seeds = range(first, min(first + BATCH, options.first + options.n))
        scripts = [generate(seed, without) for seed in seeds]
        often = [kind for kind, found in tally.kinds.items() if len(found) >= 3]
        for number, failure, again in failures(scripts, options.corrupt, tally.used, often, plane):
            tally.add(seeds[number], failure, again)
            if again:
                print(f"  seed {seeds[number]}: {' | '.join(failure.signature())}",
                      file=sys.stderr, flush=True)
        if sys.stderr.isatty() or seeds[-1] % 1000 == 999:
            print(f"  seed {seeds[-1]}: {sum(map(len, tally.kinds.values()))} differ",
                  file=sys.stderr)


def often_first(kinds):
    return sorted(kinds.items(), key=lambda item: -len(item[1]))


def show_kinds(kinds, note=""):
    for (verb, tcp, shim), found in kinds:
        print(f"{len(found)} times {verb}: TCP {tcp}, shim {shim}{note}: seeds "
              f"{', '.join(str(seed) for seed, _ in found[:8])}")


def report(options, tally, span, plane):
    count = sum(map(len, tally.kinds.values()))
    kinds = often_first(tally.kinds)
    for rule, times in sorted(tally.used.items(), key=lambda item: -item[1]):
        print(f"accepted {times} times: {rule.name}")
    show_kinds(often_first(tally.late), note=", once and not again")
    show_kinds(kinds)
    print(f"seeds {options.first} to {options.first + options.n - 1}: {options.n} sequences in "
          f"{span:.0f} s, {count} with a difference that nothing explains", flush=True)
    for _, found in kinds[:options.show]:
        seed, failure = min(found, key=lambda item: item[1].index)
        print(f"\nseed {seed}, shrunk:\n{Shrinker(failure, options.corrupt, plane).run().text()}",
              flush=True)
    return 1 if count else 0


def chosen(options):
    """The plane to compare with TCP, as a context."""
    if options.userspace:
        return userspace()
    return prefer() if options.prefer else contextlib.nullcontext(KERNEL)


def main():
    options = arguments()
    without = tuple(filter(None, options.without.split(",")))
    if any(group not in GROUPS for group in without):
        sys.exit(f"--without: expected some of {', '.join(GROUPS)}")
    with chosen(options) as plane:
        if options.script:
            with open(options.script, encoding="ascii") as file:
                return show_one([line.strip() for line in file if line.strip()], options, plane)
        if options.seed:
            return max(show_one(generate(seed, without), options, plane) for seed in options.seed)
        tally, options.begin = Tally(), time.monotonic()
        run_batches(options, without, tally, plane)
        return report(options, tally, time.monotonic() - options.begin, plane)


if __name__ == "__main__":
    sys.exit(main())
