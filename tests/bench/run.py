#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
"""What the shim costs and gains: measures, prints the table, keeps raw data and a report.

"kernel" cases need SCTP in the kernel and run through tests/vm/run, "host" cases run right here,
where a system call costs what it costs. docs/performance.md says what came out.
"""

import argparse
import dataclasses
import json
import os
import platform
import re
import subprocess
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
sys.dont_write_bytecode = True

import cases                                                                 # noqa: E402
from plans import PLANS                                                      # noqa: E402
from variants import BUILD, ROOT                                             # noqa: E402

KERNEL_LIMIT = 3600


def measure_here(names, plan):
    """The samples of these cases, measured in this process."""
    return [sample for name in names for sample in cases.CASES[name].function(plan)]


def measure_in_kernel(names, arguments):
    """The same where the kernel has SCTP, in one boot."""
    if not names:
        return [], {}
    part = BUILD / "bench-kernel.json"
    part.unlink(missing_ok=True)
    done = subprocess.run([ROOT / "tests/vm/run", "-t", str(KERNEL_LIMIT), sys.executable,
                           __file__, "--here", "--json", part, "--plan", arguments.plan,
                           "--rounds", str(arguments.rounds), *names], check=False, cwd=ROOT)
    if done.returncode:
        sys.exit(done.returncode)                        # it has said why
    result = json.loads(part.read_text())
    return result["samples"], result["machine"]


def processor():
    """The name of this machine's, which tells guests: "UML", "QEMU TCG CPU version 2.5+"."""
    names = re.findall(r"^model name\s*:\s*(.+)$", Path("/proc/cpuinfo").read_text(), re.MULTILINE)
    return names[0] if names else "unknown"


def machine():
    """What it was measured on."""
    return {"kernel": f"{platform.release()} {platform.machine()}",
            "processors": f"{os.cpu_count()} ({processor()})",
            "date": time.strftime("%Y-%m-%d %H:%M", time.gmtime())}


def measure(arguments, plan):
    """Samples and machine, of all cases that were asked for."""
    if arguments.here:
        plan = plan.emulated() if "QEMU" in processor() else plan
        return measure_here(arguments.case, plan), machine()
    where = {name: cases.CASES[name].where for name in arguments.case}
    inside, guest = measure_in_kernel([n for n in where if where[n] == "kernel"], arguments)
    here = measure_here([n for n in where if where[n] == "host"], plan)
    told = machine()
    if guest:
        told["SCTP measured on"] = f"{guest['kernel']}, processors: {guest['processors']}"
    return inside + here, told


def parse():
    """The command line."""
    parser = argparse.ArgumentParser(description="Measure what the shim costs.")
    parser.add_argument("--plan", choices=PLANS, default="quick", help="how much (default quick)")
    parser.add_argument("--rounds", type=int, help="rounds in which all variants take their turn")
    parser.add_argument("--strict", action="store_true", help="exit 1 when a bound is missed")
    parser.add_argument("--json", type=Path, default=BUILD / "bench.json", help="raw data")
    parser.add_argument("--html", type=Path, default=BUILD / "bench.html", help="report")
    parser.add_argument("--from", type=Path, dest="stored", help="report on raw data of before")
    parser.add_argument("--here", action="store_true", help="all cases on this kernel, no report")
    parser.add_argument("case", nargs="*", help=f"of: {', '.join(cases.CASES)} (default: all)")
    arguments = parser.parse_args()
    if unknown := [name for name in arguments.case if name not in cases.CASES]:
        parser.error(f"no such case: {', '.join(unknown)}")
    arguments.rounds = arguments.rounds or PLANS[arguments.plan].rounds
    if arguments.rounds < 1:
        parser.error("--rounds: expected at least 1")
    arguments.case = arguments.case or list(cases.CASES)
    return arguments


def main():
    """Measure, store, print."""
    arguments = parse()
    if arguments.stored:
        result = json.loads(arguments.stored.read_text())
    else:
        plan = dataclasses.replace(PLANS[arguments.plan], rounds=arguments.rounds)
        samples, told = measure(arguments, plan)
        result = {"machine": told, "plan": arguments.plan, "samples": samples}
        arguments.json.write_text(json.dumps(result, indent=1) + "\n")
    if arguments.here:
        return 0
    import report                                        # matplotlib: only here, it takes a second
    print(report.about(result["machine"]), report.text(result["samples"]), sep="\n")
    arguments.html.write_text(report.html(result), encoding="utf-8")
    print(f"report: {arguments.html}, raw data: {arguments.stored or arguments.json}")
    missed = any(row.verdict == "missed" for row in report.rows(result["samples"]))
    return 1 if missed and arguments.strict else 0


if __name__ == "__main__":
    sys.exit(main())
