# SPDX-License-Identifier: BSD-3-Clause
"""What a service manager does for a socket unit: listens, and starts the service for who comes."""

import os
import select
import socket
import sys

name, count, *command = sys.argv[1:]
listener = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
listener.bind("\0" + name)
listener.listen(64)
print("listens", flush=True)
for _ in range(int(count)):
    select.select([listener], [], [])
    child = os.fork()
    if child == 0:
        os.dup2(listener.fileno(), 3)
        os.set_inheritable(3, True)
        environment = {**os.environ, "LISTEN_PID": str(os.getpid()), "LISTEN_FDS": "1",
                       "LISTEN_FDNAMES": "sctpshimd.socket"}
        os.execve(command[0], command, environment)
    print("started", child, flush=True)
    print("ended", os.waitpid(child, 0)[1], flush=True)
