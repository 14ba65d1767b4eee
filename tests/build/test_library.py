# SPDX-License-Identifier: BSD-3-Clause
"""The library as a file and as a guest: its symbols, its hardening, its manners in a process."""
import os
import platform
import re
import subprocess
from pathlib import Path

import pytest

TOP = Path(__file__).resolve().parents[2]
LIBRARY = TOP / "build" / "libsctpshim.so"
PROGRAMS = TOP / "build" / "tests" / "build"


def output(*command, **kwargs):
    return subprocess.run(command, check=True, capture_output=True, text=True, timeout=60,
                          **kwargs).stdout


def hooks():
    """The names in hooks.def, read without the preprocessor that made the library."""
    rows = re.findall(r"^(HOOK|PLANES|UNDECIDED|LEG|SPECIAL|TWIN|ALIAS|BARE|COUNTED)\(([^)]*)", (TOP / "shim/hooks.def").read_text(),
                      re.MULTILINE)
    return {args.split(",")[1 if kind in ("HOOK", "PLANES", "UNDECIDED", "LEG", "SPECIAL", "TWIN") else 0].strip()
            for kind, args in rows}


def test_exports_are_the_hooks_and_nothing_else():
    exported = {line.split()[-1] for line in output("nm", "-D", "--defined-only", LIBRARY).splitlines()}
    assert len(exported) > 50
    assert exported == hooks()


def test_hardening():
    dynamic = output("readelf", "-dW", LIBRARY)
    assert "INITFIRST" in dynamic
    assert "BIND_NOW" in dynamic and re.search(r"FLAGS_1.*NOW.*NODELETE|FLAGS_1.*NODELETE.*NOW", dynamic)
    assert "TEXTREL" not in dynamic
    segments = output("readelf", "-lW", LIBRARY)
    assert "GNU_RELRO" in segments
    assert re.search(r"GNU_STACK.* RW +0x", segments)


def test_needs_only_libc():
    needed = re.findall(r"NEEDED.*\[(.*)\]", output("readelf", "-dW", LIBRARY))
    assert set(needed) <= {"libc.so.6", "ld-linux-x86-64.so.2", "ld-linux-aarch64.so.1"}


def test_static_tls_is_small():
    tls = re.search(r"TLS +\S+ \S+ \S+ \S+ (0x[0-9a-f]+)", output("readelf", "-lW", LIBRARY))
    assert tls is None or int(tls.group(1), 16) < 128


def test_hook_page_is_current():
    assert (TOP / "docs/hooks.md").read_text() == output(TOP / "scripts/hooks-table")


def preloaded(program, library=LIBRARY, **settings):
    return output(PROGRAMS / program, env={**os.environ, "LD_PRELOAD": str(library), **settings})


@pytest.mark.parametrize("library", [LIBRARY, PROGRAMS / "libsctpshim-late.so"],
                         ids=["first", "late"])
def test_works_before_any_constructor(library):
    plain = output(PROGRAMS / "preinit")
    shimmed = preloaded("preinit", library)
    assert plain.startswith("protocol 6\n") and shimmed.startswith("protocol 6\n")
    assert int(shimmed.split()[-1]) > int(plain.split()[-1]), "the early socket is not SCTP"


def test_is_configured_before_any_constructor():
    assert preloaded("preinit", SCTPSHIM_ACTION="tcp") == output(PROGRAMS / "preinit")


@pytest.mark.parametrize("run", [lambda: output(PROGRAMS / "hotpath"), lambda: preloaded("hotpath")],
                         ids=["tcp", "shim"])
def test_hot_path_neither_allocates_nor_touches_errno(run):
    assert run() == "mallocs 0 errno 4242 bytes 2000000\n"


def calls(text):
    """{step: how many system calls it took}, from what syscalls.c prints."""
    return {step: int(count) for step, count in (line.rsplit(" ", 1) for line in text.splitlines())}


@pytest.mark.skipif(platform.machine() != "x86_64", reason="the tracer looks into registers")
def test_system_calls():
    """Writes and reads take one each, whatever the room, as in TCP, but only a message at a time can
    be read; what a connection takes beside is what docs/performance.md says."""
    over_tcp, shim = calls(output(PROGRAMS / "syscalls")), calls(preloaded("syscalls"))
    assert {step: count for step, count in over_tcp.items() if step != "read 128 KB"} == {
        "write 64 bytes": 1, "read 64 bytes": 1, "write 128 KB": 1, "socket": 1, "connect": 1,
        "accept": 1, "close": 1, "read the end": 1, "close after the end": 1}
    assert shim == {
        "write 64 bytes": 1, "read 64 bytes": 1, "write 128 KB": 1, "read 128 KB": 2, "socket": 2,
        "connect": 28, "accept": 8, "close": 4, "read the end": 4, "close after the end": 1}


def test_every_way_to_make_a_process():
    """The counted calls are jumped through: nothing of them may stay on the stack (vfork)."""
    plain = output(PROGRAMS / "forks")
    assert plain.count(" ok\n") == 10 and "FAILED" not in plain
    assert preloaded("forks") == plain
