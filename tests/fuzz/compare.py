# SPDX-License-Identifier: BSD-3-Clause
"""Which differences between TCP and the shim are accepted, step by step, and why.

Each rule is a known difference of tests/conformance/differences.py, or of tests/userspace's, as
narrow as a rule can be.  And what TCP itself leaves to timing is none.
"""

import re

from story import SENDS, UNKNOWN, Story, bits, events, peer_of


class Rule:
    """An accepted difference: EXPLAINS(story, index, end, tcp, shim) says whether it is this one.
    Where it DIVERGES the connection is in another state from then on: it is compared no more."""

    def __init__(self, name, explains, diverges=False):
        self.name, self.explains, self.diverges = name, explains, diverges


def peeked(story, index, end, tcp, shim):
    """The shim peeked at less, but at something, and at nothing else."""
    step = story.steps[index]
    if step.verb != "recv" or "PEEK" not in step.flags:
        return False
    seen = [re.fullmatch(r"(\d+ messages [\d ]+ sum )?(\d+)", text) for text in (tcp, shim)]
    return all(seen) and 0 < int(seen[1][2]) <= int(seen[0][2])


def counted_otherwise(story, index, end, tcp, shim):
    return (story.steps[index].verb == "fionread" and tcp.isdigit() and shim.isdigit()
            and int(tcp) > 0 and int(shim) > 0)


def readiness(story, index):
    return (story.steps[index].verb in ("poll", "epwait", "select")
            or getattr(story.steps[index], "joined", story.steps[index]).verb == "poll")


def ends_behind_data(story, index, end):
    """The peer has ended its direction by a message that cannot be seen yet."""
    return (end is not None and story.shut_at(peer_of(end), "WR", index) is not None
            and story.unread(end, index) > 0)


def end_is_not_seen(story, index, end, tcp, shim):
    if not ends_behind_data(story, index, end):
        return False
    if readiness(story, index):
        return bits(shim) <= bits(tcp) and bits(tcp) - bits(shim) <= {"RDHUP", "HUP"}
    return ((tcp == "ENOTCONN" and story.steps[index].verb in ("shutdown", "getpeername"))
            or (tcp.startswith("EPIPE") and shim == "ECONNRESET"))


def edge_again(story, index, end, tcp, shim):
    """epoll tells of the end when it has come, and again when it has been read."""
    step = story.steps[index]
    return (step.verb == "epwait" and not bits(tcp) and "IN" in bits(shim)
            and story.ended(peer_of(end), index))


def epoll_ends(story, index, end, tcp, shim):
    """epoll shows that a connection is over, but not every bit of it."""
    return (story.steps[index].verb == "epwait" and bits(shim) and bits(shim) <= bits(tcp)
            and bits(tcp) - bits(shim) <= {"HUP", "ERR", "OUT", "RDHUP"} and "IN" in bits(shim)
            and (bits(tcp) & {"HUP", "ERR"} or story.ended(peer_of(end), index)))


def room_again(story, index, end, tcp, shim):
    """To SCTP there is room again when data was acknowledged, to TCP when there was none before."""
    if end is None or story.steps[index].verb != "epwait":
        return False
    more, there = bits(shim) - bits(tcp), {"OUT"}
    if story.unread(end, index) > 0 or story.ended(peer_of(end), index):
        there.add("IN")
    if story.shut_at(end, "RD", index) is not None:
        there |= {"IN", "RDHUP"}
    return (bits(tcp) < bits(shim) and "OUT" in more and more <= there
            and story.by_edges(end, index) and story.sent(end, index))


def shut_unheard(story, index, end, tcp, shim):
    """A shutdown of its own tells who waits by edges, in TCP, of all that there is once more."""
    return (story.steps[index].verb == "epwait" and bits(shim) < bits(tcp)
            and story.by_edges(end, index) and any(
                story.shut_at(end, how, index) is not None for how in ("RD", "WR")))


def sane(story, index, tcp, shim):
    """Never accepted: bytes that nobody sent, calls that do not come back, writes refused."""
    refused = story.steps[index].verb in SENDS and "all" in tcp
    return "wrong bytes" not in shim and shim not in ("blocks", "(not reached)") and not refused


def dropped_after_shutdown(story, index, end, tcp, shim):
    """An end has shut down reading, and its peer's bytes or end came later."""
    if end is None or not sane(story, index, tcp, shim):
        return False
    for one in (end, peer_of(end)):
        since = story.shut_at(one, "RD", index)
        if since is not None and story.comes_later(peer_of(one), since, index):
            return True
    return False


def ended_for_good(story, index, end, tcp, shim):
    """An end has shut down both directions, and something of one of the two came later."""
    if end is None or not sane(story, index, tcp, shim):
        return False
    for one in (end, peer_of(end)):
        since = story.both_shut_at(one, index)
        if since is not None and (story.comes_later(peer_of(one), since, index)
                                  or story.acted(one, since, index)):
            return True
    return False


def ended_while_full(story, index, end, tcp, shim):
    """The peer has shut down both directions; what resets TCP's end waits in its buffers, and so
    does what it writes."""
    since = None if end is None else story.both_shut_at(peer_of(end), index)
    refused = shim.startswith("EPIPE") or " messages part" in shim
    return (since is not None and story.steps[index].verb in SENDS and refused
            and story.unread(peer_of(end), since) >= UNKNOWN)


def closed_with_data(story, index, end, tcp, shim):
    """The peer has closed, and cannot send all that it had to: what comes resets TCP's end."""
    return (end is not None and story.closed(peer_of(end), index) and sane(story, index, tcp, shim)
            and story.unread(end, index) >= UNKNOWN)


def reset_behind_data(story, index, end, tcp, shim):
    waits = end is not None and (story.unread(end, index) > 0
                                 or story.shut_at(peer_of(end), "WR", index) is not None)
    return (waits and sane(story, index, tcp, shim) and story.gone_before_accept(end, index)
            and (tcp in ("ECONNRESET", "ENOTCONN") or tcp.startswith("EPIPE") or (
                readiness(story, index) and bits(shim) < bits(tcp)
                and bits(tcp) - bits(shim) <= {"ERR", "HUP"})))


def dropped_unaccepted(story, index, end, tcp, shim):
    return (end is not None and end[0] == "c" and sane(story, index, tcp, shim)
            and story.unaccepted(end, index))


def option_set_late(story, index, end, tcp, shim):
    """The listener was told while the connection waited to be accepted."""
    step = story.steps[index]
    return (step.verb == "getopt" and tcp.isdigit() and shim.isdigit() and any(
        other.verb == "setopt" and other.words[2].startswith("l")
        and other.words[3] == step.words[3] for other in story.waited(end, index)))


def thrown_away(story, index, end, tcp, shim):
    """What the end was sent before its accept() found no room beside what others were sent."""
    if end is None or not sane(story, index, tcp, shim) or not story.crowded(end, index):
        return False
    if readiness(story, index):
        return bits(tcp) - bits(shim) <= {"IN", "RDHUP", "HUP"} and bits(shim) < bits(tcp)
    return shim in ("0", "EAGAIN") and story.steps[index].verb in ("fionread", "recv", "drain")


def reset_when_over(story, index, end, tcp, shim):
    """The peer has ended and closed; what the end had sent before its own end, it had no room for."""
    return (end is not None and sane(story, index, tcp, shim) and story.closed(peer_of(end), index)
            and all(story.shut_at(one, "WR", index) is not None for one in (end, peer_of(end)))
            and story.unread(peer_of(end), index) >= UNKNOWN)


def end_behind_window(story, index, end, tcp, shim):
    """An end waits, as a message does, behind what has filled the window."""
    if end is None:
        return False
    waits = [one for one in (end, peer_of(end))
             if story.shut_at(one, "WR", index) is not None and story.overfilled(one, index)]
    if waits and story.steps[index].verb == "shutdown":
        return (tcp, shim) == ("ENOTCONN", "ok")
    if peer_of(end) not in waits:
        return False
    if readiness(story, index):
        return bits(shim) < bits(tcp) and bits(tcp) - bits(shim) <= {"IN", "RDHUP", "HUP"}
    return (story.steps[index].verb == "recv" and shim == "EAGAIN"
            and re.fullmatch(r"0|\d+ messages (0 )+sum 0", tcp) is not None)


def options_of_another(story, index, end, tcp, shim):
    step = story.steps[index]
    return (step.verb == "getopt" and step.words[3].startswith("TCP_") and tcp.isdigit()
            and shim.isdigit() and story.moved(end, index))


def killed_before_end(story, index, end, tcp, shim):
    return (end is not None and sane(story, index, tcp, shim)
            and story.killed_unread(end, index))


def closed_before_end(story, index, end, tcp, shim):
    """Both have ended; the peer has closed without the end's, which resets what is over to TCP."""
    return (end is not None and sane(story, index, tcp, shim)
            and story.shut_at(peer_of(end), "WR", index) is not None
            and story.closed_shared(peer_of(end), index))


def taken_back_by_another(story, index, end, tcp, shim):
    return (end is not None and sane(story, index, tcp, shim) and story.taken_back(end, index)
            and story.moved(end, index))


def shut_before(story, index, end, tcp, shim):
    return end is not None and any(story.shut_unconnected(one, index) for one in (end, peer_of(end)))


def heard_later(story, index, end, tcp, shim):
    """Of several writes the first has reached a peer that hears no more, and says so later."""
    return (end is not None and story.steps[index].verb in SENDS and " part" in tcp
            and shim.endswith("all") and (story.closed(peer_of(end), index)
                                          or story.both_shut_at(peer_of(end), index) is not None))


def ended_on_the_way(story, index, end, tcp, shim):
    """What the end had to send before its direction ends is not its own any more."""
    return (((story.steps[index].verb, tcp) == ("shutdown", "ok")
             or story.steps[index].verb == "getpeername") and shim == "ENOTCONN"
            and (story.shut_at(end, "WR", index) is not None
                 or story.both_shut_at(peer_of(end), index) is not None)
            and story.unread(peer_of(end), index) >= UNKNOWN)


def can_write_too(story, index, tcp, shim):
    """poll() or select() shows the same, and that there is room."""
    verb = story.steps[index].verb
    if verb not in ("poll", "select"):
        return False
    tcp, shim = (bits(text) if verb == "poll" else set(text.split()[1:]) for text in (tcp, shim))
    return tcp < shim and shim - tcp in ({"OUT"}, {"write"})


def room_on_the_way(story, index, end, tcp, shim):
    """What has filled the end's buffer has gone on to the broker, though its peer reads nothing."""
    return (end is not None and story.unread(peer_of(end), index) >= UNKNOWN
            and (room_again(story, index, end, tcp, shim)
                 or can_write_too(story, index, tcp, shim)))


def name_forgotten(story, index, end, tcp, shim):
    """Of a connection that is over, asked for by a process that had no part in it, or never asked."""
    return (story.steps[index].verb == "getsockname" and " port " in tcp and "any port " in shim
            and (story.moved(end, index) or (end[0] == "c" and not story.named(end, index)))
            and story.ended(end, index) and story.ended(peer_of(end), index))


# Of the kernel plane; then those of the userspace plane, by tests/userspace/differences.py.
RULES = (
    Rule("peek.across", peeked),
    Rule("recv.fionread_exact", counted_otherwise),
    Rule("teardown.half_close_early_bits", end_is_not_seen),
    Rule("teardown.half_close_early_bits", end_behind_window),
    Rule("ends.epoll_bits", edge_again),
    Rule("ends.epoll_bits", epoll_ends),
    Rule("ends.epoll_bits", room_again),
    Rule("ends.epoll_bits", shut_unheard),
    Rule("ends.options_passed", options_of_another),
    Rule("teardown.half_close_killed", killed_before_end, diverges=True),
    Rule("ends.closed_unread_shared", closed_before_end, diverges=True),
    Rule("ends.taken_back", taken_back_by_another, diverges=True),
    Rule("teardown.shutdown_both_later", ended_for_good, diverges=True),
    Rule("teardown.shutdown_both_later", ended_while_full, diverges=True),
    Rule("teardown.shutdown_both_later", closed_with_data, diverges=True),
    Rule("ends.reset_unaccepted", reset_behind_data, diverges=True),
    Rule("ends.unaccepted_shared", dropped_unaccepted, diverges=True),
    Rule("accept.late_options", option_set_late),
    Rule("accept.crowded", thrown_away, diverges=True),
    Rule("ends.reset_over", reset_when_over, diverges=True),
    Rule("teardown.shutdown_read_later", dropped_after_shutdown, diverges=True),
)


USERSPACE_RULES = (
    Rule("ends.shut_before", shut_before, diverges=True),
    Rule("signals.first_send", heard_later, diverges=True),
    Rule("ends.shut_with_more_to_send", ended_on_the_way),
    Rule("ends.shut_with_more_to_send", room_on_the_way),
    Rule("ends.reset_over", reset_when_over, diverges=True),
    Rule("ends.reset_over", closed_with_data, diverges=True),
    Rule("ends.reset_over", ended_while_full, diverges=True),
    Rule("ends.name_asked_late", name_forgotten),
)


def left_to_timing(story, index, end, tcp, shim):
    """What has filled the peer's buffers goes on at any time, and each arrival is an edge."""
    return (end is not None and story.steps[index].verb == "epwait" and story.by_edges(end, index)
            and story.overfilled(peer_of(end), index) and story.unread(end, index) > 0
            and bits(tcp) ^ bits(shim) == {"IN"})


def differing(story, index, left, right):
    """What differs at a step: (end, tcp, shim), one for each slot that epoll_wait() tells of."""
    step = story.steps[index]
    if left == right:
        return []
    if step.verb != "epwait" or not all(":" in text or text == "nothing" for text in (left, right)):
        return [(step.end, left, right)]
    tcp, shim = events(left), events(right)
    return [(slot.split(".")[0], "+".join(sorted(tcp.get(slot, []))) or "nothing",
             "+".join(sorted(shim.get(slot, []))) or "nothing")
            for slot in sorted(tcp.keys() | shim.keys()) if tcp.get(slot) != shim.get(slot)]


def compare(lines, tcp, shim, used=None, rules=RULES):
    """The index of the first step whose difference no rule explains; None when there is none."""
    used = {} if used is None else used
    story, lost = Story(lines, tcp), set()
    for index in range(len(lines)):
        left = tcp[index] if index < len(tcp) else "(not reached)"
        right = shim[index] if index < len(shim) else "(not reached)"
        for end, one, other in differing(story, index, left, right):
            if end is not None and end[1] in lost:
                if "wrong bytes" in other:
                    return index
                continue
            if left_to_timing(story, index, end, one, other):
                continue
            rule = next((rule for rule in rules
                         if rule.explains(story, index, end, one, other)), None)
            if rule is None:
                return index
            used[rule] = used.get(rule, 0) + 1
            if rule.diverges:
                lost.add(end[1])
        if left != right and any(text.endswith("blocks") for text in (left, right)):
            return None        # of a connection that is compared no more
    return None
