#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
"""Run tests of CPython's own suite and report each as it starts and ends.

    observe.py MODULE REPORT [TEST...]

MODULE is test_socket or the like. REPORT gets a line of JSON for each start ({"start": NAME}) and
each end ({"end": NAME, "result": WORD, "why": TEXT}). With TESTs only these run, and a name with
"-" in front does not run.
"""

import json
import os
import sys
import unittest

from test import support


class Reporter(unittest.TestResult):
    """Writes down what happens to each test."""

    def __init__(self, path):
        super().__init__()
        self.file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
        self.owner = os.getpid()
        self.outcome = {}

    def emit(self, **entry):
        """One line; a test's forked child that comes back here says nothing."""
        if os.getpid() == self.owner:
            os.write(self.file, json.dumps(entry).encode() + b"\n")

    def note(self, test, result, why=""):
        """The first trouble counts; what belongs to no running test ends at once."""
        if test.id() in self.outcome:
            if self.outcome[test.id()][0] == "ok":
                self.outcome[test.id()] = result, why
        else:
            self.emit(end=test.id(), result=result, why=why)

    def startTest(self, test):
        self.outcome[test.id()] = "ok", ""
        self.emit(start=test.id())

    def stopTest(self, test):
        result, why = self.outcome.pop(test.id())
        self.emit(end=test.id(), result=result, why=why)

    def addError(self, test, err):
        self.note(test, "error", self._exc_info_to_string(err, test))

    def addFailure(self, test, err):
        self.note(test, "failure", self._exc_info_to_string(err, test))

    def addSkip(self, test, reason):
        self.note(test, "skipped", reason)

    def addExpectedFailure(self, test, err):
        self.note(test, "expected failure")

    def addUnexpectedSuccess(self, test):
        self.note(test, "unexpected success")

    def addSubTest(self, test, subtest, err):
        if err:
            self.note(test, "failure", f"{subtest}: {self._exc_info_to_string(err, test)}")


def flatten(suite):
    """All tests in a suite."""
    for item in suite:
        if isinstance(item, unittest.TestSuite):
            yield from flatten(item)
        else:
            yield item


def main():
    """Load, select, run."""
    module, path, *words = sys.argv[1:]
    only = {word for word in words if not word.startswith("-")}
    without = {word[1:] for word in words if word.startswith("-")}
    support.use_resources = ["network"]         # what "network" means is mostly loopback
    tests = flatten(unittest.defaultTestLoader.loadTestsFromName(f"test.{module}"))
    chosen = [test for test in tests
              if test.id() not in without and (not only or test.id() in only)]
    unittest.TestSuite(chosen).run(Reporter(path))
    os._exit(0)                         # threads that a failed test left behind do not hold us


if __name__ == "__main__":
    main()
