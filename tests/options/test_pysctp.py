# SPDX-License-Identifier: BSD-3-Clause
"""docs/pysctp.md names options and tests that exist, and no row is without either or a reason."""

import re
from pathlib import Path

import pytest

from seen import ROWS

TOP = Path(__file__).resolve().parents[2]
PAGE = (TOP / "docs/pysctp.md").read_text("utf-8")
TABLE = [[cell.strip() for cell in line.strip("|").split("|")] for line in PAGE.splitlines()
         if line.startswith("| ") and "test, or why not" not in line]


def test_page_has_rows_and_options():
    """Three cells each; every option that sets a parameter of the kernel's SCTP is on the page."""
    assert len(TABLE) > 50 and all(len(cells) == 3 for cells in TABLE)
    named = set(re.findall(r"`(\w+)`", " ".join(cells[1] + cells[2] for cells in TABLE)))
    ours = {"stack", "leg", "cmt", "adopt", "log", "log_file"}
    assert {name.lower() for name in ROWS} - ours <= named


@pytest.mark.parametrize("cells", TABLE, ids=lambda cells: cells[0])
def test_row(cells):
    """Its option is in the table, its test is a file that speaks of it; or it has a reason."""
    _, here, evidence = cells
    for name in re.findall(r"`([a-z_]+)`", here):
        assert name.upper() in ROWS, f"no option {name}"
    tests = re.findall(r"`(\w+/\w+\.py)`", evidence)
    for file in tests:
        assert (TOP / "tests" / file).exists(), file
    assert tests or len(evidence) > 25, "neither a test nor a reason"
    assert here != "none" or not tests
