#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
"""Run behaviours, each in a child of its own, and print what they observed.

Runs over whatever the process's sockets are: plain TCP, or SCTP when the library is preloaded.
"""

import argparse
import fnmatch
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
sys.dont_write_bytecode = True

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


def collect(source, pid, limit):
    """Read the child's records until it ends or LIMIT seconds pass; (records, how it ended)."""
    text, end, status = b"", time.monotonic() + limit, None
    while True:
        left = end - time.monotonic()
        if left <= 0:
            break
        ready, _, _ = select.select([source], [], [], min(left, 0.5))
        if ready:
            data = os.read(source, 65536)
            text += data
            if not data:
                break
        else:
            done, status = os.waitpid(pid, os.WNOHANG)
            if done:                                   # a grandchild holds the pipe open
                break
            status = None
    late = time.monotonic() >= end
    try:
        os.killpg(pid, signal.SIGKILL)
    except ProcessLookupError:
        pass
    if status is None:
        try:
            _, status = os.waitpid(pid, 0)
        except ChildProcessError:
            status = 0
    os.set_blocking(source, False)
    try:
        while data := os.read(source, 65536):
            text += data
    except BlockingIOError:
        pass
    code = os.waitstatus_to_exitcode(status)
    how = f"hung for {limit} s" if late else "" if code in (0, -signal.SIGKILL) else \
        f"died of {signal.Signals(-code).name}" if code < 0 else f"exit status {code}"
    return [json.loads(line) for line in text.splitlines()], how


def run(item):
    """Run one behaviour; a dict with observations, proofs and the time it took."""
    source, sink = os.pipe()
    begin = time.monotonic()
    sys.stdout.flush()
    pid = os.fork()
    if pid == 0:
        os.close(source)
        child(item, sink)
    os.close(sink)
    records, how = collect(source, pid, item.limit)
    os.close(source)
    result = {"observations": {}, "sockets": {}, "seconds": round(time.monotonic() - begin, 3)}
    for record in records:
        if "label" in record:
            result["observations"][record["label"]] = record["value"]
        elif "proof" in record:
            kind = record["proof"]
            result["sockets"][kind] = result["sockets"].get(kind, 0) + 1
        elif "skip" in record:
            result["skipped"] = record["skip"]
        elif "trouble" in record:
            result["trouble"] = record["trouble"]
    if how:
        result["observations"]["ended"] = how
    return result


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
        print(f"    {label}: {value if isinstance(value, str) else json.dumps(value)}")
    if "trouble" in result:
        print("    " + result["trouble"].replace("\n", "\n    "))


def main():
    parser = argparse.ArgumentParser(description="Run TCP behaviours and print observations.")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument("--list", action="store_true", help="print names and descriptions")
    parser.add_argument("--times", action="store_true", help="print only names and seconds")
    parser.add_argument("names", nargs="*", help="names, themes or shell patterns")
    args = parser.parse_args()
    names = chosen(args.names)
    if args.list:
        for name in names:
            print(f"{name:44} {BEHAVIOURS[name].about}")
        return
    results = {}
    for name in names:
        results[name] = run(BEHAVIOURS[name])
        if args.times:
            print(f"{results[name]['seconds']:7.3f} {name}")
        elif not args.json:
            show(name, results[name])
    if args.json:
        json.dump(results, sys.stdout, indent=1)
        print()


if __name__ == "__main__":
    main()
