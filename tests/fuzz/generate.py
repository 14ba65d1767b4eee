# SPDX-License-Identifier: BSD-3-Clause
"""Random scripts of socket calls for the player: the same seed always makes the same script.

The generator follows a rough model of what TCP does, for two purposes only: to have interesting
things happen (data in both directions, ends of all kinds), and to keep out of the script what TCP
itself leaves to timing (how much of a large write fits, a read that races with a write).  What a
call returns is never taken from the model: TCP says it.
"""

import random

GROUPS = ("shutdown", "reset", "fork", "pass", "exec", "epoll", "block", "bulk", "options",
          "fresh", "nonblock", "dup")
SEND_HOWS = ("write", "writev", "send", "sendto", "sendmsg", "sendmmsg", "sendfile")
FLAGGED = ("send", "sendto", "sendmsg", "sendmmsg", "recv", "recvfrom", "recvmsg", "recvmmsg")
RECV_HOWS = ("read", "readv", "recv", "recvfrom", "recvmsg", "recvmmsg")
GETOPTS = ("SO_ERROR", "SO_TYPE", "SO_PROTOCOL", "SO_DOMAIN", "SO_ACCEPTCONN", "SO_KEEPALIVE",
           "SO_REUSEADDR", "SO_OOBINLINE", "TCP_NODELAY", "TCP_CORK", "TCP_KEEPIDLE",
           "TCP_KEEPINTVL", "TCP_KEEPCNT", "TCP_USER_TIMEOUT", "TCP_SYNCNT", "TCP_LINGER2",
           "TCP_DEFER_ACCEPT")
SETOPTS = {"SO_KEEPALIVE": (0, 1), "SO_REUSEADDR": (0, 1), "SO_OOBINLINE": (0, 1),
           "TCP_KEEPIDLE": (60, 7200), "TCP_KEEPINTVL": (10, 75), "TCP_KEEPCNT": (3, 9),
           "TCP_USER_TIMEOUT": (0, 30000), "TCP_SYNCNT": (2, 6), "TCP_LINGER2": (10, 60)}
QUIET = 32000              # bytes that are on their way at most, so that every buffer takes them
HUGE = 8000000             # bytes that no buffer takes
CONNECTIONS = 3


class End:
    """One end of a connection, or a listener, as the model sees it."""

    def __init__(self, name, home):
        self.name, self.home = name, home
        self.peer = None
        self.holders = set()         # (process, slot)
        self.nonblocking = False
        self.connected = self.closed = self.dead = False
        self.queue = 0               # bytes to be read here
        self.uncertain = False       # how many is left to TCP
        self.ended = False           # the peer will send no more
        self.wr_shut = self.rd_shut = self.lingers = self.connecting = False
        self.watched = set()         # (process, slot) in that process's epoll

    def readable(self):
        """Whether a read returns at once."""
        return (self.queue > 0 or self.uncertain or self.ended or self.dead or self.rd_shut
                or not self.connected)


class Script:
    """A script in the making."""

    def __init__(self, seed, without=()):
        self.random = random.Random(seed)
        self.use = {group: group not in without for group in GROUPS}
        self.lines = []
        self.living = {"A", "B"}
        self.listener = End("l0", "B")
        self.clients, self.servers, self.pending = [], [], []

    # --- choices ---

    def chance(self, share):
        return self.random.random() < share

    def pick(self, items):
        return self.random.choice(sorted(items) if isinstance(items, set) else items)

    def size(self, limit):
        """0 to LIMIT, all orders of magnitude alike."""
        r = self.random
        if r.random() < 0.08:
            return 0
        return min(limit, int(2 ** r.uniform(0, limit.bit_length())))

    def ends(self, *, connected=None):
        """Ends that somebody holds."""
        return [end for end in self.clients + self.servers if end.holders
                and (connected is None or end.connected == connected)]

    def holder(self, end):
        return self.pick(end.holders)

    def emit(self, process, *words):
        self.lines.append(" ".join(str(word) for word in (process, *words)))

    # --- what steps do to the model ---

    def drop(self, end, holder):
        """A descriptor goes away, and with the last one the end."""
        end.holders.discard(holder)
        end.watched.discard(holder)
        if end.holders or end.closed:
            return
        end.closed = True
        peer = end.peer
        if peer is None or not end.connected:
            return
        if end.queue or end.uncertain or end.lingers:
            peer.dead = True
        peer.ended = True

    def would_reset(self, end, leaving):
        """Whether LEAVING, all from END's holders, sends a reset."""
        return end.connected and end.holders <= leaving and (end.queue > 0 or end.uncertain
                                                             or end.lingers)

    def sent(self, end, count):
        if not count or end.wr_shut or end.dead or not end.connected:
            return
        if end.peer is not None and end.peer.closed:
            end.dead = True
        elif end.peer is not None:
            end.peer.queue += count

    # --- steps: each returns False when there is nothing to do it with ---

    def do_socket(self):
        if len(self.clients) >= CONNECTIONS:
            return False
        end = End(f"c{len(self.clients)}", "A")
        end.nonblocking = self.use["nonblock"] and self.chance(0.25)
        end.holders.add(("A", end.name))
        self.clients.append(end)
        self.emit("A", "socket", end.name, *(["NONBLOCK"] if end.nonblocking else []))
        return None

    def do_connect(self):
        free = [end for end in self.ends(connected=False) if end.peer is None
                and end in self.clients]
        if not free or not self.listener.holders:
            return False
        end = self.pick(free)
        process, slot = self.holder(end)
        self.emit(process, "connect", slot, "l0")
        end.connected, end.connecting = True, end.nonblocking
        server = End("s" + end.name[1:], "B")
        end.peer, server.peer = server, end
        server.connected = True
        self.servers.append(server)
        self.pending.append(server)
        return None

    def do_accept(self):
        if not self.pending or not self.listener.holders:
            return False
        process, slot = self.holder(self.listener)
        server = self.pending.pop(0)
        server.nonblocking = self.use["nonblock"] and self.chance(0.25)
        server.holders.add((process, server.name))
        self.emit(process, "accept", slot, server.name,
                  *(["NONBLOCK"] if server.nonblocking else []))
        return None

    def do_reconnect(self):
        """connect() on a socket that is connected or connecting."""
        ends = [end for end in self.ends(connected=True) if end in self.clients]
        if not ends:
            return False
        end = self.pick(ends)
        process, slot = self.holder(end)
        self.emit(process, "connect", slot, "l0")
        return None

    def do_send(self):
        ends = [end for end in self.ends(connected=True)
                if end.peer.queue < QUIET and not end.peer.uncertain]
        if not ends:
            return False
        end = self.pick(ends)
        if end.peer.closed and not end.wr_shut and not end.dead and not self.use["reset"]:
            return False
        process, slot = self.holder(end)
        how, flags = self.pick(SEND_HOWS), []
        if how in FLAGGED:
            flags = [flag for flag in ("DONTWAIT", "NOSIGNAL") if self.chance(0.15)]
        count = self.size(QUIET - end.peer.queue)
        self.emit(process, "send", slot, how, count, *(["+".join(flags)] if flags else []))
        self.sent(end, count)
        return None

    def do_fill(self):
        """A write of which only a part fits."""
        ends = [end for end in self.ends(connected=True) if not end.peer.uncertain
                and not end.peer.closed and not end.dead and not end.wr_shut]
        if not ends or not self.use["bulk"]:
            return False
        end = self.pick(ends)
        process, slot = self.holder(end)
        how = self.pick(SEND_HOWS if end.nonblocking else ("send", "sendto", "sendmsg"))
        if how == "sendmmsg":                           # three messages: the second may fit too
            how = "sendmsg"
        self.emit(process, "send", slot, how, HUGE,
                  *(["DONTWAIT"] if how in FLAGGED and not end.nonblocking else []))
        end.peer.uncertain = True
        return None

    def do_pump(self):
        ends = [end for end in self.ends(connected=True) if end.peer.holders and not end.dead
                and not end.wr_shut and not end.rd_shut and not end.peer.rd_shut
                and not end.peer.dead and not end.peer.ended]
        if not ends or not self.use["bulk"]:
            return False
        end = self.pick(ends)
        sender, slot = self.holder(end)
        others = {holder for holder in end.peer.holders if holder[0] != sender}
        if not others:
            return False
        reader, other = self.pick(others)
        self.emit(sender, "pump", slot, self.pick(SEND_HOWS), self.size(3000000), reader, other,
                  self.pick(RECV_HOWS[:5]), self.pick((1000, 8192, 65536, 262144)))
        end.peer.queue, end.peer.uncertain = 0, False
        return None

    def do_recv(self):
        ends = self.ends(connected=True)
        if not ends:
            return False
        end = self.pick(ends)
        process, slot = self.holder(end)
        how, flags = self.pick(RECV_HOWS), []
        count = self.size(1000 if end.uncertain else max(20, 2 * end.queue))
        if how in FLAGGED:
            flags = [flag for flag, share in (("PEEK", 0.2), ("DONTWAIT", 0.3), ("WAITALL", 0.15),
                                              ("TRUNC", 0.05)) if self.chance(share)]
        if "PEEK" in flags or how == "recvmmsg":
            flags = [flag for flag in flags if flag != "TRUNC"]
        if not end.nonblocking and "DONTWAIT" not in flags:
            if not end.readable():
                if how not in FLAGGED:
                    return False
                flags.append("DONTWAIT")
            elif ("WAITALL" in flags or how == "recvmmsg") and not (
                    end.queue >= count or end.uncertain or end.ended or end.dead or end.rd_shut):
                flags = [flag for flag in flags if flag != "WAITALL"] + ["DONTWAIT"]
        self.emit(process, "recv", slot, how, count, *(["+".join(flags)] if flags else []))
        if "PEEK" not in flags:
            end.queue = max(0, end.queue - count)
        return None

    def do_drain(self):
        ends = [end for end in self.ends(connected=True) if end.queue or end.uncertain]
        if not ends:
            return False
        end = self.pick(ends)
        process, slot = self.holder(end)
        self.emit(process, "drain", slot, self.pick(RECV_HOWS[:5]),
                  self.pick((100, 1000, 65536)) if not end.uncertain else 65536)
        end.queue, end.uncertain = 0, False
        return None

    def all_ends(self):
        ends = self.ends(connected=None if self.use["fresh"] else True)
        return ends + ([self.listener] if self.listener.holders and self.chance(0.1) else [])

    def do_look(self):
        """A call that changes nothing."""
        ends = self.all_ends()
        if not ends:
            return False
        end = self.pick(ends)
        process, slot = self.holder(end)
        full = end.peer is not None and end.peer.uncertain
        verb = self.pick(("poll", "poll", "select", "fionread", "getpeername", "getsockname",
                          "getopt", "getopt"))
        if verb == "poll":
            self.emit(process, verb, slot, "IN+RDHUP" if full else
                      self.pick(("IN", "IN+OUT", "OUT", "IN+OUT+RDHUP+PRI", "RDHUP")), 0)
        elif verb == "select" and (full or not end.connected):
            return False
        elif verb == "fionread" and end.uncertain:
            return False
        elif verb == "getopt":
            if not self.use["options"]:
                return False
            self.emit(process, verb, slot, self.pick(GETOPTS[:3] * 3 + GETOPTS))
        else:
            self.emit(process, verb, slot)
        return None

    def do_setopt(self):
        ends = self.all_ends()
        if not ends or not self.use["options"]:
            return False
        process, slot = self.holder(self.pick(ends))
        name = self.pick(sorted(SETOPTS))
        self.emit(process, "setopt", slot, name, self.pick(SETOPTS[name]))
        return None

    def do_unconnected(self):
        """What is done with a socket before it is connected."""
        ends = [end for end in self.ends(connected=False) if end.peer is None]
        if not ends or not self.use["fresh"]:
            return False
        process, slot = self.holder(self.pick(ends))
        self.emit(process, *self.pick((("send", slot, "write", 10), ("recv", slot, "recv", 10),
                                       ("recv", slot, "read", 0), ("send", slot, "sendmsg", 0),
                                       ("getpeername", slot), ("poll", slot, "IN+OUT", 0),
                                       ("recv", slot, "recv", 5, "DONTWAIT"),
                                       ("getopt", slot, "SO_ERROR"),
                                       *([("shutdown", slot, "WR")] if self.use["shutdown"]
                                         else []))))
        return None

    def do_nonblock(self):
        ends = self.ends()
        if not ends or not self.use["nonblock"]:
            return False
        end = self.pick(ends)
        process, slot = self.holder(end)
        end.nonblocking = not end.nonblocking
        self.emit(process, "nonblock", slot, int(end.nonblocking))
        return None

    def do_epoll(self):
        if not self.use["epoll"]:
            return False
        watched = [(end, holder) for end in self.ends() for holder in end.watched]
        ends = self.ends(connected=True)
        if watched and self.chance(0.6):
            end, (process, slot) = self.pick(sorted(watched, key=lambda item: item[1]))
            if self.chance(0.75):
                if any(other.peer.uncertain for other in self.ends(connected=True)
                       if any(who == process for who, _ in other.watched)):
                    return False                 # whether it is writable is left to timing
                self.emit(process, "epwait", 0)
            else:
                self.emit(process, "epmod", slot, self.epoll_bits(end))
            return None
        if not ends:
            return False
        end = self.pick(ends)
        process, slot = self.holder(end)
        if (process, slot) in end.watched:
            end.watched.discard((process, slot))
            self.emit(process, "epdel", slot)
        else:
            end.watched.add((process, slot))
            self.emit(process, "epadd", slot, self.epoll_bits(end))
        return None

    def epoll_bits(self, end):
        bits = ["IN"] + [bit for bit, share in (("OUT", 0.5), ("RDHUP", 0.5), ("ET", 0.6),
                                                ("ONESHOT", 0.1)) if self.chance(share)]
        return "+".join(bits)

    def free_copy(self, end, process):
        """A name for another descriptor of END in PROCESS; None when it has enough."""
        used = {slot for who, slot in end.holders if who == process}
        free = [slot for slot in [end.name] + [f"{end.name}.{i}" for i in (1, 2)]
                if slot not in used]
        return free[0] if free else None

    def do_dup(self):
        ends = self.all_ends()
        if not ends or not self.use["dup"]:
            return False
        end = self.pick(ends)
        process, slot = self.holder(end)
        verb = self.pick(("dup", "dup2", "dupfd"))
        if verb == "dup2" and self.chance(0.5):          # over a descriptor that is open
            to = self.pick({held for who, held in end.holders if who == process})
            if to != slot:
                end.watched.discard((process, to))
        else:
            to = self.free_copy(end, process)
        if to is None:
            return False
        self.emit(process, verb, slot, to)
        end.holders.add((process, to))
        return None

    def do_fork(self):
        if not self.use["fork"]:
            return False
        pairs = [(parent, child) for parent, child in (("A", "C"), ("B", "D"))
                 if parent in self.living and child not in self.living]
        if not pairs:
            return False
        parent, child = self.pick(pairs)
        self.emit(parent, "fork", child)
        self.living.add(child)
        for end in self.ends() + [self.listener]:
            for process, slot in sorted(end.holders):
                if process == parent:
                    end.holders.add((child, slot))
        return None

    def do_exec(self):
        if not self.use["exec"]:
            return False
        process = self.pick(self.living)
        self.emit(process, "exec")
        for end in self.ends():
            end.watched = {holder for holder in end.watched if holder[0] != process}
        return None

    def do_pass(self):
        ends = self.ends()
        if not ends or not self.use["pass"]:
            return False
        end = self.pick(ends)
        process, slot = self.holder(end)
        others = self.living - {process}
        if not others:
            return False
        to = self.pick(others)
        name = self.free_copy(end, to)
        if name is None:
            return False
        self.emit(process, "pass", slot, to, name)
        end.holders.add((to, name))
        return None

    def do_leave(self):
        """A forked process, or one whose work another can do, ends."""
        process = self.pick(self.living)
        if len(self.living) < 3:
            return False
        leaving = {holder for end in self.ends() for holder in end.holders
                   if holder[0] == process}
        if any(self.would_reset(end, leaving) for end in self.ends()) and not self.use["reset"]:
            return False
        if (self.listener.holders and self.pending and not self.use["reset"]
                and {who for who, _ in self.listener.holders} == {process}):
            return False
        self.emit(process, self.pick(("exit", "kill")))
        self.living.discard(process)
        for end in self.ends() + [self.listener]:
            for holder in sorted(end.holders):
                if holder[0] == process:
                    self.drop(end, holder)
        self.abandon()
        return None

    def abandon(self):
        """The listener may have gone with connections that nobody has accepted."""
        if self.listener.closed:
            for server in self.pending:
                server.closed = server.peer.dead = True
            self.pending = []

    def do_close(self):
        ends = self.ends()
        if self.listener.holders and self.clients and self.chance(0.2):
            ends = [self.listener]
        if not ends:
            return False
        end = self.pick(ends)
        holder = self.holder(end)
        if not self.use["reset"] and (self.would_reset(end, {holder})
                                      or (end is self.listener and self.pending)):
            return False
        self.emit(holder[0], "close", holder[1])
        self.drop(end, holder)
        self.abandon()
        return None

    def do_linger(self):
        ends = self.ends(connected=True)
        if not ends or not self.use["reset"]:
            return False
        end = self.pick(ends)
        process, slot = self.holder(end)
        end.lingers = not end.lingers
        self.emit(process, "linger", slot, int(end.lingers), 0)
        return None

    def do_shutdown(self):
        ends = self.ends(connected=True)
        if not ends or not self.use["shutdown"]:
            return False
        end = self.pick(ends)
        process, slot = self.holder(end)
        how = self.pick(("WR", "WR", "WR", "RD", "RDWR"))
        self.emit(process, "shutdown", slot, how)
        self.shut(end, how)
        return None

    def shut(self, end, how):
        if "WR" in how:
            end.wr_shut = True
            if end.peer is not None:
                end.peer.ended = True
        if "RD" in how:
            end.rd_shut = True

    def do_block(self):
        """A call that waits, something that ends the wait, and what the call says then."""
        if not self.use["block"]:
            return False
        ends = [end for end in self.ends(connected=True) if not end.readable()
                and not end.nonblocking and end.peer.holders and not end.wr_shut]
        if not ends:
            return self.block_accept()
        end = self.pick(ends)
        process, slot = self.holder(end)
        others = {holder for holder in end.peer.holders if holder[0] != process}
        if not others or end.peer.wr_shut:
            return False
        other, there = self.pick(others)
        count = self.size(5000)
        self.emit(process, *self.pick((("!recv", slot, self.pick(RECV_HOWS[:5]), max(count, 1)),
                                       ("!recv", slot, self.pick(RECV_HOWS[:5]), max(count, 1)),
                                       ("!poll", slot, "IN+RDHUP", -1))))
        waits_to_read = "recv" in self.lines[-1]
        wake = self.random.random()
        if wake < 0.6 or not self.use["shutdown"]:
            sent = max(1, self.size(5000))
            self.emit(other, "send", there, self.pick(("write", "send", "sendfile")), sent)
            end.queue += sent
            if waits_to_read:
                end.queue = max(0, end.queue - max(count, 1))
        elif wake < 0.8:
            self.emit(other, "shutdown", there, "WR")
            self.shut(end.peer, "WR")
        else:
            sharers = {holder for holder in end.holders if holder[0] != process}
            if sharers:
                sharer, here = self.pick(sharers)
                self.emit(sharer, "shutdown", here, "RD")
                self.shut(end, "RD")
            else:
                self.emit(other, "shutdown", there, "RDWR")
                self.shut(end.peer, "RDWR")
        self.emit(process, "join")
        return None

    def block_accept(self):
        free = [end for end in self.ends(connected=False) if end.peer is None]
        if self.pending or not free or not self.listener.holders:
            return False
        process, slot = self.holder(self.listener)
        end = self.pick(free)
        callers = {holder for holder in end.holders if holder[0] != process}
        if not callers:
            return False
        caller, here = self.pick(callers)
        server = End("s" + end.name[1:], "B")
        server.connected = end.connected = True
        server.peer, end.peer = end, server
        server.holders.add((process, server.name))
        self.servers.append(server)
        self.emit(process, "!accept", slot, server.name)
        self.emit(caller, "connect", here, "l0")
        self.emit(process, "join")
        return None

    ACTIONS = (("socket", 3), ("connect", 12), ("accept", 12), ("reconnect", 1), ("send", 14),
               ("fill", 1), ("pump", 2), ("recv", 16), ("drain", 3), ("look", 14), ("setopt", 2),
               ("unconnected", 1), ("nonblock", 2), ("epoll", 8), ("dup", 3), ("fork", 2),
               ("exec", 0.6), ("pass", 2), ("leave", 1), ("close", 3), ("linger", 1),
               ("shutdown", 6), ("block", 4))

    def build(self):
        """The lines of a whole script."""
        self.emit("B", "listen", "l0", 8)
        self.listener.holders.add(("B", "l0"))
        self.do_socket()
        names = [name for name, _ in self.ACTIONS]
        # Each script likes some things more than others, so that deep states are reached too.
        weights = [weight * self.random.choice((0.3, 1, 1, 3)) for _, weight in self.ACTIONS]
        length = self.random.randint(8, 40)
        for _ in range(length * 4):
            if len(self.lines) >= length:
                break
            action = self.random.choices(names, weights)[0]
            getattr(self, "do_" + action)()
        return self.lines


def generate(seed, without=()):
    """The script of SEED, a list of lines."""
    return Script(seed, without).build()
