# SPDX-License-Identifier: BSD-3-Clause
"""scripts/setup says what is missing and how to get it, with a pretended Debian around it."""

import shutil
import subprocess

import pytest

LIMIT = 30
TOOLS = ("sh", "dirname", "awk", "grep", "cat", "mktemp", "rm", "tail", "sed")


@pytest.fixture
def debian(tmp_path, top):
    """A function that runs scripts/setup where PACKAGES are installed and apt-get does APT."""
    def run(*arguments, user=1000, packages=(), apt="exit 0"):
        for tool in TOOLS:
            (tmp_path / tool).symlink_to(shutil.which(tool))
        listed = "\n".join(f"{package} installed" for package in packages)
        scripts = {"id": f"echo {user}", "apt-get": f'echo "$@" >>{tmp_path}/calls\n{apt}',
                   "dpkg-query": f"cat <<'LIST'\n{listed}\nLIST"}
        if apt is None:
            del scripts["apt-get"]
        for name, text in scripts.items():
            (tmp_path / name).write_text(f"#!/bin/sh\n{text}\n")
            (tmp_path / name).chmod(0o755)
        (tmp_path / "scripts").mkdir()
        for name in ("setup", "packages"):
            shutil.copy2(top / "scripts" / name, tmp_path / "scripts")
        stack = tmp_path / "scripts/usrsctp"
        stack.write_text(f"#!/bin/sh\necho usrsctp >>{tmp_path}/calls\nexit 69\n")
        stack.chmod(0o755)
        done = subprocess.run([tmp_path / "scripts/setup", *arguments], text=True, timeout=LIMIT,
                              capture_output=True, check=False, env={"PATH": str(tmp_path)})
        calls = tmp_path / "calls"
        return done, calls.read_text().splitlines() if calls.exists() else []
    return run


def names(top, *groups):
    """The packages of GROUPS."""
    lines = [line.split(None, 2) for line in (top / "scripts/packages").read_text().splitlines()
             if line and not line.startswith("#")]
    return [line[1] for line in lines if line[0] in groups]


def test_every_package_says_what_for(top):
    lines = [line.split(None, 2) for line in (top / "scripts/packages").read_text().splitlines()
             if line and not line.startswith("#")]
    assert all(len(line) == 3 and line[0] in ("build", "demo", "test", "long", "qemu")
               for line in lines)
    assert len({line[1] for line in lines}) == len(lines) > 10


def test_nothing_missing_is_silent(debian, top):
    done, calls = debian("demo", packages=names(top, "build", "demo"))
    assert (done.returncode, done.stdout, done.stderr, calls) == (0, "", "", ["usrsctp"])


def test_the_fast_stack_is_built_when_all_is_there(debian):
    done, calls = debian("build", user=0)
    assert done.returncode == 0, "without that one it is slower, and that is all"
    assert [call.split()[-1] for call in calls] == ["update", "dpkg-dev", "usrsctp"]


def test_other_user_is_told_what_to_type(debian, top):
    present = [name for name in names(top, "build", "demo") if name not in ("make", "curl")]
    done, calls = debian("demo", packages=present)
    assert done.returncode == 69
    assert "missing packages: make curl\n" in done.stderr
    assert "apt-get install --no-install-recommends make curl\n" in done.stderr
    assert calls == []


def test_qemu_is_asked_for_by_name(debian, top):
    present = names(top, "build", "demo", "test")
    assert "qemu-system-x86" not in present + names(top, "long")
    done, calls = debian("qemu", packages=present)
    assert (done.returncode, calls) == (69, [])
    assert "missing packages: qemu-system-x86 busybox-static\n" in done.stderr


def test_half_removed_package_is_missing(debian, top):
    present = [name for name in names(top, "build") if name != "gcc"]
    done, _ = debian("build", packages=[*present, "gcc config-files\nx"])
    assert done.returncode == 69
    assert "missing packages: gcc\n" in done.stderr


def test_apt_that_fails_is_shown(debian):
    done, calls = debian("build", user=0, apt="echo E: no such host; exit 100")
    assert done.returncode == 1
    assert "installing gcc: compiles the library" in done.stdout
    assert "apt-get update failed" in done.stderr and "    E: no such host" in done.stderr
    assert len(calls) == 1 and calls[0].endswith(" update")


def test_other_systems_are_told_the_names(debian, top):
    done, _ = debian("demo", apt=None)
    assert done.returncode == 69
    assert "not a Debian system" in done.stderr
    assert " ".join(names(top, "build", "demo")) in done.stderr


def test_unknown_group(debian):
    done, calls = debian("everything")
    assert (done.returncode, calls) == (64, [])
    assert "usage: scripts/setup" in done.stderr


def test_scripts_pass_shellcheck(top):
    listed = subprocess.run(["grep", "-rlIE", "--exclude-dir=.git", "--exclude-dir=build",
                             "^#!/bin/sh", top], capture_output=True, text=True, check=True)
    scripts = [path for path in listed.stdout.splitlines() if not path.endswith((".c", ".py"))]
    assert len(scripts) >= 8
    done = subprocess.run(["shellcheck", *scripts], capture_output=True, text=True, timeout=LIMIT,
                          check=False)
    assert done.returncode == 0, done.stdout
