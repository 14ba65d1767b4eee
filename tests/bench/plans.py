# SPDX-License-Identifier: BSD-3-Clause
"""How much is measured: a few minutes' worth, everything, or just enough to see the report work."""

from dataclasses import dataclass, replace

from stage import Network

LOOPBACK, VETH, JUMBO = Network(), Network(1500), Network(9000)
LOSSY = Network(1500, 10, 1)


@dataclass(frozen=True)
class Plan:
    """Rounds, and what is measured in each; an empty tuple leaves a case out."""
    rounds: int
    bulk: tuple                           # networks without netem
    sizes: tuple                          # of writes, bytes
    bulk_ms: int
    impaired: tuple                       # networks with netem
    impaired_size: int
    impaired_ms: int
    requests: tuple                       # networks
    kinds: tuple                          # (request, reply), bytes
    count: int                            # of requests, without netem
    lossy_count: int
    churn: int                            # connections
    idle: int
    busy: int
    busy_ms: int
    hooks: tuple                          # (rounds, calls) of hookcost
    starts: int
    left: tuple                           # (rounds, connections)
    userspace: bool = True

    def emulated(self):
        """The same for a machine in software, which in so short a time hardly sends anything."""
        return replace(self, bulk_ms=4 * self.bulk_ms, busy_ms=4 * self.busy_ms)


QUICK = Plan(rounds=5, bulk=(LOOPBACK, VETH), sizes=(1024, 65536, 131072), bulk_ms=250,
             impaired=(), impaired_size=65536, impaired_ms=0,
             requests=(LOOPBACK, LOSSY), kinds=((64, 64),), count=500, lossy_count=100,
             churn=50, idle=200, busy=20, busy_ms=250, hooks=(60, 3000), starts=60,
             left=(20, 1000))
FULL = Plan(rounds=5, bulk=(LOOPBACK, VETH, JUMBO),
            sizes=(64, 1024, 4096, 16384, 65536, 131072, 262144, 1 << 20), bulk_ms=400,
            impaired=(Network(1500, 0, 0.1), Network(1500, 0, 1), Network(1500, 10, 0),
                      Network(1500, 10, 0.1), LOSSY, Network(1500, 50, 0), Network(1500, 50, 0.1),
                      Network(1500, 50, 1)),
            impaired_size=65536, impaired_ms=2500,
            requests=(LOOPBACK, VETH, LOSSY), kinds=((64, 64), (100, 20480)), count=2000,
            lossy_count=400, churn=200, idle=1000, busy=100, busy_ms=1000, hooks=(200, 5000),
            starts=300, left=(40, 3000))
TINY = Plan(rounds=1, bulk=(LOOPBACK,), sizes=(65536,), bulk_ms=20, impaired=(), impaired_size=65536,
            impaired_ms=0, requests=(LOOPBACK,), kinds=((64, 64),), count=10, lossy_count=10,
            churn=3, idle=10, busy=3, busy_ms=20, hooks=(3, 100), starts=3, left=(3, 50))
PLANS = {"quick": QUICK, "full": FULL, "tiny": TINY}
