#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
"""multiprocessing over AF_INET: messages between two programs, and objects that are served.

    processes.py listener PORT | processes.py connect PORT FILE
    processes.py manager PORT  | processes.py workers PORT FILE
"""

import hashlib
import multiprocessing
import queue
import sys
from multiprocessing.connection import Client, Listener
from multiprocessing.managers import BaseManager, DictProxy
from pathlib import Path

KEY, WORKERS = b"a secret", 4
JOBS, RESULTS = queue.Queue(), {}


class Manager(BaseManager):
    """Serves one queue and one dictionary."""


def listener(port):
    """Answer each message with itself reversed, and with what was read of it."""
    with Listener(("127.0.0.1", port), authkey=KEY) as server:
        while True:
            with server.accept() as connection:
                while message := connection.recv():
                    connection.send({"checksum": hashlib.sha256(message).hexdigest()})
                    connection.send_bytes(message[::-1])


def connect(port, path):
    """Send small messages and a large one; print the large one's checksum."""
    data = Path(path).read_bytes()
    with Client(("127.0.0.1", port), authkey=KEY) as connection:
        for message in (data[:1], data[:5000], data):
            connection.send(message)
            checksum = connection.recv()["checksum"]
            assert connection.recv_bytes() == message[::-1]
        connection.send(b"")
    print(checksum, end="")


def manager(port):
    """Serve the objects until killed."""
    Manager.register("jobs", callable=lambda: JOBS)
    Manager.register("results", callable=lambda: RESULTS, proxytype=DictProxy)
    Manager(("127.0.0.1", port), authkey=KEY).get_server().serve_forever()


def manager_client(port):
    """A manager that is connected to the server's."""
    Manager.register("jobs")
    Manager.register("results", proxytype=DictProxy)
    connected = Manager(("127.0.0.1", port), authkey=KEY)
    connected.connect()
    return connected


def work(port):
    """One worker process: a job from the queue, its result into the dictionary."""
    connected = manager_client(port)
    number, data = connected.jobs().get(timeout=30)
    connected.results()[number] = hashlib.sha256(data).hexdigest()


def workers(port, path):
    """Hand the file to each of four processes; print what they found."""
    connected = manager_client(port)
    data = Path(path).read_bytes()
    children = [multiprocessing.Process(target=work, args=(port,)) for _ in range(WORKERS)]
    for child in children:
        child.start()
    for number in range(WORKERS):
        connected.jobs().put((number, data))
    for child in children:
        child.join()
        assert child.exitcode == 0
    found = connected.results().copy()
    assert len(set(found.values())) == 1
    print(len(found), "x", found[0], end="")


if __name__ == "__main__":
    role, number, *paths = sys.argv[1:]
    {"listener": listener, "connect": connect, "manager": manager,
     "workers": workers}[role](int(number), *paths)
