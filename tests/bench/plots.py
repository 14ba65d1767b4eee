# SPDX-License-Identifier: BSD-3-Clause
"""Plots of samples as SVG text, drawn by matplotlib."""

import io
import re
import statistics

import matplotlib
from rows import groups, size_name, title
from variants import ALL

matplotlib.use("svg")
from matplotlib import pyplot                                                # noqa: E402

COLOURS = {"tcp": "#4c72b0", "native": "#55a868", "withsctp": "#999999", "shim": "#c44e52",
           "userspace": "#c44e52", "plain": "#999999", "calls": "#8172b2"}


def svg(figure):
    """The figure as an element that can stand in a page beside others."""
    text = io.StringIO()
    figure.savefig(text, format="svg", bbox_inches="tight", metadata={"Date": None})
    pyplot.close(figure)
    return re.sub(r".*?(<svg )", r"\1", text.getvalue(), count=1, flags=re.DOTALL)


def _label(name):
    return ALL[name].label if name in ALL else name


def _spread(values):
    middle = statistics.median(values)
    return middle, [[middle - min(values)], [max(values) - middle]]


def by_size(samples, case, field, unit):
    """One plot a path: the rate against the size of the writes."""
    of = groups(samples, case)
    for path in dict.fromkeys(dict(key)["path"] for key in of):
        points = {dict(key)["size"]: variants for key, variants in of.items()
                  if dict(key)["path"] == path}
        figure, axes = pyplot.subplots(figsize=(6, 3.6))
        for name in next(iter(points.values())):
            sizes = sorted(size for size in points if name in points[size])
            spreads = [_spread([sample[field] for sample in points[size][name]]) for size in sizes]
            for size, (middle, error) in zip(sizes, spreads):
                axes.errorbar([size], [middle], yerr=error, fmt="o", color=COLOURS[name],
                              capsize=3, markersize=4)
            axes.plot(sizes, [middle for middle, _ in spreads], color=COLOURS[name],
                      label=_label(name))
        axes.set(xscale="log", yscale="log", title=path, ylabel=unit, xlabel="size of the writes")
        axes.set_xticks(sorted(points), [size_name(size) for size in sorted(points)])
        axes.minorticks_off()
        axes.legend(fontsize="small")
        yield svg(figure)


def bars(samples, case, fields, unit, log=True):
    """One plot: a group of bars for each set of parameters, the variants side by side."""
    of = groups(samples, case)
    bunches = [(f"{title(key)}\n{what}" if what else title(key), variants, field)
               for key, variants in of.items() for field, what in fields.items()
               if all(field in sample for rounds in variants.values() for sample in rounds)]
    if not bunches:
        return
    names = list(dict.fromkeys(name for _, variants, _ in bunches for name in variants))
    figure, axes = pyplot.subplots(figsize=(max(5, 1.4 * len(bunches)), 3.6))
    for number, name in enumerate(names):
        label = _label(name)
        for place, (_, variants, field) in enumerate(bunches):
            if name not in variants:
                continue
            middle, error = _spread([sample[field] for sample in variants[name]])
            axes.bar([place + 0.8 * number / len(names)], [middle], 0.8 / len(names), yerr=error,
                     align="edge", color=COLOURS[name], capsize=2, label=label)
            label = None
    axes.set_xticks([place + 0.4 for place in range(len(bunches))],
                    [bunch[0].replace(", ", "\n") for bunch in bunches], fontsize="x-small")
    axes.set(ylabel=unit, yscale="log" if log else "linear")
    axes.legend(fontsize="small")
    yield svg(figure)


def plots(samples):
    """(heading, plots) of what was measured."""
    times = {"median_us": "median", "p99_us": "p99", "max_us": "worst"}
    drawn = (
        ("One way, by size of the writes", by_size(samples, "bulk", "mbit_s", "Mbit/s")),
        ("CPU, by size of the writes", by_size(samples, "bulk", "cpu_ns_byte", "ns per byte")),
        ("One way, where packets are delayed and lost",
         bars(samples, "impaired", {"mbit_s": ""}, "Mbit/s")),
        ("Request and reply", bars(samples, "requests", times, "us")),
        ("Connections", bars(samples, "connections", {"per_second": ""}, "per second")),
        ("Calls on foreign descriptors", bars(samples, "hooks", {"more_ns": ""},
                                              "ns more than libc's", log=False)),
        ("The userspace plane: one way", by_size(samples, "userspace bulk", "mbit_s", "Mbit/s")),
        ("The userspace plane: request and reply",
         bars(samples, "userspace requests", times, "us")),
        ("The userspace plane: connections",
         bars(samples, "userspace connections", {"per_second": ""}, "per second")))
    return [(heading, found) for heading, pictures in drawn if (found := list(pictures))]
