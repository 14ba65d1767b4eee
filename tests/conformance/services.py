# SPDX-License-Identifier: BSD-3-Clause
"""Programs that get connections as descriptors of their choice, as inetd's services do."""

import os

TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
PROGRAMS = os.path.join(TOP, "build", "tests", "build")
FACTS = 3                          # where tests/build/service.c tells what is not for the peer
SOCKET = 4


class Service:
    """A program of tests/build (`make test-programs`) running on DESCRIPTORS, {number: fd}."""

    def __init__(self, name, *args, descriptors):
        source, sink = os.pipe()
        self._facts = os.fdopen(source, encoding="utf-8")
        numbers = {0: os.open("/dev/null", os.O_RDONLY), 2: 2, **descriptors, FACTS: sink}
        path = name if "/" in name else os.path.join(PROGRAMS, name)
        copies = {number: os.dup(fd if isinstance(fd, int) else fd.fileno())
                  for number, fd in numbers.items()}
        actions = [(os.POSIX_SPAWN_DUP2, fd, 100 + number) for number, fd in copies.items()]
        for number in numbers:
            actions += [(os.POSIX_SPAWN_DUP2, 100 + number, number),
                        (os.POSIX_SPAWN_CLOSE, 100 + number)]
        self.pid = os.posix_spawn(path, [path, *args], os.environ, file_actions=actions)
        for fd in (*copies.values(), numbers[0] if 0 not in descriptors else -1, sink):
            if fd >= 0:
                os.close(fd)

    def fact(self):
        """The next line of what it has to tell."""
        return self._facts.readline().rstrip("\n")

    def facts(self):
        """What it had to tell, line by line, when all who could tell more are gone."""
        with self._facts:
            return self._facts.read().splitlines()

    def status(self):
        """How it ended."""
        return os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])

    def observe(self, t):
        """Record what it had to tell and how it ended."""
        t("facts", self.facts())
        t("status", self.status())


def inetd(server, *args, name="service", errors=False):
    """A service with the connection as stdin and stdout, and stderr too with ERRORS; the parent's
    descriptor is closed."""
    descriptors = {0: server, 1: server}
    if errors:
        descriptors[2] = server
    service = Service(name, *args, descriptors=descriptors)
    server.close()
    return service
