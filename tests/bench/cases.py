# SPDX-License-Identifier: BSD-3-Clause
"""The cases: each is one function that yields samples, the variants taking turns in every round.

A sample is a flat dictionary: which case, path, variant and round it is of, the case's parameters,
and the measured values with their units in their names.
"""

import json
import os
import subprocess
import sys
import time
from dataclasses import dataclass
from typing import Callable

import fallback
import variants
from stage import Network, stage
from variants import BUILD, CALLS, NATIVE, SHIM, TCP, USERSPACE, WITHSCTP

KERNEL = (TCP, NATIVE, WITHSCTP, SHIM)
LARGEST_MESSAGE = 131072                  # of a write under withsctp: beyond, EMSGSIZE


@dataclass(frozen=True)
class Case:
    """Where a case runs ("host" or "kernel", which has SCTP), and what measures it."""
    where: str
    function: Callable


def say(text):
    """Progress, on standard error."""
    print(f"bench: {text}", file=sys.stderr, flush=True)


def turns(plan, compared):
    """(round, variant), so that each round begins with another variant."""
    for number in range(plan.rounds):
        for step in range(len(compared)):
            yield number, compared[(number + step) % len(compared)]


def _bulk(name, networks, sizes, length, plan, compared):
    for network in networks:
        with stage(network, compared) as place:
            for size in sizes:
                say(f"{name}: {network.name}, {size} bytes")
                for number, variant in turns(plan, compared):
                    if variant is WITHSCTP and size > LARGEST_MESSAGE:
                        continue
                    report = place.load(variant, "bulk", size, length)
                    yield {"case": name, "path": network.name, "rtt_ms": network.rtt_ms,
                           "loss": network.loss, "variant": variant.name, "round": number,
                           "size": size, "mbit_s": report["bytes"] * 8e3 / report["ns"],
                           "cpu_ns_byte": report["cpu_ns"] / report["bytes"]}


def bulk(plan):
    """One-way transfer, by size of the writes."""
    yield from _bulk("bulk", plan.bulk, plan.sizes, plan.bulk_ms, plan, KERNEL)


def impaired(plan):
    """The same where the path delays and loses packets."""
    yield from _bulk("impaired", plan.impaired, (plan.impaired_size,), plan.impaired_ms, plan,
                     KERNEL)


def _requests(name, networks, plan, compared):
    for network in networks:
        count = plan.lossy_count if network.loss or network.rtt_ms else plan.count
        with stage(network, compared) as place:
            for request, reply in plan.kinds:
                say(f"{name}: {network.name}, {request} to {reply} bytes")
                for number, variant in turns(plan, compared):
                    report = place.load(variant, "request", request, reply, count)
                    yield {"case": name, "path": network.name, "variant": variant.name,
                           "round": number, "request": request, "reply": reply, **report}


def requests(plan):
    """Request and reply, one at a time on one connection."""
    yield from _requests("requests", plan.requests, plan, KERNEL)


def _many(name, plan, compared, jobs):
    with stage(Network(), compared) as place:
        for job, mode, words in jobs:
            say(f"{name}: {job}")
            for number, variant in turns(plan, compared):
                before = place.memory(variant)
                report = place.load(variant, mode, *words)
                yield {"case": name, "job": job, "path": place.network.name,
                       "variant": variant.name, "round": number, **report,
                       "server_bytes": place.memory(variant) - before}


def connections(plan):
    """Connections that come and go, that only exist, and that are all busy."""
    yield from _many("connections", plan, (*KERNEL, CALLS), (("churn", "churn", (plan.churn,)),))
    yield from _many("connections", plan, KERNEL,
                     (("idle", "crowd", (plan.idle, 0)),
                      ("busy", "crowd", (plan.busy, plan.busy_ms))))


def _preloaded():
    """The environment with the library preloaded, which works without SCTP in the kernel too."""
    return {**TCP.settings(), "LD_PRELOAD": str(BUILD / "libsctpshim.so")}


def hooks(plan):
    """What passing through the library costs calls on descriptors that are no sockets of ours."""
    program = BUILD / "tests/bench/hookcost"
    say("hooks")
    for number in range(plan.rounds):
        for name, environment in (("shim", _preloaded()), ("plain", TCP.settings())):
            done = subprocess.run([program, *map(str, plan.hooks)], env=environment, check=True,
                                  capture_output=True, text=True, timeout=300)
            for call, report in json.loads(done.stdout).items():
                if report["intercepted"] != (name == "shim"):
                    raise RuntimeError(f"{call}: the library is not where it should be")
                yield {"case": "hooks", "variant": name, "round": number, "call": call,
                       "more_ns": report["seen_ns"] - report["libc_ns"], **report}


def starts(plan):
    """From starting /bin/true to its end, with and without the library."""
    say("starts")
    for number in range(plan.starts):
        for name, environment in (("plain", TCP.settings()), ("shim", _preloaded())):
            begin = time.perf_counter()
            subprocess.run(["/bin/true"], env=environment, check=True)
            yield {"case": "starts", "variant": name, "round": number,
                   "us": (time.perf_counter() - begin) * 1e6}


def left(plan):
    """A connect under prefer-sctp to a peer that nothing is tried with, and one of plain TCP."""
    say("left")
    names = {"plain TCP": "tcp", "not known, not tried": "shim"}
    for name, number, report in fallback.measure(names, *plan.left):
        yield {"case": "left", "variant": names[name], "round": number, "us": sum(report.values()),
               **report}


def userspace(plan):
    """The userspace plane against TCP, both over this machine's own kernel."""
    if not plan.userspace or not os.access(BUILD / "sctpshimd", os.X_OK):
        return
    compared = (TCP, USERSPACE)
    yield from _bulk("userspace bulk", plan.bulk, plan.sizes, plan.bulk_ms, plan, compared)
    yield from _requests("userspace requests", [n for n in plan.requests if not n.loss], plan,
                         compared)
    yield from _many("userspace connections", plan, compared,
                     (("churn", "churn", (plan.churn,)), ("busy", "crowd",
                                                           (plan.busy, plan.busy_ms))))


CASES = {"bulk": Case("kernel", bulk), "impaired": Case("kernel", impaired),
         "requests": Case("kernel", requests), "connections": Case("kernel", connections),
         "hooks": Case("host", hooks), "starts": Case("host", starts),
         "left": Case("host", left),
         "userspace": Case("host", userspace)}
assert set(variants.ALL) >= {variant.name for variant in KERNEL}
