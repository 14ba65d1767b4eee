# SPDX-License-Identifier: BSD-3-Clause
"""Where the load runs: one host, or two with a link between them, in namespaces of their own."""

import contextlib
import json
import os
import signal
import subprocess
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from hosts import Host
from variants import ROOT

LIMIT = 120
FIRST_PORT = 5001
TCP_LISTEN, SCTP_LISTEN = "0A", 10


@dataclass(frozen=True)
class Network:
    """A path: loopback (mtu 0) or a veth pair, with what netem does to it."""
    mtu: int = 0
    rtt_ms: float = 0
    loss: float = 0                       # per cent, of packets each way

    @property
    def name(self):
        """As a label says it."""
        parts = [f"veth {self.mtu}" if self.mtu else "loopback"]
        if self.rtt_ms:
            parts.append(f"{self.rtt_ms:g} ms")
        if self.loss:
            parts.append(f"{self.loss:g} % loss")
        return ", ".join(parts)

    @property
    def address(self):
        """Where servers listen."""
        return "10.9.0.2" if self.mtu else "127.0.0.1"


class Stage:
    """The hosts of one path, with a server of each variant on one of them."""

    def __init__(self, network, variants, directory, server="serve"):
        self.network, self.variants, self._server = network, variants, server
        self._directory = Path(directory)
        self.hosts, self._servers, self._ports = [], [], {}

    def set_up(self):
        """Namespaces, link, servers."""
        environment = {**os.environ}
        server = self._host("server", environment)
        client = server
        if self.network.mtu:
            client = self._host("client", environment, beside=server)
            self._link(client, server)
        for number, variant in enumerate(self.variants):
            self._ports[variant.name] = FIRST_PORT + number
            self._serve(variant, server)
        self._client = client

    def ports_come_back_at_once(self):
        """Of thousands of TCP connections a second; some run out within a minute otherwise."""
        for host in self.hosts:
            host.plain("sh", "-c", "cd /proc/sys/net/ipv4 && echo 1 >tcp_tw_reuse && "
                       "echo 1024 65535 >ip_local_port_range")

    def _host(self, name, environment, beside=None):
        host = Host(self._directory / name, ROOT, environment, beside)
        self.hosts.append(host)
        return host

    def _link(self, client, server):
        client.plain("ip", "link", "add", "b1", "type", "veth", "peer", "name", "b2", "netns",
                     str(server.keeper.pid))
        for host, link, address in ((client, "b1", "10.9.0.1"), (server, "b2", "10.9.0.2")):
            host.plain("ip", "address", "add", f"{address}/24", "dev", link)
            host.plain("ip", "link", "set", link, "mtu", str(self.network.mtu), "up")
        # All of the delay lies on the way of the data: a coarse clock rounds it once.
        for host, link, delay in ((client, "b1", self.network.rtt_ms), (server, "b2", 0)):
            if delay or self.network.loss:
                host.plain("tc", "qdisc", "add", "dev", link, "root", "netem", "limit", "100000",
                           "delay", f"{delay}ms", "loss", f"{self.network.loss}%")

    def _serve(self, variant, host):
        port = self._ports[variant.name]
        log = self._directory / f"{variant.name}.log"
        with open(log, "wb") as sink:
            process = subprocess.Popen(
                [*host.entry, *variant.command(self._server, self.network.address, port)],
                env=self._settings(variant, host), stdin=subprocess.DEVNULL, stdout=sink,
                stderr=sink, start_new_session=True)
        self._servers.append(process)
        end = time.monotonic() + 30
        while not self._listens(process.pid, variant.protocol, port):
            if process.poll() is not None or time.monotonic() > end:
                raise RuntimeError(f"the server of {variant.name} does not listen: "
                                   f"{log.read_text(errors='replace')}")
            time.sleep(0.05)

    @staticmethod
    def _settings(variant, host):
        return {**variant.settings(), "XDG_RUNTIME_DIR": str(host.home)}

    @staticmethod
    def _listens(pid, protocol, port):
        names = ("sctp/eps",) if protocol == "sctp" else ("tcp", "tcp6")
        for name in names:
            path = Path(f"/proc/{pid}/net/{name}")
            rows = [line.split() for line in path.read_text().splitlines()[1:]]
            for row in rows:
                if protocol == "sctp" and int(row[3]) == SCTP_LISTEN and int(row[5]) == port:
                    return True
                if protocol == "tcp" and row[3] == TCP_LISTEN and \
                        int(row[1].rpartition(":")[2], 16) == port:
                    return True
        return False

    def load(self, variant, mode, *words, limit=LIMIT):
        """One client's report, as the load program prints it."""
        command = [*self._client.entry,
                   *variant.command(mode, self.network.address, self._ports[variant.name], *words)]
        done = subprocess.run(command, env=self._settings(variant, self._client), text=True,
                              capture_output=True, timeout=limit, check=False)
        if done.returncode:
            raise RuntimeError(f"{mode} {words} over {variant.name}, {self.network.name}: "
                               f"{done.stdout}{done.stderr}")
        return json.loads(done.stdout)

    def memory(self, variant):
        """What that variant's server has of memory, bytes."""
        process = self._servers[[v.name for v in self.variants].index(variant.name)]
        pages = int(Path(f"/proc/{process.pid}/statm").read_text().split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE")

    def tear_down(self):
        """End everything."""
        for process in self._servers:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
        for host in self.hosts:
            host.end()


@contextlib.contextmanager
def stage(network, variants, server="serve"):
    """A Stage, set up, for the length of a block."""
    with tempfile.TemporaryDirectory(prefix="sctpshim-bench.") as directory:
        place = Stage(network, variants, directory, server)
        try:
            place.set_up()
            yield place
        finally:
            place.tear_down()
