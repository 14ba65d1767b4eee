# SPDX-License-Identifier: BSD-3-Clause
"""The broker as a service that a manager starts when somebody asks, and how it is installed."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from hosts import LIMIT, PEER

MANAGER = Path(__file__).resolve().parent / "manager.py"


def manager(host, *options, times=1):
    """A manager that listens in the place of this user's broker."""
    uid = host.plain("id", "-u").strip()
    process = subprocess.Popen([*host.entry, sys.executable, MANAGER, f"sctpshim-broker-{uid}",
                                str(times), str(host.top / "build/sctpshimd"), *options],
                               env=host.environment, text=True, stdout=subprocess.PIPE,
                               stderr=subprocess.DEVNULL)
    host.started.append(process)
    process.stdin = None
    assert process.stdout.readline() == "listens\n"
    return process


def connects(host):
    done = host.run(sys.executable, PEER, "connect", "127.0.0.1", 9)
    return done.stdout.startswith("ConnectionRefusedError")


def test_the_first_program_has_it_started(host):
    service = manager(host)
    assert connects(host)
    pid = int(service.stdout.readline().split()[1])
    assert host.broker_pid() == pid
    assert connects(host)
    assert host.broker_pid() == pid, "there is only one"


def test_it_ends_when_idle_and_is_started_again(host):
    service = manager(host, "--idle=1", times=2)
    assert connects(host)
    first = service.stdout.readline()
    assert first.startswith("started")
    assert service.stdout.readline() == "ended 0\n"
    assert host.status() is None
    assert connects(host)
    second = service.stdout.readline()
    assert second.startswith("started") and second != first


def test_a_descriptor_that_is_no_control_socket_is_refused(host):
    done = subprocess.run([*host.entry, "sh", "-c", f"""
        exec 3</dev/null
        LISTEN_PID=$$ LISTEN_FDS=1 exec {host.top}/build/sctpshimd --foreground"""],
                          env=host.environment, capture_output=True, timeout=LIMIT, check=False)
    assert done.returncode == 1
    assert "descriptor 3 that was passed is no listening SOCK_SEQPACKET socket" in host.log()


def test_variables_for_somebody_else_mean_nothing(host):
    broker = subprocess.Popen([*host.entry, str(host.top / "build/sctpshimd"), "--foreground",
                               "--idle=1"], stderr=subprocess.DEVNULL,
                              env={**host.environment, "LISTEN_PID": "1", "LISTEN_FDS": "3"})
    assert broker.wait(LIMIT) == 0


@pytest.fixture(scope="module", params=["", "no"], ids=["with libusrsctp", "without"])
def installed(request, top, tmp_path_factory):
    """What make installs: its root, and whether libusrsctp is part of it."""
    place = tmp_path_factory.mktemp("installed")
    variables = []
    if request.param:
        shutil.copytree(top / "build/shim", place / "build/shim")
        variables = ["USRSCTP=no", f"B={place}/build"]
    done = subprocess.run(["make", "-j2", *variables, "install", f"DESTDIR={place}/root",
                           "PREFIX=/usr"], cwd=top, capture_output=True, text=True, timeout=170,
                          check=False)
    assert done.returncode == 0, done.stderr
    if request.param:
        assert "without libusrsctp (libusrsctp-dev): no sctpshimd" in done.stdout
    return place / "root", not request.param


def test_units_are_installed_with_the_broker(installed):
    root, whole = installed
    for kind in ("system", "user"):
        unit = root / f"usr/lib/systemd/{kind}/sctpshimd.service"
        assert unit.exists() == unit.with_suffix(".socket").exists() == whole
        if whole:
            line = next(line for line in unit.read_text().splitlines() if "ExecStart=" in line)
            program, *options = line.partition("=")[2].split()
            assert os.access(f"{root}{program}", os.X_OK)
            assert ("--shared" in options) == (kind == "system")
    names = {path.name for path in (root / "usr/libexec/sctpshim").iterdir()}
    assert names == {"sctpshim-tool", "sctpshimd-kernel"} | \
        ({"sctpshimd", "sctpshimd-conn"} if whole else set())


@pytest.mark.skipif(not shutil.which("systemd-analyze"), reason="there is no systemd here")
def test_systemd_understands_the_units(installed, tmp_path):
    root, whole = installed
    if not whole:
        return
    for kind in ("system", "user"):
        for unit in (root / f"usr/lib/systemd/{kind}").iterdir():
            text = unit.read_text().replace("=/usr/libexec", f"={root}/usr/libexec")
            (tmp_path / unit.name).write_text(text.replace("man:sctpshim(1)", "man:true(1)"))
        done = subprocess.run(["systemd-analyze", "verify", "--man=no", tmp_path / "sctpshimd.socket",
                               tmp_path / "sctpshimd.service"], capture_output=True, text=True,
                              timeout=LIMIT, check=False)
        said = [line for line in done.stderr.splitlines() if "sctpshimd" in line]
        assert said == [], done.stderr


def test_without_libusrsctp_it_says_so(installed, shim_env):
    root, whole = installed

    def launch(**settings):
        return subprocess.run([root / "usr/bin/sctpshim", "--", "true"], text=True, timeout=LIMIT,
                              capture_output=True, check=False, env={**shim_env, **settings})
    done = launch(SCTPSHIM_STACK="userspace")
    assert (done.returncode == 0) == whole
    if not whole:
        assert done.returncode == 69
        assert "STACK=userspace cannot be used: " in done.stderr
        assert "build it with libusrsctp-dev installed" in done.stderr
        done = subprocess.run([root / "usr/bin/sctpshim", "check"], text=True, timeout=LIMIT,
                              capture_output=True, check=False, env=shim_env)
        assert "sctpshimd was not built (libusrsctp-dev) or not installed" in done.stdout
