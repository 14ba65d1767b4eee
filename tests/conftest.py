# SPDX-License-Identifier: BSD-3-Clause
"""Fixtures that all suites share: what was built, and the environment that programs start with."""

import os
import platform
import shutil
import socket
import subprocess
import tempfile
from pathlib import Path

import ledgers
import pytest

TOP = Path(__file__).resolve().parents[1]
IPPROTO_SCTP = 132


def sctp_missing():
    """Why the kernel gives no SCTP socket; None when it gives one."""
    try:
        socket.socket(socket.AF_INET, socket.SOCK_STREAM, IPPROTO_SCTP).close()
    except OSError as error:
        return error.strerror
    return None


def pytest_report_header():
    missing = sctp_missing()
    return f"kernel {platform.release()}, {f'no SCTP ({missing})' if missing else 'with SCTP'}"


def built(path):
    """The path of a build product; a test that needs it fails when it has not been built."""
    product = TOP / path
    assert product.exists(), f"{path} is missing: run make first"
    return product


@pytest.fixture(scope="session")
def top():
    """The root of the source tree."""
    return TOP


@pytest.fixture(scope="session")
def sctp():
    """For tests that need SCTP in the kernel; without it they fail and say where to run them."""
    missing = sctp_missing()
    assert missing is None, f"this kernel has no SCTP ({missing}): run this under tests/vm/run"


@pytest.fixture(scope="session")
def library():
    """The preloaded library."""
    return built("build/libsctpshim.so")


@pytest.fixture(scope="session")
def launcher():
    """The launcher in the source tree, which finds the library there."""
    built("build/libsctpshim.so")
    return built("scripts/sctpshim")


@pytest.fixture(scope="session")
def public():
    """A directory that every user may enter (pytest's own are the caller's alone)."""
    directory = Path(tempfile.mkdtemp(prefix="sctpshim-tests-"))
    directory.chmod(0o755)
    yield directory
    shutil.rmtree(directory)


@pytest.fixture(scope="session")
def installed(top, public):
    """The launcher as `make install` puts it, below a DESTDIR that every user may read."""
    subprocess.run(["make", "-s", "install", f"DESTDIR={public}/root", "PREFIX=/usr"], cwd=top,
                   check=True, timeout=150, stdout=subprocess.DEVNULL)
    return public / "root/usr/bin/sctpshim"


@pytest.fixture(scope="session")
def env_in():
    """A function: this environment without any of the shim's settings, the user's own file included,
    for a home directory."""
    def environment(home):
        return {**{name: value for name, value in os.environ.items()
                   if not name.startswith("SCTPSHIM_") and name != "LD_PRELOAD"},
                "HOME": str(home), "XDG_CONFIG_HOME": str(home / "config")}
    return environment


@pytest.fixture
def shim_env(env_in, tmp_path):
    """That of the test's own directory."""
    return env_in(tmp_path)


@pytest.fixture(scope="session", autouse=True)
def no_ledger_stays(tmp_path_factory):
    """What the tests' programs have learnt about peers is of no use afterwards."""
    yield
    for ledger in ledgers.of(tmp_path_factory.getbasetemp()):
        ledger.remove()
    ledgers.remove_abandoned()


@pytest.fixture
def run_shimmed(launcher, shim_env, sctp):
    """A function that runs a command under the launcher and returns the CompletedProcess.

    Words name the command; keywords in capitals are settings (LOG="info" is SCTPSHIM_LOG=info),
    others go to subprocess.run().
    """
    def run(*command, timeout=60, **keywords):
        settings = {f"SCTPSHIM_{name}": str(keywords.pop(name))
                    for name in [name for name in keywords if name.isupper()]}
        keywords.setdefault("stdin", subprocess.DEVNULL)
        return subprocess.run([launcher, "--", *command], env={**shim_env, **settings}, text=True,
                              capture_output=True, timeout=timeout, check=False, **keywords)
    return run


@pytest.fixture
def run(launcher, shim_env):
    """A function: the launcher with these arguments; keywords in capitals are variables."""
    def run_launcher(*arguments, program=launcher, before=(), **keywords):
        variables = {name: str(keywords.pop(name)) for name in list(keywords) if name.isupper()}
        return subprocess.run([*before, program, *arguments], env={**shim_env, **variables},
                              text=True, stdin=subprocess.DEVNULL, capture_output=True,
                              timeout=60, check=False, **keywords)
    return run_launcher
