#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
"""Write the tables of docs/semantics.md: every behaviour, whether it is kept, and its test."""

import os
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [HERE, os.path.join(HERE, "..")]

import behaviours                                   # noqa: E402,F401  (registers them all)
from differences import DIFFERENCES                 # noqa: E402
from harness import BEHAVIOURS                      # noqa: E402
from modules import load                            # noqa: E402

PAGE = os.path.join(HERE, "..", "..", "docs", "semantics.md")
BEGIN, END = "<!-- BEGIN TABLES: made by tests/conformance/document.py -->", "<!-- END TABLES -->"


def cell(text):
    return text.replace("|", "\\|")


def state(item):
    if item.pending:
        return f"not yet: {item.pending}"
    if item.name in DIFFERENCES:
        return f"**differs**: {DIFFERENCES[item.name].reason}"
    return "kept"


def userspace():
    """The userspace plane's differences, as lines."""
    module = load("userspace_differences", os.path.join(HERE, "../userspace/differences.py"))
    listed = module.DIFFERENCES
    more = {name: row for name, row in module.KERNEL_LEG.items() if listed.get(name) != row}
    lines = ["", "## Not as TCP in the userspace plane", "",
             f"All of them are compared there too: {len(listed)} differ, and {len(more)} more, or in "
             "another way, where the kernel's SCTP is behind the broker.", "",
             "| behaviour | what is different | test |", "|---|---|---|"]
    for where, rows in (("", listed), ("with the kernel's SCTP: ", more)):
        lines += [f"| {cell(BEHAVIOURS[name].about)} | {where}{cell(reason)} | `{name}` |"
                  for name, (reason, _) in rows.items()]
    return lines


def tables():
    """The page's tables: the differences first, then everything, theme by theme."""
    listed = [item for item in BEHAVIOURS.values() if item.name in DIFFERENCES or item.pending]
    kept = len(BEHAVIOURS) - len(listed)
    lines = [f"{len(BEHAVIOURS)} behaviours are compared: {kept} are kept, {len(DIFFERENCES)} "
             f"differ for good reason, {len(listed) - len(DIFFERENCES)} are not done yet.", "",
             "## Not as TCP", "", "| behaviour | what is different | test |", "|---|---|---|"]
    lines += [f"| {cell(item.about)} | {cell(state(item))} | `{item.name}` |" for item in listed]
    lines += [*userspace(), "", "## All behaviours"]
    module = None
    for item in BEHAVIOURS.values():
        if item.function.__module__ != module:
            module = item.function.__module__
            title = sys.modules[module].__doc__.strip().split("\n\n")[0].replace("\n", " ")
            lines += ["", f"### {cell(title)}", "", "| behaviour | | test |", "|---|---|---|"]
        mark = "kept" if state(item) == "kept" else state(item).split(":")[0]
        lines.append(f"| {cell(item.about)} | {mark} | `{item.name}` |")
    return "\n".join(lines)


def main():
    with open(PAGE, encoding="utf-8") as stream:
        text = stream.read()
    before, rest = text.split(BEGIN)
    _, after = rest.split(END)
    with open(PAGE, "w", encoding="utf-8") as stream:
        stream.write(f"{before}{BEGIN}\n{tables()}\n{END}{after}")


if __name__ == "__main__":
    main()
