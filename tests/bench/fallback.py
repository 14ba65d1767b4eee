#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
"""What prefer-sctp costs a connect to a peer without SCTP: plain TCP, a cached verdict, first
contact. Where SCTP is: tests/vm/run tests/bench/fallback.py [COUNT]"""

import json
import os
import socket
import subprocess
import sys
import tempfile
import threading
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
SHIM = {"LD_PRELOAD": str(ROOT / "build/libsctpshim.so")}
WAYS = {
    "plain TCP": {},
    "action = tcp": {**SHIM, "SCTPSHIM_ACTION": "tcp"},
    "a verdict is cached": {**SHIM, "SCTPSHIM_ACTION": "prefer-sctp"},
    "refused each time": {**SHIM, "SCTPSHIM_ACTION": "prefer-sctp", "SCTPSHIM_FALLBACK_LIFETIME": "0"},
}


def serve(listener):
    """Take connections and drop them."""
    while True:
        listener.accept()[0].close()


def main():
    """Print one line for each way."""
    count = sys.argv[1] if len(sys.argv) > 1 else "1000"
    listener = socket.create_server(("127.0.0.1", 0), backlog=4096)
    threading.Thread(target=serve, args=(listener,), daemon=True).start()
    with tempfile.TemporaryDirectory() as runtime:
        for name, settings in WAYS.items():
            clean = {k: v for k, v in os.environ.items() if not k.startswith("SCTPSHIM_")}
            out = subprocess.run(
                [ROOT / "build/tests/bench/connectcost", str(listener.getsockname()[1]), count],
                env={**clean, **settings, "XDG_RUNTIME_DIR": runtime}, check=True, text=True,
                stdout=subprocess.PIPE).stdout
            took = json.loads(out)
            total = sum(took.values())
            print(f"{name:20} {total:8.1f} us: " + ", ".join(
                f"{step.removesuffix('_us')} {us:.1f}" for step, us in took.items()), flush=True)


if __name__ == "__main__":
    main()
