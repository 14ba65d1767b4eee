# SPDX-License-Identifier: BSD-3-Clause
"""Services started by a super-server, which know nothing but stdin and stdout."""

import os
import pwd

import pytest

from exchange import HERE, PYTHON
from programs import MB, ROOT, free_port

SERVICE = ROOT / "build/tests/apps/inetd_service"


@pytest.mark.parametrize("streams", ["standard", "own"])
@pytest.mark.parametrize("superserver", ["inetd", "socat"])
def test_stdio_service(app, payload, superserver, streams):
    """A C program that uses stdio only: lines, 1 MB in and out, and the client's half-close."""
    assert SERVICE.exists(), "run make test-programs first"
    port, source = free_port(), payload(MB)
    words = [str(SERVICE)] + (["r"] if streams == "own" else [])
    if superserver == "inetd":
        user = pwd.getpwuid(os.geteuid()).pw_name
        config = app.directory / "inetd.conf"
        config.write_text(f"127.0.0.1:{port} stream tcp nowait {user} {SERVICE}"
                          f" {' '.join(words)}\n")
        # -E: inetd would take LD_PRELOAD, and most else, out of its services' environment.
        app.start("inetd", "-E", "-i", config, port=port)
    else:
        app.start("socat", f"TCP-LISTEN:{port},bind=127.0.0.1,fork",
                  f"EXEC:{' '.join(words)},nofork", port=port)
    with app.carries(2 * 2 * MB, connections=2):
        for _ in range(2):
            greeting = app.run(PYTHON, HERE / "inetd_client.py", port, source)
            assert greeting.decode() == f"220 {streams} streams\r\n"
