# SPDX-License-Identifier: BSD-3-Clause
"""The option table's offspring agree with it; the subcommands print what they promise."""

import re
import subprocess

import pytest


def table_rows(top):
    """The names in options.def, in order."""
    text = (top / "shim/options.def").read_text()
    return re.findall(r"^OPTION(?:_PATH|_LIST)?\((\w+),", text, re.MULTILINE)


def test_options_lists_every_row(run, top):
    done = run("options")
    lines = done.stdout.splitlines()
    assert (done.returncode, done.stderr) == (0, "")
    assert lines[0].split() == ["OPTION", "VARIABLE", "DEFAULT", "UNIT", "MEANING"]
    names = table_rows(top)
    assert len(names) >= 20
    assert [line.split()[:2] for line in lines[1:]] == [
        [name.lower(), f"SCTPSHIM_{name}"] for name in names]
    chunk = next(line for line in lines if line.startswith("chunk"))
    assert re.fullmatch(r"chunk +SCTPSHIM_CHUNK +64k +bytes +most bytes of one message; .*", chunk)


def test_sample_configuration_agrees_with_the_table(run, top):
    assert run("options", "--conf").stdout == (top / "config/sctpshim.conf").read_text(), (
        "run: make docs")


def test_manual_agrees_with_the_table(run, top):
    page = (top / "docs/sctpshim.conf.5").read_text()
    part = re.search(r'^\.\\" BEGIN OPTIONS.*?\n(.*)^\.\\" END OPTIONS', page, re.DOTALL | re.MULTILINE)
    assert run("options", "--man").stdout == part.group(1), "run: make docs"


def test_planes_agree_with_the_table(run, top):
    page = (top / "docs/userspace.md").read_text()
    part = re.search(r"^<!-- BEGIN PLANES -->\n(.*)^<!-- END PLANES -->", page,
                     re.DOTALL | re.MULTILINE)
    assert run("options", "--planes").stdout == part.group(1), "run: make docs"
    names = re.findall(r"^PLANE\((\w+), ", (top / "shim/options.def").read_text(), re.MULTILINE)
    assert sorted(re.findall(r"^\| `(\w+)` \| (?:all but )?STACK=\w+.* \| .{15,} \|$", part.group(1),
                             re.MULTILINE)) == sorted(names)


def test_reasons_agree_with_the_table(tool, top):
    page = (top / "docs/fallback.md").read_text()
    part = re.search(r"^<!-- BEGIN REASONS.*?\n(.*)^<!-- END REASONS", page, re.DOTALL | re.MULTILINE)
    done = subprocess.run([tool, "reasons"], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout == part.group(1), "run: make docs"
    rows = re.findall(r'^REASON\(\w+, "([^"]+)", (\d+), "([^"]+)"\)$',
                      (top / "shim/reasons.def").read_text(), re.MULTILINE)
    assert len(rows) >= 10
    assert [line.split(" | ")[:2] for line in part.group(1).splitlines()[2:]] == [
        [f"| `{word}`", text] for word, _, text in rows]


@pytest.mark.parametrize("name", ["sctpshim.1", "sctpshim.conf.5"])
def test_manual_is_well_formed(top, name):
    done = subprocess.run(["man", "--warnings", "-l", top / "docs" / name], capture_output=True,
                          text=True, timeout=60, check=False,
                          env={"PATH": "/usr/bin:/bin", "LC_ALL": "C.UTF-8", "MANWIDTH": "80"})
    assert (done.returncode, done.stderr) == (0, "")
    assert "NAME" in done.stdout


def test_sample_configuration_has_no_mistakes_and_changes_nothing(run, top, tmp_path):
    sample = (top / "config/sctpshim.conf").read_text()
    live = tmp_path / "live.conf"
    live.write_text(re.sub(r"^#(\w+ =)", r"\1", sample, flags=re.MULTILINE))
    for file in (top / "config/sctpshim.conf", live):
        done = run("check-config", file)
        assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert len(re.findall(r"^\w+ =", live.read_text(), re.MULTILINE)) == len(table_rows(top))


def test_check_config_prints_mistakes_and_fails(run, tmp_path):
    file = tmp_path / "bad.conf"
    file.write_text("chunk = 8k\nrto_min = 2000\nppid\n")
    done = run("check-config", file)
    assert done.returncode == 1
    assert done.stdout == (
        f"{file}:3: expected name = value, got 'ppid'\n"
        f"{file}:2: rto_min: expected at most rto_initial (1000), got '2000'\n")
    done = run("check-config", tmp_path / "none")
    assert done.returncode == 1
    assert done.stdout == (f"{tmp_path}/none: expected a readable file (ENOENT), got "
                           f"'{tmp_path}/none'\n")


def test_check_config_without_a_file_checks_all_layers(run, tmp_path):
    user = tmp_path / "config/sctpshim/sctpshim.conf"
    user.parent.mkdir(parents=True)
    user.write_text("chunk = 1\n")
    done = run("check-config", SCTPSHIM_CONFIG="/nonexistent", SCTPSHIM_LOG="loud")
    assert done.returncode == 1
    assert done.stdout == (
        f"{user}:1: chunk: expected a size from 1k to 64k, got '1'\n"
        "environment: SCTPSHIM_CONFIG: expected a readable file (ENOENT), got '/nonexistent'\n"
        "environment: SCTPSHIM_LOG: expected off, error, warn, info or debug, got 'loud'\n")
    user.unlink()
    assert run("check-config").returncode == 0


def test_a_listing_that_cannot_be_written_is_a_failure(tool):
    with open("/dev/full", "w", encoding="ascii") as full:
        done = subprocess.run([tool, "options"], stdout=full, stderr=subprocess.PIPE, text=True,
                              timeout=60, check=False)
    assert done.returncode == 1
    assert done.stderr == "sctpshim: standard output: No space left on device\n"


def test_check_on_a_machine_with_sctp(run, library, sctp):
    done = run("check")
    lines = done.stdout.splitlines()
    assert (done.returncode, done.stderr, lines[-1]) == (0, "", "SCTP can be used")
    verdicts = {line[6:38].strip(): line[:6].strip() for line in lines[:-1]}
    for what in ("SCTP over IPv4", "loopback", "RTO_INITIAL, RTO_MIN and RTO_MAX", "NODELAY",
                 "SACK_DELAY and SACK_FREQ", "STREAM, PPID and UNORDERED", "PATHMTU and PMTUD",
                 "UDP_ENCAPS", "AUTH", "AUTO_ASCONF", "library"):
        assert verdicts.pop(what) == "ok", what
    assert f"ok    {'library':32} {library}" in lines
    assert verdicts["net.sctp.auth_enable"] == "is"


def test_check_compares_buffers_with_the_systems_limit(run, sctp):
    with open("/proc/sys/net/core/wmem_max", encoding="ascii") as file:
        limit = int(file.read())
    enough = run("check", SCTPSHIM_SNDBUF="64k", SCTPSHIM_CHUNK="8k").stdout
    assert re.search(r"^ok    SNDBUF +65536 bytes$", enough, re.MULTILINE)
    wanted = 1 << 30
    assert limit < wanted
    short = run("check", SCTPSHIM_SNDBUF="1g").stdout
    assert re.search(rf"^warn  SNDBUF +{limit} of the configured {wanted} bytes; for all: "
                     rf"sysctl -w net.core.wmem_max={wanted}$", short, re.MULTILINE)


def test_check_names_a_library_that_does_not_load(top, tool, tmp_path):
    broken = tmp_path / "libsctpshim.so"
    broken.write_bytes((top / "build/libsctpshim.so").read_bytes()[:1000])
    done = subprocess.run([tool, "check", broken], capture_output=True, text=True, timeout=60,
                          check=False)
    assert done.returncode in (69, 126)
    assert f"no    {'library':32} cannot be loaded into a program\n" in done.stdout
    assert done.stderr.splitlines()[-1] == (
        "sctpshim: SCTP cannot be used: the library does not load")
