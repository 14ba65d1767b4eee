# SPDX-License-Identifier: BSD-3-Clause
"""Play scripts over TCP or under the shim, and say which differ."""

import contextlib
import dataclasses
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from compare import RULES, USERSPACE_RULES, compare

TOP = Path(__file__).resolve().parents[2]
sys.path.append(str(TOP / "tests/apps"))

from evidence import own_network  # noqa: E402

PLAYER = TOP / "build/tests/fuzz/player"
LIBRARY = TOP / "build/libsctpshim.so"
BROKER = TOP / "build/sctpshimd"
LIMIT = 500                # milliseconds after which a step "blocks"
PATIENCE = (8000, 2500)    # rest after each step (us) and limit (ms), when a difference is checked
LAST_LOOK = (60000, 20000) # and before one is believed: only what is really different is left
HASTE = (0, 200)           # the same while shrinking
REPEATS = 3
SHRINK_SECONDS = 40
TOGETHER = 6               # candidates that are tried in one run of the player


@dataclasses.dataclass(frozen=True)
class Plane:
    """Where scripts are played under the shim, with a REST (us) after each step at first."""

    environment: dict
    rest: int
    rules: tuple


KERNEL = Plane({}, 0, RULES)
HOP = 4000                 # us in which brokers pass on what has come


@contextlib.contextmanager
def prefer():
    """The kernel plane where TCP would do too: each socket begins as TCP's, each listener is both."""
    with tempfile.TemporaryDirectory(prefix="fuzz-") as home:
        yield Plane({"SCTPSHIM_ACTION": "prefer-sctp", "XDG_RUNTIME_DIR": home}, 0, RULES)


@contextlib.contextmanager
def userspace():
    """The userspace plane, with a broker of its own; as root in a namespace of its own."""
    with (own_network() if os.geteuid() == 0 else contextlib.nullcontext(),
          tempfile.TemporaryDirectory(prefix="fuzz-") as home):
        settings = {"SCTPSHIM_STACK": "userspace", "XDG_RUNTIME_DIR": home}
        env = {**os.environ, **settings}
        # Started by the player's programs it would be one of those that the player waits for.
        broker = subprocess.Popen([BROKER, "--foreground", "--idle=0"], stderr=subprocess.DEVNULL,
                                  env=env)
        try:
            while subprocess.run([BROKER, "--status"], env=env, check=False,
                                 capture_output=True).returncode:
                if broker.poll() is not None:
                    raise RuntimeError("the broker does not start")
                time.sleep(0.02)
            yield Plane(settings, HOP, USERSPACE_RULES)
        finally:
            broker.terminate()
            broker.wait()


class Failure:
    """A script whose difference no rule explains: at step INDEX."""

    def __init__(self, lines, index, tcp, shim):
        self.lines, self.index, self.tcp, self.shim = lines, index, tcp, shim

    def signature(self):
        """What is wrong, without numbers: failures alike have it in common."""
        def shape(text):
            return "".join("0" if c.isdigit() else c for c in text).replace("00", "0")
        step = self.lines[self.index].split()
        return (step[1].lstrip("!"), shape(at(self.tcp, self.index)),
                shape(at(self.shim, self.index)))

    def text(self):
        """The script with what both showed, in columns, up to the difference."""
        lines = [f"  {'':2}  {'step':40} {'TCP':34} shim"]
        for index, line in enumerate(self.lines[:self.index + 1]):
            mark = "->" if index == self.index else ""
            tcp, shim = at(self.tcp, index), at(self.shim, index)
            lines.append(f"  {mark:2}  {line:40} {tcp:34} {'=' if tcp == shim else shim}")
        return "\n".join(lines)


def at(observations, index):
    return observations[index] if index < len(observations) else "(not reached)"


def environment(plane, corrupt):
    env = {name: value for name, value in os.environ.items()
           if not name.startswith("SCTPSHIM_") and name not in ("LD_PRELOAD", "FUZZ_CORRUPT")}
    env["XDG_CONFIG_HOME"] = env["HOME"] = "/nonexistent"
    if plane:
        env.update(plane.environment, LD_PRELOAD=str(LIBRARY))
        if corrupt:
            env["FUZZ_CORRUPT"] = corrupt
    return env


def play(scripts, plane=None, settle=0, limit=LIMIT, corrupt=None):
    """The observations of each of SCRIPTS (lists of lines), in order; without a plane, over TCP."""
    with tempfile.NamedTemporaryFile("w", prefix="fuzz-", suffix=".txt") as batch:
        for number, lines in enumerate(scripts):
            batch.write(f"seq {number}\n" + "".join(line + "\n" for line in lines))
        batch.flush()
        done = subprocess.run([PLAYER, batch.name, str(settle), str(limit)], text=True,
                              env=environment(plane, corrupt), capture_output=True, check=False)
    if done.returncode:
        raise RuntimeError(f"the player failed ({done.returncode}): {done.stderr}")
    shown = []
    for line in done.stdout.splitlines():
        if line.startswith("seq "):
            shown.append([])
        else:
            shown[-1].append(line)
    if len(shown) != len(scripts):
        raise RuntimeError(f"the player played {len(shown)} of {len(scripts)} scripts")
    return shown


def confirmed(lines, corrupt=None, repeats=REPEATS, pace=PATIENCE, plane=KERNEL):
    """The Failure of a script if each of its runs under the shim differs from all runs over TCP.

    With a rest after each step: what is only late by a moment is left to timing.
    """
    tcp = play([lines] * repeats, None, *pace)
    shim = play([lines] * repeats, plane, *pace, corrupt)
    first = None
    for seen in shim:
        differing = [compare(lines, other, seen, rules=plane.rules) for other in tcp]
        if None in differing:
            return None
        if first is None:
            index = max(differing)
            first = Failure(lines, index, tcp[differing.index(index)], seen)
    return first


def failures(scripts, corrupt=None, used=None, known=(), plane=KERNEL):
    """(number, Failure, whether it is one) of each script that differed; if not, only by timing.

    Failures whose signature is in KNOWN are believed without a second look.
    """
    tcp = play(scripts)
    shim = play(scripts, plane, plane.rest, corrupt=corrupt)
    for number, lines in enumerate(scripts):
        index = compare(lines, tcp[number], shim[number], used, plane.rules)
        if index is None:
            continue
        first = found = Failure(lines, index, tcp[number], shim[number])
        if found.signature() not in known:
            found = confirmed(lines, corrupt, plane=plane)
            if found is not None:
                found = confirmed(lines, corrupt, pace=LAST_LOOK, plane=plane)
        yield number, found or first, found is not None


def blocked(lines, observations):
    """Whether a script got stuck over TCP or lost what a step of it stands on."""
    return len(observations) < len(lines) or any(
        seen in ("blocks", "-", "no such descriptor") for seen in observations)


class Shrinker:
    """Delta debugging: takes steps out of a failing script while it fails in the same way."""

    def __init__(self, failure, corrupt=None, plane=KERNEL):
        self.failure, self.corrupt, self.plane = failure, corrupt, plane
        self.haste = (plane.rest, HASTE[1])
        self.signature = failure.signature()
        self.stuck = blocked(failure.lines, failure.tcp)
        self.end = time.monotonic() + SHRINK_SECONDS

    def attempt(self, candidates):
        """Whether one of CANDIDATES fails in the same way; then it is the failure from now on."""
        if time.monotonic() > self.end or not candidates:
            return False
        tcp = play(candidates, None, *HASTE)
        if not self.stuck:
            kept = [number for number, lines in enumerate(candidates)
                    if not blocked(lines, tcp[number])]
            candidates, tcp = [candidates[n] for n in kept], [tcp[n] for n in kept]
        shim = play(candidates, self.plane, *self.haste, self.corrupt)
        for lines, left, right in zip(candidates, tcp, shim):
            if compare(lines, left, right, rules=self.plane.rules) is None:
                continue
            found = confirmed(lines, self.corrupt, 2, self.haste, self.plane)
            if found is not None and found.signature() == self.signature:
                found.lines = found.lines[:found.index + 1]
                self.failure = found
                return True
        return False

    def first_of(self, candidates):
        """Try CANDIDATES in order, some at a time, until one fails in the same way."""
        return any(self.attempt(candidates[start:start + TOGETHER])
                   for start in range(0, len(candidates), TOGETHER))

    def run(self):
        self.failure.lines = self.failure.lines[:self.failure.index + 1]
        size = max(1, len(self.failure.lines) // 2)
        while size:
            count, last = len(self.failure.lines), len(self.failure.lines) - 1
            # From the end: what later steps stand on is then no longer needed.
            while last > 0:
                lines = self.failure.lines
                last = min(last, len(lines) - 1)
                starts = [max(0, last - n * size) for n in range(1, TOGETHER + 1)
                          if last > (n - 1) * size]
                if not self.attempt([lines[:start] + lines[start + min(size, last):]
                                     for start in starts]):
                    last = starts[-1]
            if len(self.failure.lines) == count:
                size //= 2
        while self.first_of(list(simpler(self.failure.lines))):
            pass
        return self.failure


def simpler(lines):
    """Scripts with one step made plainer."""
    for index, line in enumerate(lines):
        words = line.split()
        variants = []
        for place, word in enumerate(words):
            if words[1].lstrip("!") in ("send", "recv", "pump", "drain"):
                if word.isdigit():
                    variants += [(place, str(number)) for number in (0, 1, 10, 1000)
                                 if number < int(word)]
                plain = {"send": "write", "recv": "read"}.get(words[1].lstrip("!"))
                if place == 3 and plain and word != plain and len(words) == 5:
                    variants.append((place, plain))
        for place, word in variants:
            yield [*lines[:index], " ".join([*words[:place], word, *words[place + 1:]]),
                   *lines[index + 1:]]
        if words[1] in ("send", "recv") and len(words) == 6:
            yield [*lines[:index], " ".join(words[:5]), *lines[index + 1:]]
