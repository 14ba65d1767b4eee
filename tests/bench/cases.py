# SPDX-License-Identifier: BSD-3-Clause
"""The cases of `make bench`: each is one function that measures and returns rows and raw data."""

import contextlib
import json
import os
import statistics
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Callable, Optional

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests/apps"))

import evidence                                                              # noqa: E402
from programs import Daemon, free_port                                       # noqa: E402

LAUNCHERS = {"tcp": [], "shim": [str(ROOT / "scripts/sctpshim"), "--"], "withsctp": ["withsctp"]}


@dataclass
class Settings:
    """What every case is told."""
    build: Path
    rounds: int


@dataclass
class Row:
    """One line of the table; LOW and HIGH are the extremes over the rounds."""
    label: str
    value: float
    unit: str = ""
    low: Optional[float] = None
    high: Optional[float] = None
    target: Optional[float] = None
    at_least: bool = False


@dataclass
class Case:
    """Where a case runs ("host" or "kernel"), and the function that measures it."""
    where: str
    function: Callable


def ratio_row(label, ours, base, **target):
    """Ratio of the medians; the spread is that of the rounds' own ratios."""
    ratios = [a / b for a, b in zip(ours, base)]
    return Row(label, statistics.median(ours) / statistics.median(base), "", min(ratios),
               max(ratios), **target)


def plain_rows(samples, unit, what):
    """The measured values themselves, a row per variant, without a target."""
    return [Row(f"{what}, {name}", statistics.median(values), unit, min(values), max(values))
            for name, values in samples.items()]


@contextlib.contextmanager
def server(launcher, build, port, *argv):
    """A server over LAUNCHER's transport; yields once it listens, and waits for its end."""
    transport = "tcp" if launcher == "tcp" else "sctp"
    daemon = Daemon([*LAUNCHERS[launcher], *argv], build / "bench-server.log")
    try:
        daemon.wait_listening(transport, port)
        with evidence.carries(transport, 1):
            yield
            daemon.wait(10)
    finally:
        daemon.stop()


def client(launcher, *argv):
    """A client's output, which is JSON."""
    done = subprocess.run([*LAUNCHERS[launcher], *argv], check=False, timeout=60,
                          capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(f"{argv} over {launcher}: {done.stdout}{done.stderr}")
    return json.loads(done.stdout)


def iperf3(settings):
    """Throughput at iperf3's default 128 KB writes: TCP, the shim, and lksctp-tools' withsctp."""
    samples = {name: [] for name in LAUNCHERS}
    for _ in range(settings.rounds):
        for launcher, values in samples.items():
            port = free_port()
            with server(launcher, settings.build, port, "iperf3", "--server", "--one-off",
                        "--bind", "127.0.0.1", "--port", str(port)):
                report = client(launcher, "iperf3", "--client", "127.0.0.1", "--port", str(port),
                                "--json", "--time", "3")
            values.append(report["end"]["sum_received"]["bits_per_second"] / 1e6)
    return [ratio_row("iperf3 throughput, shim / TCP", samples["shim"], samples["tcp"],
                      target=0.30, at_least=True),
            ratio_row("iperf3 throughput, withsctp / TCP", samples["withsctp"], samples["tcp"]),
            *plain_rows(samples, " Mbit/s", "iperf3 throughput")], samples


def pingpong(settings):
    """Round-trip time of 64-byte messages over one connection."""
    program = str(settings.build / "tests/bench/pingpong")
    samples, raw = {name: [] for name in ("tcp", "shim")}, []
    for _ in range(settings.rounds):
        for launcher, values in samples.items():
            port = free_port()
            with server(launcher, settings.build, port, program, "serve", str(port), "64"):
                report = client(launcher, program, "measure", str(port), "64", "3000")
            values.append(report["median_us"])
            raw.append({"launcher": launcher, **report})
    return [ratio_row("64-byte ping-pong time, shim / TCP", samples["shim"], samples["tcp"],
                      target=1.5), *plain_rows(samples, " us", "64-byte ping-pong")], raw


def preloaded(settings):
    """The environment with the library preloaded, which works without SCTP in the kernel too."""
    return {**os.environ, "LD_PRELOAD": str(settings.build / "libsctpshim.so")}


def hookcost(settings):
    """Cost of passing through the shim for a descriptor that is no socket."""
    program, raw = settings.build / "tests/bench/hookcost", {"shim": [], "plain": []}
    environments = {"shim": preloaded(settings), "plain": None}
    for _ in range(settings.rounds):
        for name, reports in raw.items():
            done = subprocess.run([program, "200", "5000"], env=environments[name], check=True,
                                  capture_output=True, text=True, timeout=60)
            reports.append(json.loads(done.stdout))
    if not all(report["intercepted"] for report in raw["shim"]):
        raise RuntimeError("the library was not preloaded, so there is nothing to measure")
    rows = []
    for call in ("read", "write"):
        for name, label in (("shim", f"{call}() on a file, more than libc's own"),
                            ("plain", f"{call}() the same without the shim: error")):
            values = [report[call]["difference_ns"] for report in raw[name]]
            rows.append(Row(label, statistics.median(values), " ns", min(values), max(values),
                            target=5 if name == "shim" else None))
    return rows, raw


def startup(settings):
    """Time from starting /bin/true to its end, with and without the library."""
    samples, environments = {"plain": [], "shim": []}, {"plain": None, "shim": preloaded(settings)}
    for _ in range(60 * settings.rounds):
        for name, values in samples.items():
            begin = time.perf_counter()
            subprocess.run(["/bin/true"], env=environments[name], check=True)
            values.append((time.perf_counter() - begin) * 1e6)
    differences = [a - b for a, b in zip(samples["shim"], samples["plain"])]
    rows = []
    for label, values in (("start of /bin/true, more than without", differences),
                          ("start of /bin/true without", samples["plain"])):
        low, middle, high = statistics.quantiles(values, n=4)
        rows.append(Row(label, middle, " us", low, high))
    return rows, samples


CASES = {"iperf3": Case("kernel", iperf3), "pingpong": Case("kernel", pingpong),
         "hookcost": Case("host", hookcost), "startup": Case("host", startup)}
