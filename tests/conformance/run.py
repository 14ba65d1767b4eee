#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
"""Run behaviours, each in a child of its own, and print what they observed.

Runs over whatever the process's sockets are: plain TCP, or SCTP when the library is preloaded.
"""

import argparse
import fnmatch
import gc
import json
import os
import resource
import select
import signal
import sys
import time
import traceback

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, HERE)

import behaviours                                   # noqa: E402,F401  (registers them all)
from harness import BEHAVIOURS, Skip, Trace, error_name      # noqa: E402

RESULT_FD = 900


def child(item, sink):
    """The forked child: run one behaviour, writing a JSON line per observation."""
    os.setsid()
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < 1024 <= hard:
        resource.setrlimit(resource.RLIMIT_NOFILE, (1024, hard))
    os.dup2(sink, RESULT_FD, inheritable=False)
    os.close(sink)

    def emit(record):
        os.write(RESULT_FD, json.dumps(record).encode() + b"\n")

    trace = Trace(emit)
    try:
        item.function(trace)
    except Skip as reason:
        emit({"skip": str(reason)})
    except Exception as error:       # an observation like any other: TCP would not have raised it
        where = traceback.extract_tb(error.__traceback__)
        line = next((f.line for f in reversed(where) if "behaviours" in f.filename), "")
        emit({"label": "stopped by", "value": f"{error_name(error)} in: {line}"})
        emit({"trouble": traceback.format_exc()})
    finally:
        os._exit(0)


class Job:
    """One behaviour running in a child."""

    def __init__(self, item, others):
        self.item, self.text, self.begin = item, b"", time.monotonic()
        self.source, sink = os.pipe()
        self.pid = os.fork()
        if self.pid == 0:
            os.close(self.source)
            for other in others:
                os.close(other.source)
            child(item, sink)
        os.close(sink)

    def late(self):
        return time.monotonic() >= self.begin + self.item.limit

    def read(self):
        """Take what the child wrote; True at its end."""
        data = os.read(self.source, 65536)
        self.text += data
        return not data

    def exited(self):
        """True when the child is gone although something it started holds the pipe open."""
        return os.waitid(os.P_PID, self.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None

    def finish(self):
        """End the child's whole process group and return the behaviour's result."""
        late = self.late()
        try:
            os.killpg(self.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
        _, status = os.waitpid(self.pid, 0)
        os.set_blocking(self.source, False)
        try:
            while not self.read():
                pass
        except BlockingIOError:
            pass
        os.close(self.source)
        return self._result(late, os.waitstatus_to_exitcode(status))

    def _result(self, late, code):
        result = {"observations": {}, "sockets": {},
                  "seconds": round(time.monotonic() - self.begin, 3)}
        for record in map(json.loads, self.text.splitlines()):
            if "label" in record:
                result["observations"][record["label"]] = record["value"]
            elif "proof" in record:
                kind = record["proof"]
                result["sockets"][kind] = result["sockets"].get(kind, 0) + 1
            elif "skip" in record:
                result["skipped"] = record["skip"]
            elif "trouble" in record:
                result["trouble"] = record["trouble"]
        if late:
            result["observations"]["ended"] = f"hung for {self.item.limit} s"
        elif code not in (0, -signal.SIGKILL):
            result["observations"]["ended"] = f"died of {signal.Signals(-code).name}" \
                if code < 0 else f"exit status {code}"
        return result


def run(names, width, report):
    """Run the behaviours NAMES, at most WIDTH at a time; call REPORT with each result."""
    waiting, running, results = list(reversed(names)), [], {}
    sys.stdout.flush()
    while waiting or running:
        while waiting and len(running) < width:
            running.append(Job(BEHAVIOURS[waiting.pop()], running))
        ready, _, _ = select.select([job.source for job in running], [], [], 0.2)
        for job in list(running):
            if job.source in ready and job.read() or not ready and job.exited() or job.late():
                running.remove(job)
                results[job.item.name] = job.finish()
                report(job.item.name, results[job.item.name])
    return {name: results[name] for name in names}


def chosen(patterns):
    """The behaviours that PATTERNS name: full names, themes or shell patterns."""
    names = list(BEHAVIOURS)
    if not patterns:
        return names
    picked = [name for name in names
              if any(fnmatch.fnmatch(name, p) or name.startswith(p + ".") for p in patterns)]
    if not picked:
        sys.exit(f"run.py: no behaviour is called {' or '.join(patterns)}; see --list")
    return picked


def show(name, result):
    """One behaviour's result for people."""
    kinds = ", ".join(f"{count} {kind}" for kind, count in result["sockets"].items())
    print(f"{name}  ({result['seconds']} s{', ' + kinds if kinds else ''})")
    if "skipped" in result:
        print(f"    skipped: {result['skipped']}")
    for label, value in result["observations"].items():
        print(f"    {label}: {json.dumps(value)}")
    if "trouble" in result:
        print("    " + result["trouble"].replace("\n", "\n    "))


def main():
    parser = argparse.ArgumentParser(description="Run TCP behaviours and print observations.")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument("--list", action="store_true", help="print names and descriptions")
    parser.add_argument("--times", action="store_true", help="print only names and seconds")
    parser.add_argument("-j", type=int, default=1, metavar="N", help="run N at the same time")
    parser.add_argument("names", nargs="*", help="names, themes or shell patterns")
    args = parser.parse_args()
    names = chosen(args.names)
    if args.list:
        for name in names:
            print(f"{name:44} {BEHAVIOURS[name].about}")
        return

    def report(name, result):
        if args.times:
            print(f"{result['seconds']:7.3f} {name}", flush=True)
        elif not args.json:
            show(name, result)

    gc.freeze()                      # children share these pages instead of copying them
    results = run(names, max(1, args.j), report)
    if args.json:
        json.dump(results, sys.stdout, indent=1)
        print()


if __name__ == "__main__":
    main()
