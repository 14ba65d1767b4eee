# SPDX-License-Identifier: BSD-3-Clause
"""The benchmark measures what it says and reports it: how fast anything is, is not tested."""

import json
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path

import pytest
import rows

RUN = Path(__file__).with_name("run.py")


def bench(*words):
    """Run it; its standard output."""
    done = subprocess.run([sys.executable, RUN, *map(str, words)], check=False, timeout=150,
                          capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


class Page(HTMLParser):
    """What a page consists of, and what it would load from elsewhere."""

    def __init__(self, text):
        super().__init__()
        self.tags, self.loads, self.words = [], [], []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.loads += [value for name, value in attrs
                       if name in ("src", "href", "xlink:href") and not value.startswith("#")]

    def handle_data(self, data):
        self.words.append(data)


@pytest.mark.usefixtures("sctp")
def test_report(tmp_path):
    """A tiny run of all cases: every variant is in the data, and every case in the report."""
    data, page = tmp_path / "bench.json", tmp_path / "bench.html"
    bench("--plan", "tiny", "--here", "--json", data)
    samples = json.loads(data.read_text())["samples"]
    cases = {sample["case"] for sample in samples}
    assert cases >= {"bulk", "requests", "connections", "hooks", "starts", "left"}
    for case in ("bulk", "requests", "connections"):
        more = {"calls"} if case == "connections" else set()
        assert {s["variant"] for s in samples if s["case"] == case} == \
            {"tcp", "native", "withsctp", "shim"} | more, case
    table = bench("--from", data, "--html", page)
    seen = Page(page.read_text())
    assert not seen.loads and not {"script", "link", "img"} & set(seen.tags)
    assert seen.tags.count("svg") >= len(cases) - 2      # starts and left have no plot
    words = " ".join(seen.words)
    for line in rows.rows(samples):
        assert line.label in words and line.label in table


def sample(variant, number, rate):
    """One of a bulk transfer."""
    return {"case": "bulk", "path": "loopback", "size": 65536, "variant": variant,
            "round": number, "mbit_s": rate, "cpu_ns_byte": 1000 / rate}


def test_ratios():
    """Rounds are compared with themselves, whatever order they come in."""
    samples = [sample("shim", 1, 300), sample("tcp", 0, 1000), sample("tcp", 1, 400),
               sample("shim", 0, 500), sample("tcp", 2, 100), sample("shim", 2, 100)]
    line, = rows.rows(samples)
    assert (line.value, line.low, line.high) == (0.75, 0.5, 1.0)
    assert line.label == "loopback, 64 KB writes: rate, shim / tcp"
    assert (line.bound, line.verdict) == (0.9, "missed")
    assert rows.row("", "", [1, 2, 3], bound=2).verdict == "met"
    assert rows.row("", "", [1, 2, 3], bound=3, at_least=True).verdict == "missed"
