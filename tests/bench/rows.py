# SPDX-License-Identifier: BSD-3-Clause
"""From samples to the lines of the table: medians and ratios, their spread, and what they must be."""

import statistics
from collections import defaultdict
from dataclasses import dataclass
from typing import Optional

KEYS = ("path", "size", "job", "request", "reply", "call")


@dataclass
class Row:
    """One line: the median over the rounds, the extremes, and the bound if there is one."""
    case: str
    label: str
    value: float
    low: float
    high: float
    unit: str = ""
    bound: Optional[float] = None
    at_least: bool = False

    @property
    def verdict(self):
        """Is the value on the right side of its bound?"""
        if self.bound is None:
            return "-"
        good = self.value >= self.bound if self.at_least else self.value <= self.bound
        return "met" if good else "missed"


def groups(samples, case):
    """Samples of a case that differ in variant and round only: {parameters: {variant: [...]}}."""
    found = defaultdict(lambda: defaultdict(list))
    for sample in samples:
        if sample["case"] == case:
            key = tuple((name, sample[name]) for name in KEYS if name in sample)
            found[key][sample["variant"]].append(sample)
    return {key: {name: sorted(of, key=lambda sample: sample["round"])
                  for name, of in variants.items()} for key, variants in found.items()}


def title(key):
    """A group's parameters as words."""
    parameters = dict(key)
    if "size" in parameters:
        return f"{parameters['path']}, {size_name(parameters['size'])} writes"
    if "request" in parameters:
        return f"{parameters['path']}, {parameters['request']} to {parameters['reply']} B"
    return ", ".join(str(value) for value in parameters.values())


def size_name(size):
    """64 B, 4 KB, 1 MB."""
    if size < 1024:
        return f"{size} B"
    return f"{size >> 10} KB" if size < 1 << 20 else f"{size >> 20} MB"


def row(case, label, values, unit="", **bound):
    """A Row of these rounds' values."""
    return Row(case, label, statistics.median(values), min(values), max(values), unit, **bound)


def ratio(case, label, ours, base, field, **bound):
    """The rounds' own ratios: what disturbs a round disturbs both sides of it."""
    values = [a[field] / b[field] for a, b in zip(ours, base) if b[field]]
    return [row(case, label, values, **bound)] if values else []


def _throughput(samples, case, base_name, ours_name):
    for key, of in groups(samples, case).items():
        parameters = dict(key)
        local = parameters["path"] == "loopback"
        bound = 0.9 if local and parameters["size"] >= 65536 else 0.3
        if base_name in of and ours_name in of:
            yield from ratio(case, f"{title(key)}: rate, {ours_name} / {base_name}", of[ours_name],
                             of[base_name], "mbit_s", bound=bound if ours_name == "shim" else None,
                             at_least=True)
        if "native" in of:
            veth = parameters["path"] == "veth 1500" and parameters["size"] >= 65536
            yield from ratio(case, f"{title(key)}: rate, shim / native", of["shim"], of["native"],
                             "mbit_s", bound=0.9 if veth else None, at_least=True)
            yield from ratio(case, f"{title(key)}: CPU per byte, shim / native", of["shim"],
                             of["native"], "cpu_ns_byte",
                             bound=1.05 if parameters["size"] >= 65536 else None)
        if "withsctp" in of:
            slow = local and parameters["size"] == 131072
            yield from ratio(case, f"{title(key)}: rate, shim / withsctp", of["shim"],
                             of["withsctp"], "mbit_s", bound=100 if slow else None, at_least=True)


def _latency(samples, case, ours):
    for key, of in groups(samples, case).items():
        lossy = "loss" in dict(key)["path"]
        small = dict(key)["request"] == 64
        fields = ("mean_us", "max_us") if lossy else ("median_us", "p99_us")
        for field in fields:
            bound = 1.0 if lossy else 1.25 if small and field == "median_us" else None
            what = field.removesuffix("_us").replace("max", "worst")
            yield from ratio(case, f"{title(key)}: {what}, {ours} / tcp", of[ours], of["tcp"],
                             field, bound=bound if ours == "shim" else None)
            if "native" in of:
                yield from ratio(case, f"{title(key)}: {what}, shim / native", of["shim"],
                                 of["native"], field,
                                 bound=1.1 if small and not lossy and field == "median_us" else None)


def _connections(samples, case, ours):
    for key, of in groups(samples, case).items():
        job = dict(key)["job"]
        if job == "churn":
            yield from ratio(case, f"connect, request, close: time, {ours} / tcp", of[ours],
                             of["tcp"], "median_us", bound=1.3 if ours == "shim" else None)
            for name in ("native", "calls"):
                if name in of:
                    yield from ratio(case, f"connect, request, close: time, {name} / tcp", of[name],
                                     of["tcp"], "median_us")
        elif job == "busy":
            yield from ratio(case, f"{of[ours][0]['connections']} busy connections: requests/s, "
                             f"{ours} / tcp", of[ours], of["tcp"], "per_second")
            yield from ratio(case, f"busy connections: p99, {ours} / tcp", of[ours], of["tcp"],
                             "p99_us")
        else:
            for name, rounds in of.items():
                count = rounds[0]["connections"]
                yield row(case, f"{count} idle connections: kernel's memory for each, {name}",
                          [sample["kernel_bytes"] for sample in rounds], " B")
                yield row(case, f"{count} idle connections: the client's own for each, {name}",
                          [sample["client_bytes"] for sample in rounds], " B")


def _hooks(samples):
    for key, of in groups(samples, "hooks").items():
        call = dict(key)["call"]
        yield row("hooks", f"{call}() on a foreign descriptor: more than libc's own",
                  [sample["more_ns"] for sample in of["shim"]], " ns",
                  bound=2 if call in ("read", "write") else None)
        yield row("hooks", f"{call}() without the library: error of the measurement",
                  [sample["more_ns"] for sample in of["plain"]], " ns")


def _more(samples, case, label, base, bound):
    for of in groups(samples, case).values():
        more = [a["us"] - b["us"] for a, b in zip(of["shim"], of[base])]
        low, middle, high = statistics.quantiles(more, n=4)
        yield Row(case, f"{label} (quartiles)", middle, low, high, " us", bound=bound)


def rows(samples):
    """All lines of the table."""
    return [*_throughput(samples, "bulk", "tcp", "shim"),
            *_throughput(samples, "impaired", "tcp", "shim"),
            *_latency(samples, "requests", "shim"), *_connections(samples, "connections", "shim"),
            *_hooks(samples),
            *_more(samples, "starts", "/bin/true: more with the library", "plain", 1000),
            *_more(samples, "left", "a connect that is left to TCP: more than plain TCP's", "tcp", 20),
            *_throughput(samples, "userspace bulk", "tcp", "userspace"),
            *_latency(samples, "userspace requests", "userspace"),
            *_connections(samples, "userspace connections", "userspace")]
