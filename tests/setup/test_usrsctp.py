# SPDX-License-Identifier: BSD-3-Clause
"""scripts/usrsctp builds Debian's source, or says why not; make takes what there is."""

import os
import shutil
import subprocess

import pytest

LIMIT = 30
STUBS = {
    "dpkg-query": "echo usrsctp-source 1.2-3",
    "apt-get": """
        for word; do
            case $word in
            Dir::Etc::sourceparts=*) parts=${word#*=} ;;
            Dir::State::lists=*) : >"${word#*=}/a_Sources" ;;
            esac
        done
        echo "$@" >>$OUT/calls
        case $* in *update) cat "$parts"/* >$OUT/sources; echo "E: one is not there"; exit 100 ;; esac
        [ -z "${FAIL-}" ] && echo 1 >a.dsc""",
    "dpkg-source": """
        mkdir -p tree/usrsctplib/netinet tree/debian && echo mine >tree/debian/copyright
        echo 'int one(void); int one(void) { return 1; }' >tree/usrsctplib/one.c
        echo 'int two(void); int two(void) { return 2; }' >tree/usrsctplib/netinet/two.c""",
}


@pytest.fixture
def tree(tmp_path, top):
    """A copy of what is needed of the source tree, with nothing built."""
    copy = tmp_path / "tree"
    (copy / "scripts").mkdir(parents=True)
    (copy / "tests").mkdir()
    for name in ("scripts/usrsctp", "Makefile", "tests/rules.mk"):
        shutil.copy2(top / name, copy / name)
    return copy


@pytest.fixture
def apt(tmp_path):
    """A function that makes apt's configuration, with these FILES as the only package sources."""
    def make(**files):
        parts = tmp_path / "parts"
        parts.mkdir()
        for name, text in files.items():
            (parts / f"machine.{name}").write_text(text)
        configuration = tmp_path / "apt.conf"
        configuration.write_text(f'Dir::Etc::sourcelist "{tmp_path}/none";\n'
                                 f'Dir::Etc::sourceparts "{parts}";\n')
        return {**os.environ, "APT_CONFIG": str(configuration)}
    return make


@pytest.fixture
def pretended(tmp_path):
    """A directory of programs that do what Debian's would with a package of two functions."""
    place = tmp_path / "stubs"
    place.mkdir()
    for name, text in STUBS.items():
        (place / name).write_text(f"#!/bin/sh\n{text}\n")
        (place / name).chmod(0o755)
    return {"PATH": f"{place}:{os.environ['PATH']}", "OUT": str(tmp_path)}


def run(tree, environment, *words):
    return subprocess.run([tree / "scripts/usrsctp", *words], text=True, timeout=LIMIT,
                          capture_output=True, check=False, env=environment)


def taken(tree, *variables):
    """What make would link the broker with."""
    done = subprocess.run(["make", "-n", "build/libusrsctp.a", *variables], cwd=tree, text=True,
                          timeout=LIMIT, capture_output=True, check=True)
    return done.stdout.split()[-2]


def test_no_package_sources(tree, apt):
    done = run(tree, apt())
    assert (done.returncode, done.stdout) == (69, "")
    assert done.stderr == "usrsctp: apt has no package sources: Debian's slower library is used\n"
    assert list((tree / "build").iterdir()) == []
    assert taken(tree).startswith("/"), "the installed one"


def test_package_sources_that_lead_nowhere(tree, apt, tmp_path):
    done = run(tree, apt(list=f"deb [trusted=yes] file:{tmp_path}/nowhere stable main\n"))
    assert done.returncode == 69
    assert len(done.stderr.splitlines()) == 1
    assert done.stderr.startswith("usrsctp: the source of libusrsctp ")
    assert done.stderr.endswith(": Debian's slower library is used\n")
    assert list((tree / "build").iterdir()) == []


def test_it_is_built_once_and_taken(tree, apt, pretended, tmp_path):
    environment = apt(list="# deb no\ndeb [arch=any] http://a.invalid s main\ndeb-src http://b s main\n",
                      sources="Types: deb deb-src\nURIs: http://c.invalid\nSuites: s\n") | pretended
    done = run(tree, environment)
    assert (done.returncode, done.stderr) == (0, "")
    assert (tmp_path / "sources").read_text().split("\n\n")[0].splitlines() == [
        "deb-src [arch=any] http://a.invalid s main", "Types: deb-src", "URIs: http://c.invalid",
        "Suites: s"]
    calls = (tmp_path / "calls").read_text().splitlines()
    assert calls[-1].endswith("source --download-only usrsctp-source=1.2-3")
    assert all("Dir::State::lists=" + str(tree / "build") in call for call in calls)
    library = tree / "build/usrsctp/libusrsctp.a"
    names = subprocess.run(["nm", "-g", library], text=True, capture_output=True, check=True).stdout
    assert " T one\n" in names and " T two\n" in names
    assert taken(tree) == "build/usrsctp/libusrsctp.a"
    assert taken(tree, "USRSCTP=/usr/bin/env") == "/usr/bin/env", "another one that was asked for"
    assert run(tree, environment).stdout == ""
    assert (tmp_path / "calls").read_text().splitlines() == calls, "it is there already"
    subprocess.run(["make", "clean"], cwd=tree, timeout=LIMIT, capture_output=True, check=True)
    assert library.exists()


def test_one_of_another_version_does_not_stay(tree, apt, pretended, tmp_path):
    environment = apt(list="deb http://a.invalid s main\n") | pretended
    assert run(tree, environment).returncode == 0
    (tmp_path / "stubs/dpkg-query").write_text("#!/bin/sh\necho usrsctp-source 1.2-4\n")
    done = run(tree, environment | {"FAIL": "1"})
    assert done.returncode == 69
    assert "the source of usrsctp-source 1.2-4 cannot be had" in done.stderr
    assert taken(tree).startswith("/"), "the installed one"


def test_arguments(tree):
    assert run(tree, os.environ, "--help").returncode == 0
    done = run(tree, os.environ, "build")
    assert (done.returncode, done.stdout[:6]) == (64, "usage:")
