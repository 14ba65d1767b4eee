#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
"""What the shim costs: runs every case, prints ratios with targets and verdicts, keeps raw data.

A case is a function in CASES and returns rows; "kernel" cases need SCTP and run through
tests/vm/run, "host" cases run right here, where a system call costs what it costs.
"""

import argparse
import json
import subprocess
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
sys.dont_write_bytecode = True

import cases                                                                 # noqa: E402

ROOT = Path(__file__).resolve().parents[2]
BUILD = ROOT / "build"
KERNEL_LIMIT = 420


def run_here(names, settings):
    """Run the named cases in this process; their rows and raw data."""
    results = {}
    for name in names:
        print(f"bench: {name} ...", file=sys.stderr, flush=True)
        rows, raw = cases.CASES[name].function(settings)
        results[name] = {"rows": [row.__dict__ for row in rows], "raw": raw}
    return results


def run_in_kernel(names, arguments):
    """Run the named cases where the kernel has SCTP, in one boot."""
    if not names:
        return {}
    part = BUILD / "bench-kernel.json"
    part.unlink(missing_ok=True)
    subprocess.run([ROOT / "tests/vm/run", "-t", str(KERNEL_LIMIT), sys.executable, __file__,
                    "--here", "--output", part, "--rounds", str(arguments.rounds), *names],
                   check=True, cwd=ROOT)
    return json.loads(part.read_text())


def verdict(row):
    """Whether the row's value is on the right side of its target."""
    if row["target"] is None:
        return "-"
    good = row["value"] >= row["target"] if row["at_least"] else row["value"] <= row["target"]
    return "met" if good else "MISSED"


def table(results):
    """Print one line per row; True when no target was missed."""
    lines = [("measured", "value", "spread", "target", "verdict")]
    for result in results.values():
        for row in result["rows"]:
            value = f"{row['value']:.3g}{row['unit']}"
            spread = "" if row["low"] is None else f"{row['low']:.3g} .. {row['high']:.3g}"
            bound = ">=" if row["at_least"] else "<="
            target = "" if row["target"] is None else f"{bound} {row['target']:g}{row['unit']}"
            lines.append((row["label"], value, spread, target, verdict(row)))
    widths = [max(map(len, column)) for column in zip(*lines)]
    for line in lines:
        print("  ".join(cell.ljust(width) for cell, width in zip(line, widths)).rstrip())
    return all(line[-1] != "MISSED" for line in lines)


def parse():
    parser = argparse.ArgumentParser(description="Measure what the shim costs.")
    parser.add_argument("--strict", action="store_true", help="exit 1 when a target is missed")
    parser.add_argument("--rounds", type=int, default=5, help="interleaved rounds (default 5)")
    parser.add_argument("--output", type=Path, default=BUILD / "bench.json", help="raw data")
    parser.add_argument("--here", action="store_true", help="run all cases on this kernel")
    parser.add_argument("case", nargs="*", help=f"of: {', '.join(cases.CASES)} (default: all)")
    arguments = parser.parse_args()
    if unknown := [name for name in arguments.case if name not in cases.CASES]:
        parser.error(f"no such case: {', '.join(unknown)}")
    if arguments.rounds < 1:
        parser.error("--rounds: expected at least 1")
    arguments.case = arguments.case or list(cases.CASES)
    return arguments


def main():
    """Run, store, print."""
    arguments = parse()
    settings = cases.Settings(BUILD, arguments.rounds)
    if arguments.here:
        results = run_here(arguments.case, settings)
    else:
        where = {name: cases.CASES[name].where for name in arguments.case}
        results = run_here([name for name in where if where[name] == "host"], settings)
        results |= run_in_kernel([name for name in where if where[name] == "kernel"], arguments)
        results = {name: results[name] for name in arguments.case}
    arguments.output.write_text(json.dumps(results, indent=1) + "\n")
    if arguments.here:
        return 0
    met = table(results)
    print(f"raw data: {arguments.output}")
    return 0 if met or not arguments.strict else 1


if __name__ == "__main__":
    sys.exit(main())
