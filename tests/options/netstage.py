# SPDX-License-Identifier: BSD-3-Clause
"""Programs under the shim, the native peers that they talk to, and what crosses the wire."""

import contextlib
import socket

import kernel
from native import Native
from puppet import Puppet
from twohosts import Hosts


class Stage:
    """A place for programs under the shim and the native peers that they talk to."""

    def __init__(self, library, environment, directory):
        self.environment = {**environment, "LD_PRELOAD": str(library)}
        self.directory = directory
        self.programs = []
        self.peers = []                     # kept: a socket that nobody holds is closed

    def program(self, **options):
        """A Python under the shim with these options; see puppet.Puppet."""
        settings = {f"SCTPSHIM_{name}": str(value) for name, value in options.items()}
        self.programs.append(Puppet({**self.environment, **settings}))
        return self.programs[-1]

    def seen(self, program, name="s"):
        """The program's socket of that name, as the kernel has it."""
        return kernel.socket_of(program("os.getpid()"), program(f"{name}.fileno()"))

    def fresh(self, family="AF_INET", **options):
        """A program's socket with no more than a name: one without has no parameters yet."""
        program = self.program(**options)
        assert program(f"s = socket.socket(socket.{family}); s.bind(('', 0))") is None
        return self.seen(program)

    def connected(self, indication=0, prepare=None, **options):
        """A program connected as `s`, its socket in the kernel's eyes, and the native peer."""
        listener = Native(indication)
        if prepare:
            prepare(listener.sock)
        address = listener.listen()
        program = self.program(**options)
        assert program(f"s = socket.create_connection({address}, 5)") is None
        peer = listener.accept()
        listener.close()
        self.peers.append(peer)
        return program, self.seen(program), peer

    @contextlib.contextmanager
    def hosts(self):
        """Two hosts with two links: tests/net/twohosts.py."""
        pair = Hosts({name: value for name, value in self.environment.items()
                      if name != "LD_PRELOAD"})
        try:
            yield pair
        finally:
            pair.remove()

    def stop(self):
        """End all programs."""
        for program in self.programs:
            program.stop()


@contextlib.contextmanager
def packets(ethertype=3):
    """A function: the Ethernet frames that crossed `lo` since the block began."""
    with socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(ethertype)) as sniffer:
        sniffer.bind(("lo", ethertype))
        sniffer.settimeout(0.3)

        def frames():
            found = []
            with contextlib.suppress(TimeoutError):
                while True:
                    found.append(sniffer.recv(65536))
            return found
        yield frames
