# SPDX-License-Identifier: BSD-3-Clause
"""What was measured as a table for the terminal and as one page of HTML that needs no other file."""

from html import escape

from plots import plots
from rows import rows

STYLE = """
body { font: 15px/1.45 sans-serif; max-width: 76em; margin: 2em auto; padding: 0 1em; }
table { border-collapse: collapse; } td, th { padding: .15em .8em; text-align: left; }
tr:nth-child(even) { background: #f4f4f4; } td.number { text-align: right; }
.met { color: #22702b; } .missed { color: #b0232a; font-weight: bold; }
svg { max-width: 100%; height: auto; }
"""
HEAD = ("measured", "median", "spread", "bound", "verdict")


def cells(row):
    """A Row as text."""
    bound = "" if row.bound is None else f"{'>=' if row.at_least else '<='} {row.bound:g}{row.unit}"
    return (row.label, f"{row.value:.3g}{row.unit}", f"{row.low:.3g} .. {row.high:.3g}", bound,
            row.verdict)


def about(machine):
    """What it was measured on, in one line."""
    return "; ".join(f"{name}: {value}" for name, value in machine.items())


def text(samples):
    """The table for a terminal."""
    lines = [HEAD, *map(cells, rows(samples))]
    widths = [max(map(len, column)) for column in zip(*lines)]
    return "\n".join("  ".join(cell.ljust(width) for cell, width in zip(line, widths)).rstrip()
                     for line in lines)


def _table(found):
    yield "<table><tr>" + "".join(f"<th>{word}</th>" for word in HEAD) + "</tr>"
    for row in found:
        label, *numbers, verdict = map(escape, cells(row))
        yield (f"<tr><td>{label}</td>" + "".join(f'<td class="number">{n}</td>' for n in numbers) +
               f'<td class="{verdict}">{verdict}</td></tr>')
    yield "</table>"


def html(result):
    """The page."""
    samples = result["samples"]
    found = rows(samples)
    bounded = [row for row in found if row.bound is not None]
    parts = ["<!DOCTYPE html><html lang='en'><head><meta charset='utf-8'>",
             f"<title>sctpshim: benchmark</title><style>{STYLE}</style></head><body>",
             "<h1>sctpshim: benchmark</h1><p>",
             escape(about(result["machine"])),
             "</p><p>Variants take turns in each round; a ratio is the median of the rounds' own, "
             "its spread their extremes. A loaded machine shows as spread.</p>",
             f"<h2>Bounds: {sum(row.verdict == 'met' for row in bounded)} of {len(bounded)} met"
             "</h2>", *_table(bounded)]
    for heading, pictures in plots(samples):
        parts += [f"<h2>{escape(heading)}</h2>", *pictures]
    parts += ["<h2>Everything</h2>", *_table(found), "</body></html>"]
    return "\n".join(parts) + "\n"
