# SPDX-License-Identifier: BSD-3-Clause
"""What is compared: a plain TCP program, a native SCTP one, and the same TCP program over SCTP."""

import os
import sys
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
BUILD = ROOT / "build"
LOAD = str(BUILD / "tests/bench/load/load")
LAUNCHER = [str(ROOT / "scripts/sctpshim"), "--"]

for suite in ("apps", "userspace"):
    sys.path.insert(0, str(ROOT / "tests" / suite))


@dataclass(frozen=True)
class Variant:
    """How the load program is started so that it uses this transport."""
    name: str
    label: str
    protocol: str                         # who listens in /proc/net: "tcp" or "sctp"
    launcher: tuple = ()
    words: tuple = ()
    environment: tuple = ()

    def command(self, *argv):
        """The load program with these words, over this transport."""
        return [*self.launcher, LOAD, *self.words, *map(str, argv)]

    def settings(self):
        """Its environment, with nothing of the user's own configuration."""
        clean = {name: value for name, value in os.environ.items()
                 if not name.startswith("SCTPSHIM_") and name != "LD_PRELOAD"}
        return {**clean, "XDG_CONFIG_HOME": "/nonexistent", **dict(self.environment)}


TCP = Variant("tcp", "TCP", "tcp")
NATIVE = Variant("native", "native SCTP, tuned by hand", "sctp", words=("-n",))
CALLS = Variant("calls", "native SCTP with as many calls as sctpshim makes", "sctp", words=("-m",))
WITHSCTP = Variant("withsctp", "withsctp (lksctp-tools)", "sctp", launcher=("withsctp",))
SHIM = Variant("shim", "sctpshim", "sctp", launcher=tuple(LAUNCHER),
               environment=(("SCTPSHIM_STACK", "kernel"),))
USERSPACE = Variant("userspace", "sctpshim, userspace plane", "tcp", launcher=tuple(LAUNCHER),
                    environment=(("SCTPSHIM_STACK", "userspace"),))
ALL = {variant.name: variant for variant in (TCP, NATIVE, CALLS, WITHSCTP, SHIM,
                                                USERSPACE)}
