#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
"""Run the conformance suite and random scripts over an instrumented library; nothing may be found.

`address` and `thread` need an address space of 2^47 bytes.  Where such a kernel has SCTP they use
it; else the machine's own kernel, with TCP standing in for SCTP (standin.c): then what is watched
is the library's memory and threads, and the results mean nothing.  `undefined` and `memcheck` run
in a guest too.  Each first meets a program with a mistake in it, which has to be found.
"""

import argparse
import json
import os
import re
import shutil
import socket
import subprocess
import sys
import tempfile
from pathlib import Path

TOP = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(TOP / "tests/fuzz"))

from generate import generate                                       # noqa: E402

CONFORMANCE = TOP / "tests/conformance/run.py"
PLAYER = TOP / "build/tests/fuzz/player"
PROGRAMS = TOP / "build/tests/sanitize"
SUBSET = ("recv", "vectors", "send", "sendfile", "sendflags", "splice", "teardown")
SCRIPTS = 60
UNKNOWN = {"memcheck": ("fork", "exec")}        # its kernel calls end with pidfd_open(2)
# The bad address that behaviours use, libc.BAD, where it is the kernel that is to say EFAULT; and a
# whole number of messages behind it, where so much was to be sent from there.
DELIBERATE = re.compile(r"Syscall param .* unaddressable byte.*== +Address 0x([\da-f]+00)?10 is not",
                        re.DOTALL)
OURS = {
    "thread": re.compile(r"libsctpshim\.so|^FATAL", re.MULTILINE),
    "memcheck": re.compile(r"\((" + "|".join(path.name.replace(".", r"\.")
                                            for path in (TOP / "shim").rglob("*.c")) + r"):\d+\)"),
}
BETWEEN = {"thread": r"(?m)^=+$", "memcheck": r"(?m)^==\d+== $"}


class Kind:
    """A tool: how the library is built, how reports look, the program it has to complain of."""

    def __init__(self, build, runtime, options, wrong, sign):
        self.build, self.runtime, self.options = build, runtime, options
        self.wrong, self.sign = wrong, sign


KINDS = {
    "address": Kind("build/asan", "libasan.so", {
        "ASAN_OPTIONS": "detect_leaks=0:detect_stack_use_after_return=1:log_path={log}",
        "UBSAN_OPTIONS": "print_stacktrace=1:log_path={log}"}, "overrun", "heap-buffer-overflow"),
    "thread": Kind("build/tsan", "libtsan.so", {
        "TSAN_OPTIONS": "log_path={log}:report_signal_unsafe=0"}, "race", "data race"),
    "undefined": Kind("build/ubsan", "libubsan.so", {
        "UBSAN_OPTIONS": "print_stacktrace=1:log_path={log}"}, "undefined", "integer overflow"),
    "memcheck": Kind("build", None, {}, "overrun", "unaddressable"),
}


def kernel_has_sctp():
    try:
        socket.socket(socket.AF_INET, socket.SOCK_STREAM, 132).close()
    except OSError:
        return False
    return True


class Run:
    """One tool's run; the reports are files in a directory of their own."""

    def __init__(self, name):
        self.name, self.kind = name, KINDS[name]
        self.reports = Path(tempfile.mkdtemp(prefix="sanitize-"))
        self.standin = name in ("address", "thread") and not kernel_has_sctp()
        self.trouble = []

    def environment(self):
        env = {key: value for key, value in os.environ.items()
               if not key.startswith("SCTPSHIM_") and key != "LD_PRELOAD"}
        env.update(HOME=str(self.reports), XDG_CONFIG_HOME=str(self.reports))
        env.update({key: value.format(log=self.reports / "report")
                    for key, value in self.kind.options.items()})
        preload = [str(TOP / self.kind.build / "libsctpshim.so")]
        if self.kind.runtime:
            found = subprocess.run(["gcc", f"-print-file-name={self.kind.runtime}"], check=True,
                                   capture_output=True, text=True).stdout.strip()
            preload.insert(0, os.path.realpath(found))
        if self.standin:
            preload.append(str(PROGRAMS / "standin.so"))
        env["LD_PRELOAD"] = " ".join(preload)
        return env

    def command(self, words):
        if self.name == "thread":       # its shadow does not fit every random layout
            return ["setarch", "-R", *words]
        if self.name == "memcheck":
            return ["valgrind", "-q", "--trace-children=yes", "--vgdb=no", "--fair-sched=yes",
                    f"--suppressions={TOP}/tests/sanitize/memcheck.supp",
                    f"--log-file={self.reports}/report.%p", *words]
        return words

    def start(self, words, limit):
        return subprocess.run(self.command([str(word) for word in words]), timeout=limit,
                              env=self.environment(), capture_output=True, text=True, check=False)

    def found(self):
        """The text of each report, and away with it."""
        texts = []
        for path in sorted(self.reports.glob("report*")):
            text = path.read_text(errors="replace")
            path.unlink()
            # Python upsets memcheck in its own ways, and behaviours close descriptors that another
            # thread uses, which they are about: what the library takes part in counts.
            ours = OURS.get(self.name)
            texts += [part for part in re.split(BETWEEN.get(self.name, r"\Z"), text)
                      if part.strip() and (not ours or ours.search(part))
                      and not DELIBERATE.search(part)]
        return texts

    def must_find(self):
        """Does the tool see through the library what is wrong with a program?"""
        self.start([PROGRAMS / self.kind.wrong], 60)
        texts = self.found()
        if not any(self.kind.sign in text for text in texts):
            self.trouble.append(f"{self.kind.wrong}: no report of {self.kind.sign!r}, but: {texts}")

    def must_be_at_work(self):
        """Alone the stand-in would show its protocol; the library shows TCP's."""
        done = self.start(["/usr/bin/python3", "-c", "import socket as s; print(s.socket()"
                           ".getsockopt(s.SOL_SOCKET, s.SO_PROTOCOL))"], 60)
        if done.stdout != "6\n":
            self.trouble.append(f"the library is not at work: {done.stdout} {done.stderr}")

    def behaviours(self):
        names = subprocess.run([sys.executable, CONFORMANCE, "--json", "--list"], check=True,
                               capture_output=True, text=True).stdout.split("\n")
        names = [line.split()[0] for line in names if line.strip()]
        if self.name == "memcheck":
            names = [name for name in names if any(name == chosen or name.startswith(chosen + ".")
                                                   for chosen in SUBSET)]
        return names

    def conformance(self):
        names = self.behaviours()
        done = self.start(["/usr/bin/python3", CONFORMANCE, "--json", "-j2", *names], 900)
        if done.returncode:
            self.trouble.append(f"the suite failed: {done.stderr}")
            return 0
        results = json.loads(done.stdout)
        kinds = {kind for result in results.values() for kind in result["sockets"]}
        if "tcp" in kinds and not self.standin:
            self.trouble.append("the sockets were TCP's: the library was not at work")
        return len(results)

    def scripts(self):
        with tempfile.NamedTemporaryFile("w", suffix=".txt") as batch:
            for seed in range(SCRIPTS):
                batch.write(f"seq {seed}\n" + "".join(line + "\n" for line in
                                                    generate(seed, UNKNOWN.get(self.name, ()))))
            batch.flush()
            done = self.start([PLAYER, batch.name, "0", "5000"], 600)
        if done.returncode:
            self.trouble.append(f"the player failed: {done.stderr}")
        return done.stdout.count("seq ")

    def churn(self):
        """Descriptors that one thread closes and another is given, as fast as that goes."""
        done = self.start([PROGRAMS / "churn"], 300)
        if done.returncode not in (0, 66):      # 66: reports, which are counted
            self.trouble.append(f"churn: {done.returncode} {done.stderr}")
        return 1

    def all(self):
        self.must_find()
        if self.standin:
            self.must_be_at_work()
        print(f"{self.name}: finds what is wrong with {self.kind.wrong}.c"
              + (", TCP stands in for SCTP" if self.standin else ""), flush=True)
        for what in (self.churn, self.conformance, self.scripts):
            count, texts = what(), self.found()
            self.trouble += texts
            print(f"{self.name}: {what.__name__}: {count}, reports: {len(texts)}", flush=True)
        shutil.rmtree(self.reports)
        for text in self.trouble[:20]:
            print(text)
        return 1 if self.trouble else 0


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("kind", choices=KINDS)
    return Run(parser.parse_args().kind).all()


if __name__ == "__main__":
    sys.exit(main())
