# SPDX-License-Identifier: BSD-3-Clause
"""docs/compat.md lists every test of a real program, and nothing that is not tested."""

import ast
import re
from pathlib import Path

from programs import ROOT

HERE = Path(__file__).parent
ROW = re.compile(r"^\| ([^|]+) \| ([^|]+) \| `([^`]+)` \| ([^|]+) \|$")


def defined():
    """file::function of every test that runs programs, with its decorators and the file's marks."""
    found = {}
    for path in sorted(HERE.glob("test_*.py")):
        body = ast.parse(path.read_text()).body
        common = [ast.unparse(node.value) for node in body if isinstance(node, ast.Assign)
                  and ast.unparse(node.targets[0]) == "pytestmark"]
        for node in body:
            if not isinstance(node, ast.FunctionDef) or not node.name.startswith("test_"):
                continue
            if "app" in [argument.arg for argument in node.args.args]:
                marks = [ast.unparse(mark) for mark in node.decorator_list]
                found[f"{path.name}::{node.name}"] = common + marks
    return found


def rows():
    """file::function of every row of the table, with its result."""
    lines = (ROOT / "docs/compat.md").read_text().splitlines()
    return [match.group(3, 4) for match in map(ROW.match, lines) if match]


def test_every_test_has_its_row():
    """One row per test, and no row without a test."""
    listed = [name for name, _ in rows()]
    assert sorted(listed) == sorted(defined())


def test_results_are_the_tests_own():
    """A row says "works" unless its test is expected to fail, and then it says something else; a
    long one, all of whose variants only check-all runs, is marked so."""
    marks = defined()
    for name, result in rows():
        expected_to_fail = any("xfail" in mark or "mark.skip(" in mark for mark in marks[name])
        works = "works, long" if {"long", "pytest.mark.long"} & set(marks[name]) else "works"
        assert (result.strip() == works) != expected_to_fail, f"{name}: {result}"
