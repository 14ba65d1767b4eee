# SPDX-License-Identifier: BSD-3-Clause
"""What a script has done to the two ends of each connection, by what TCP showed: the facts on which
it depends whether a difference is an accepted one."""

import math
import re

SLOT = re.compile(r"([cs]\d)(\.\d)?")
SENDS = ("send", "sendall", "pump")
UNKNOWN = math.inf         # bytes: how many is left to TCP


def peer_of(end):
    return ("s" if end[0] == "c" else "c") + end[1]


class Step:
    """One line: who does what to which ends."""

    def __init__(self, line):
        self.words = line.split()
        self.role, self.verb = self.words[0], self.words[1].lstrip("!")
        self.begins = self.words[1].startswith("!")
        matches = [SLOT.fullmatch(word) for word in self.words[2:]]
        self.ends = [match[1] for match in matches if match]
        self.end = self.ends[0] if self.ends else None
        self.flags = set(self.words[-1].split("+"))
        self.drops_listener = (self.verb in ("close", "shutdown")
                               and self.words[2].startswith("l"))


def bits(text):
    return set() if text in ("-", "nothing") else set(text.split("+"))


def events(text):
    """What epoll_wait() showed: {slot: bits}."""
    return {} if text == "nothing" else {
        slot: bits(shown) for slot, shown in (item.split(":") for item in text.split())}


class Story:
    """The facts before and with step INDEX."""

    def __init__(self, lines, tcp):
        self.tcp = tcp
        self.steps = [Step(line) for line in lines]
        waiting = {}
        for step in self.steps:        # a join is about what was begun
            if step.begins:
                waiting[step.role] = step
            elif step.verb == "join" and step.role in waiting:
                step.ends, step.end = waiting[step.role].ends, waiting[step.role].end
                step.joined = waiting[step.role]

    def before(self, index):
        return list(zip(self.steps, self.tcp))[:index + 1]

    def shut_at(self, end, how, index):
        """Since when the end has shut that direction down itself: a step's index, or None."""
        for at, (step, _) in enumerate(self.before(index)):
            if step.verb == "shutdown" and step.end == end and how in (
                    ("RD", "WR") if step.words[3] == "RDWR" else (step.words[3],)):
                return at
        return None

    def shut_unconnected(self, end, index):
        """Whether the end was told to shut down writing when it was not connected yet."""
        return any(step.verb == "shutdown" and step.end == end and shown == "ENOTCONN"
                   and step.words[3] != "RD" for step, shown in self.before(index))

    def both_shut_at(self, end, index):
        shut = [self.shut_at(end, how, index) for how in ("RD", "WR")]
        return None if None in shut else max(shut)

    def acted(self, end, since, index):
        """Whether the end sent or ended something after step SINCE, or may have been closed."""
        return any(at > since and (
            (step.verb in SENDS + ("shutdown", "close", "dup2") and step.end == end)
            or step.verb in ("exit", "kill") or step.drops_listener)
                   for at, (step, _) in enumerate(self.before(index)))

    def comes_later(self, end, since, index):
        """Whether the end acted after step SINCE, or had more to send than the buffers took."""
        return (self.acted(end, since, index)
                or self.unread(peer_of(end), since) >= UNKNOWN)

    def closed(self, end, index):
        """Whether a descriptor of the end has gone, or the listener that it came from."""
        return any((step.verb in ("close", "dup2") and step.end == end) or step.drops_listener
                   or step.verb in ("exit", "kill") for step, _ in self.before(index))

    def ended(self, end, index):
        """Whether the end has done what ends its direction."""
        return self.shut_at(end, "WR", index) is not None or self.closed(end, index)

    def unread(self, end, index):
        """The bytes that wait at the end to be read, before step INDEX."""
        count = 0
        for step, shown in self.before(index - 1):
            if step.verb in SENDS and step.end == peer_of(end):
                words = step.words[4:5] if step.verb != "pump" else ["0"]
                count += UNKNOWN if "part" in shown else int(words[0]) if "all" in shown else 0
            reading = getattr(step, "joined", step)
            if step.begins or step.end != end and step.verb != "pump":
                continue
            if reading.verb == "drain":
                count = count if "early" in shown else 0  # it may have been shut down for reading
            elif step.verb == "pump" and end in step.ends[1:]:
                count = 0
            elif reading.verb == "recv" and "PEEK" not in reading.flags:
                got = re.search(r"(\d+)$", shown)
                count = max(0, count - int(got[1])) if got else count
        return count

    def by_edges(self, end, index):
        """Whether an epoll was asked for the end's edges."""
        return any(step.verb in ("epadd", "epmod") and step.end == end and "ET" in step.flags
                   for step, _ in self.before(index))

    def sent(self, end, index):
        """Whether the end has sent anything."""
        return any(step.verb in SENDS and step.end == end for step, _ in self.before(index))

    def overfilled(self, end, index):
        """Whether the end has had more to send than the buffers took."""
        return any(step.verb in SENDS and step.end == end and "part" in shown
                   for step, shown in self.before(index))

    def unaccepted(self, end, index):
        """Whether the connection was dropped with its listener, in a way that close() cannot see."""
        steps = [step for step, _ in self.before(index)]
        shared = any(step.verb in ("fork", "exec", "exit", "kill", "dup", "dup2", "dupfd", "pass")
                     for step in steps)
        accepted = any(step.verb == "accept" and step.end == "s" + end[1] for step in steps)
        return shared and not accepted and any(
            step.drops_listener or step.verb in ("exit", "kill") for step in steps)

    def waited(self, end, index):
        """The steps while the end's connection waited to be accepted."""
        begin = next((at for at, (step, _) in enumerate(self.before(index))
                      if step.verb == "connect" and step.end == peer_of(end)), None)
        done = self.accepted_at(end, index)
        return [] if None in (begin, done) else self.steps[begin:done]

    def accepted_at(self, end, index):
        """The step whose accept() made the end; None: none yet."""
        return next((at for at, (step, shown) in enumerate(self.before(index))
                     if getattr(step, "joined", step).verb == "accept" and step.end == end
                     and shown.startswith("length")), None)

    def crowded(self, end, index):
        """Whether another was sent all that buffers take while it waited, as the end did, to be
        accepted."""
        done = self.accepted_at(end, index)
        return done is not None and any(
            step.verb in SENDS and "part" in shown and step.end[0] == "c" and step.end != peer_of(end)
            and self.accepted_at(peer_of(step.end), at) is None
            for at, (step, shown) in enumerate(self.before(done)))

    def gone_before_accept(self, end, index):
        """Whether the end was accepted when its peer had been closed."""
        return end[0] == "s" and any(
            step.verb == "accept" and step.end == end and self.closed(peer_of(end), at)
            for at, (step, _) in enumerate(self.before(index)))

    def taken_back(self, end, index):
        """Whether a connect() took back what was left of the connection."""
        return any(step.verb == "connect" and step.end == end
                   and shown in ("ECONNABORTED", "ECONNRESET", "EPIPE")
                   for step, shown in self.before(index))

    def killed_unread(self, end, index):
        """Whether a process was killed after the end's half-close, which nobody had been told of."""
        since = self.shut_at(end, "WR", index)
        after = [] if since is None else self.before(index)[since + 1:]
        return (any(step.verb == "kill" for step, _ in after) and not any(
            step.verb in ("recv", "drain") and step.end == peer_of(end)
            and (shown == "0" or "end of file" in shown) for step, shown in after))

    def closed_shared(self, end, index):
        """Whether the end was closed with data unread before its peer's half-close, by a process that
        another may share it with."""
        since = self.shut_at(peer_of(end), "WR", index)
        steps = [step for step, _ in self.before(index)]
        return (since is not None
                and any(step.verb in ("fork", "exec", "pass") for step in steps)
                and any(at > since and step.verb in ("close", "dup2") and step.end == end
                        and self.unread(end, at) > 0 for at, step in enumerate(steps)))

    def named(self, end, index):
        """Whether the end was asked for a name of its connection before step INDEX."""
        return any(step.verb in ("getsockname", "getpeername") and step.end == end
                   for step, _ in self.before(index - 1))

    def moved(self, end, index):
        """Whether the end has been held by more than the process that made it."""
        return any((step.verb == "pass" and step.end == end) or step.verb in ("fork", "exec")
                   for step, _ in self.before(index))
