# SPDX-License-Identifier: BSD-3-Clause
"""Random sequences of socket calls show the same over TCP and under the shim; and the machinery
that says so would notice if they did not."""

import contextlib
import sys
import time
from pathlib import Path

import pytest

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))

import play  # noqa: E402
from compare import RULES, USERSPACE_RULES, compare  # noqa: E402
from generate import generate  # noqa: E402

sys.path.insert(0, str(HERE.parent / "conformance"))
from differences import DIFFERENCES  # noqa: E402

BATCH = 25
# Under an action: seeds, all of which have been played (of others one in some thousands may show a
# fault: `make fuzz`), and for how many seconds whole batches of them are begun.
PLAYED = {"sctp": (range(320_000, 330_000), 25), "prefer-sctp": (range(5_001_000, 5_005_000), 10)}


def test_a_seed_always_makes_the_same_script():
    assert generate(7) == generate(7)
    assert generate(7) != generate(8)


def test_accepted_differences_are_those_of_the_conformance_suite():
    assert [rule.name for rule in RULES if rule.name not in DIFFERENCES] == []


@pytest.mark.parametrize("action", PLAYED)
def test_random_sequences(sctp, library, action):
    """As many of the same sequences as fit the time, at least the first batch."""
    all_seeds, seconds = PLAYED[action]
    end, played, differ = time.monotonic() + seconds, 0, []
    with play.prefer() if action == "prefer-sctp" else contextlib.nullcontext(play.KERNEL) as plane:
        for first in range(all_seeds.start, all_seeds.stop, BATCH):
            if played and time.monotonic() > end:
                break
            seeds = range(first, first + BATCH)
            for number, failure, again in play.failures([generate(seed) for seed in seeds],
                                                        plane=plane):
                if again:
                    differ.append((seeds[number], failure))
            played += BATCH
    print(f"{action}: seeds {all_seeds.start} to {all_seeds.start + played - 1}")
    assert not differ, f"tests/fuzz/run.py --seed {differ[0][0]}:\n{differ[0][1].text()}"


def test_over_tcp_the_scripts_mean_something(sctp):
    """Few steps get stuck, and data, ends of file, errors and waiting all occur."""
    scripts = [generate(seed) for seed in range(40)]
    seen = [step for script in play.play(scripts, limit=5000) for step in script]
    assert seen.count("blocks") <= 2
    for sight in ("all", "part", "blocked", "EAGAIN", "EPIPE SIGPIPE", "ECONNRESET", "0"):
        assert sight in seen, f"no step shows {sight!r}"


# Scripts with what TCP and the shim showed at each step, and at which step that is unexplained.
PEEK = ("A recv c0 recv 9 PEEK", "A fionread c0", "A poll c0 IN+OUT 0")
READ_SHUT = ("A shutdown c0 RD", "B send s0 write 5", "A recv c0 read 5", "A getopt c0 SO_ERROR",
             "A recv c1 read 5")
BOTH_SHUT = ("A shutdown c0 RDWR", "B send s0 write 5", "A recv c0 read 5", "A poll c0 IN 0")
UNDER_WAY = ("A send c0 sendmsg 8000000", "B shutdown s0 RDWR", "A poll c0 OUT 0")
FULL = (*UNDER_WAY[:2], "A send c0 write 5")
HALF_CLOSED = ("B send s0 write 5", "B shutdown s0 WR", "A poll c0 IN+RDHUP 0",
               "A recv c0 read 5", "A poll c0 IN+RDHUP 0")
EPOLL = ("A epadd c0 IN+ET", "B close s0", "A epwait 0")
ROOM = ("A epadd c0 IN+OUT+ET", "A epwait 0", "B send s0 write 5", "A send c0 write 5", "A epwait 0")
ROOM_SHUT = ("A epadd c0 IN+OUT+ET", "A shutdown c0 RD", "A epwait 0", "A send c0 write 5",
             "A epwait 0")
SHUT = ("B send s0 write 5", "A epadd c0 IN+ET", "A epwait 0", "A shutdown c0 WR", "A epwait 0")
OPTIONS = ("A setopt c0 TCP_KEEPCNT 3", "A pass c0 B c0", "B getopt c0 TCP_KEEPCNT")
KILLED = ("B shutdown s0 WR", "A kill", "B send s0 write 9")
ARRIVES = ("A epadd c0 IN+ET", "B send s0 send 8000000 DONTWAIT", "A epwait 0", "A epwait 0")
CLOSED = ("B fork C", "A send c0 write 1", "A shutdown c0 WR", "B shutdown s0 WR", "B close s0",
          "A poll c0 OUT 0")
TAKEN_BACK = ("A pass c0 B c0", "B connect c0 l0", "A recv c0 read 9")
WATCHED_BACK = ("A epadd c0 IN+ET", "A connect c0 l0", "A epwait 0")
BEHIND = ("A send c0 sendto 8000000 DONTWAIT", "A shutdown c0 WR", "B poll s0 IN+RDHUP 0",
          "B shutdown s0 WR", "B recv s0 recv 9 DONTWAIT")
LATE = ("B listen l0 8", "A connect c0 l0", "B setopt l0 TCP_KEEPIDLE 60", "B accept l0 s0",
        "B getopt s0 TCP_KEEPIDLE")
CROWDED = ("A connect c0 l0", "A connect c1 l0", "A send c0 send 8000000 DONTWAIT",
           "A send c1 write 9", "B accept l0 s0", "B accept l0 s1", "B fionread s1")
OVERFULL = ("B shutdown s0 WR", "A send c0 send 8000000 DONTWAIT", "A shutdown c0 WR", "B close s0",
            "A poll c0 IN 0")
COMPARED = (
    (LATE, "ok ok ok length_16 7200", "ok ok ok length_16 60", None),
    (LATE, "ok ok ok length_16 7200", "ok ok ok length_16 EINVAL", 4),
    (LATE[:1] + LATE[2:3] + LATE[1:2] + LATE[3:], "ok ok ok length_16 60", "ok ok ok length_16 7200",
     4),
    (CROWDED, "ok ok part all length_16 length_16 9", "ok ok part all length_16 length_16 0", None),
    (CROWDED, "ok ok part all length_16 length_16 9", "ok ok part all length_16 length_16 EINVAL", 6),
    (CROWDED, "ok ok all all length_16 length_16 9", "ok ok all all length_16 length_16 0", 6),
    (CROWDED[:2] + CROWDED[4:5] + CROWDED[2:4] + CROWDED[5:],
     "ok ok length_16 part all length_16 9", "ok ok length_16 part all length_16 0", 6),
    (CROWDED[:6] + ("B poll s1 IN 0",), "ok ok part all length_16 length_16 IN",
     "ok ok part all length_16 length_16 -", None),
    (OVERFULL, "ok part ok ok IN+ERR+HUP", "ok part ok ok IN+HUP", None),
    (OVERFULL, "ok all ok ok IN+ERR+HUP", "ok all ok ok IN+HUP", 4),
    (OVERFULL[1:], "part ok ok IN+ERR+HUP", "part ok ok IN+HUP", 3),
    (PEEK, "9 9 OUT", "4 4 OUT", None),
    (PEEK, "9 9 OUT", "0 4 OUT", 0),
    (PEEK, "9 9 OUT", "4 0 OUT", 1),
    (PEEK, "9 9 OUT", "4 4 IN", 2),
    (PEEK, "9 9 -", "4", 1),
    (READ_SHUT, "ok all 5 0 5", "ok all 0 EPIPE 5", None),
    (READ_SHUT, "ok all 5 0 5", "ok all 0 0 4", 4),
    (READ_SHUT, "ok all 5 0 5", "ok EPIPE 0 0 5", 1),
    (READ_SHUT, "ok part 5 0 5", "ok all 0 0 5", None),
    (READ_SHUT, "ok all 5 0 5", "ok all blocks", 2),
    (READ_SHUT[1:], "all 5 0 5", "all 0 0 5", 1),
    (READ_SHUT[2:], "5 0 5", "0 0 5", 0),
    (BOTH_SHUT, "ok all ECONNRESET IN", "ok all 0 IN+HUP", None),
    (BOTH_SHUT, "ok all ECONNRESET IN", "ok all wrong_bytes IN", 2),
    (UNDER_WAY, "part ok OUT+ERR+HUP", "part ok OUT", None),
    (UNDER_WAY, "all ok -", "all ok OUT", 2),
    (FULL, "part ok all", "part ok EPIPE_SIGPIPE", None),
    (FULL, "part ok 3_messages_all", "part ok 2_messages_part_SIGPIPE", None),
    (FULL, "all ok all", "all ok EPIPE_SIGPIPE", 2),
    (FULL[1:], "ok all", "ok EPIPE_SIGPIPE", 1),
    (BOTH_SHUT[1:], "all ECONNRESET IN", "all 0 IN", 1),
    (HALF_CLOSED, "all ok IN+RDHUP 5 IN+RDHUP", "all ok IN 5 IN+RDHUP", None),
    (HALF_CLOSED, "all ok IN+RDHUP 5 IN+RDHUP", "all ok IN 5 IN", 4),
    (HALF_CLOSED, "all ok IN+RDHUP 5 IN+RDHUP", "all ok - 5 IN+RDHUP", 2),
    (EPOLL, "ok ok c0:IN+HUP", "ok ok c0:IN", None),
    (EPOLL, "ok ok c0:IN+HUP", "ok ok c0:HUP", 2),
    (EPOLL, "ok ok c0:IN+HUP", "ok ok nothing", 2),
    (EPOLL, "ok ok nothing", "ok ok c0:IN", None),
    (EPOLL[::2], "ok nothing", "ok c0:IN", 1),
    (ROOM, "ok c0:OUT all all nothing", "ok c0:OUT all all c0:IN+OUT", None),
    (ROOM, "ok c0:OUT all all nothing", "ok c0:OUT all all c0:OUT+RDHUP", 4),
    (ROOM[::2], "ok all nothing", "ok all c0:OUT", 2),
    (ROOM_SHUT, "ok ok c0:IN+RDHUP all nothing", "ok ok c0:IN+RDHUP all c0:IN+OUT+RDHUP", None),
    (SHUT, "all ok c0:IN ok c0:IN", "all ok c0:IN ok nothing", None),
    (SHUT, "all ok c0:IN ok c0:IN", "all ok nothing ok nothing", 2),
    (OPTIONS, "ok ok 3", "ok ok 9", None),
    (OPTIONS[::2], "ok 3", "ok 9", 1),
    (KILLED, "ok gone EPIPE_SIGPIPE", "ok gone ECONNRESET", None),
    ((KILLED[0], "A recv c0 read 5", *KILLED[1:]), "ok 5 gone EPIPE", "ok 5 gone ECONNRESET", None),
    ((KILLED[0], "A recv c0 read 5", *KILLED[1:]), "ok 0 gone EPIPE", "ok 0 gone ECONNRESET", 3),
    (KILLED[1:], "gone EPIPE_SIGPIPE", "gone ECONNRESET", 1),
    (ARRIVES, "ok part c0:IN c0:IN", "ok part c0:IN nothing", None),
    (ARRIVES, "ok part c0:IN nothing", "ok part c0:IN c0:IN", None),
    (ARRIVES, "ok part c0:IN nothing", "ok part c0:IN c0:HUP", 3),
    (ARRIVES, "ok all c0:IN c0:IN", "ok all c0:IN nothing", 3),
    (("A epadd c0 IN", *ARRIVES[1:]), "ok part c0:IN c0:IN", "ok part c0:IN nothing", 3),
    (CLOSED, "ok all ok ok ok OUT+HUP", "ok all ok ok ok OUT+ERR+HUP", None),
    (CLOSED[1:], "all ok ok ok OUT+HUP", "all ok ok ok OUT+ERR+HUP", 4),
    (CLOSED[::2] + CLOSED[3:], "ok ok ok ok OUT+HUP", "ok ok ok ok OUT+ERR+HUP", 4),
    (CLOSED[:3] + CLOSED[4:], "ok all ok ok OUT", "ok all ok ok OUT+ERR+HUP", 4),
    (TAKEN_BACK, "ok ECONNABORTED ENOTCONN", "ok ECONNABORTED 0", None),
    (TAKEN_BACK, "ok EISCONN ENOTCONN", "ok EISCONN 0", 2),
    (TAKEN_BACK[1:], "ECONNABORTED ENOTCONN", "ECONNABORTED 0", 1),
    (WATCHED_BACK, "ok ECONNRESET c0:HUP", "ok ECONNRESET nothing", 2),
    (WATCHED_BACK, "ok ECONNRESET c0:HUP+OUT", "ok ECONNRESET nothing", 2),
    (WATCHED_BACK, "ok EISCONN c0:HUP", "ok EISCONN nothing", 2),
    (WATCHED_BACK, "ok ECONNRESET c0:IN+HUP", "ok ECONNRESET nothing", 2),
    (BEHIND, "part ok IN+RDHUP ok ok", "part ok - ok ok", None),
    (BEHIND, "part ok IN+RDHUP ENOTCONN 0", "part ok IN+RDHUP ok EAGAIN", None),
    (BEHIND, "all ok IN+RDHUP ok 0", "all ok IN+RDHUP ok EAGAIN", 4),
    (BEHIND, "part ok IN+RDHUP ok 0", "part ok IN+RDHUP ok ECONNRESET", 4),
    (BEHIND, "part ok IN+RDHUP+OUT ok 0", "part ok IN+RDHUP ok 0", 2),
    ((BEHIND[0], *BEHIND[2:]), "part IN+RDHUP ok 0", "part - ok 0", 1),
    (BEHIND[:2] * 2, "part ok part ENOTCONN", "part ok part ok", None),
    (BEHIND[:2] * 2, "all ok all ENOTCONN", "all ok all ok", 3),
    (BEHIND[:2] + ("A recv c0 recv 9",), "part ok 0", "part ok EAGAIN", 2),
)
SHUT_BEFORE = ("B listen l0 8", "A socket c0", "A shutdown c0 WR", "A connect c0 l0",
               "B accept l0 s0", "B recv s0 read 9")
MORE_TO_SEND = ("A send c0 sendmsg 8000000 DONTWAIT", "A shutdown c0 WR", "B shutdown s0 WR",
                "A shutdown c0 WR")
DEAF_WHILE_FULL = (MORE_TO_SEND[0], "B shutdown s0 RDWR", "A getpeername c0")
LEFT = (MORE_TO_SEND[0], "A close c0", "B poll s0 IN 0")
BOTH_OVER = (MORE_TO_SEND[0], "B shutdown s0 WR", "A shutdown c0 RDWR", "B close s0",
             "A poll c0 IN+RDHUP 0")
FILLED = (MORE_TO_SEND[0], "A select c0")
GOES_ON = ("A epadd c0 OUT+ET", MORE_TO_SEND[0], "A epwait 0")
GONE = ("B close s0", "A send c0 sendmmsg 3")
DEAF = ("B shutdown s0 RDWR", GONE[1])
OVER = ("A fork C", "B shutdown s0 WR", "C shutdown c0 WR", "C getsockname c0")
KNOWN, FORGOTTEN = "length_16_loopback_port_a", "length_16_any_port_b"
USERSPACE_COMPARED = (
    (OVER, f"ok ok ok {KNOWN}", f"ok ok ok {FORGOTTEN}", None),
    (OVER, f"ok ok ok {KNOWN}", "ok ok ok ENOTCONN", 3),
    (OVER[1:], f"ok ok {KNOWN}", f"ok ok {FORGOTTEN}", None),
    ((OVER[3], *OVER[1:]), f"{KNOWN} ok ok {KNOWN}", f"{KNOWN} ok ok {FORGOTTEN}", 3),
    (("B shutdown s0 WR", "C shutdown c0 WR", "B getsockname s0"), f"ok ok {KNOWN}",
     f"ok ok {FORGOTTEN}", 2),
    (OVER[::2] + OVER[3:], f"ok ok {KNOWN}", f"ok ok {FORGOTTEN}", 2),
    (SHUT_BEFORE, "ok ok ENOTCONN ok ok EAGAIN", "ok ok ENOTCONN ok ok 0", None),
    (SHUT_BEFORE, "ok ok ok ok ok EAGAIN", "ok ok ok ok ok 0", 5),
    (MORE_TO_SEND, "part ok ok ok", "part ok ok ENOTCONN", None),
    ((*MORE_TO_SEND[:3], "A getpeername c0"), "part ok ok length_16", "part ok ok ENOTCONN", None),
    ((*MORE_TO_SEND[:3], "A getpeername c0"), "part ok ok length_16", "part ok ok EINVAL", 3),
    (MORE_TO_SEND, "all ok ok ok", "all ok ok ENOTCONN", 3),
    (MORE_TO_SEND, "part ok ok ok", "part ok ENOTCONN ok", 2),
    (DEAF_WHILE_FULL, "part ok length_16", "part ok ENOTCONN", None),
    (DEAF_WHILE_FULL, "all ok length_16", "all ok ENOTCONN", 2),
    ((MORE_TO_SEND[0], "B shutdown s0 RD", "A getpeername c0"), "part ok length_16",
     "part ok ENOTCONN", 2),
    (FILLED, "part 0", "part 1_write", None),
    (FILLED, "part 1_read", "part 2_read_write", None),
    (FILLED, "part 0", "part 1_read", 1),
    (FILLED, "all 0", "all 1_write", 1),
    ((FILLED[0], "B drain s0 recv 9", FILLED[1]), "part end_of_file_early 0",
     "part end_of_file_early 1_write", None),
    ((FILLED[0], "B drain s0 recv 9", FILLED[1]), "part 8000000_bytes 0", "part 8000000_bytes 1_write",
     2),
    ((MORE_TO_SEND[0], "A poll c0 IN+OUT 0"), "part -", "part OUT", None),
    ((MORE_TO_SEND[0], "A poll c0 IN+OUT 0"), "part -", "part OUT+HUP", 1),
    (BOTH_OVER, "part ok ok ok IN+ERR+HUP+RDHUP", "part ok ok ok IN+HUP+RDHUP", None),
    (BOTH_OVER, "all ok ok ok IN+ERR+HUP+RDHUP", "all ok ok ok IN+HUP+RDHUP", 4),
    (BOTH_OVER[:1] + BOTH_OVER[3:], "part ok IN+ERR+HUP+RDHUP", "part ok IN+HUP+RDHUP", 2),
    (LEFT, "part ok IN+ERR+HUP", "part ok IN+HUP", None),
    (LEFT, "all ok IN+ERR+HUP", "all ok IN+HUP", 2),
    (LEFT, "part ok IN+ERR+HUP", "part ok blocks", 2),
    (FULL, "part ok ECONNRESET", "part ok 2_messages_part", None),
    (FULL, "all ok ECONNRESET", "all ok 2_messages_part", 2),
    (GOES_ON, "ok part nothing", "ok part c0:OUT", None),
    (("B shutdown s0 WR", *GOES_ON), "ok ok part nothing", "ok ok part c0:IN+OUT", None),
    (GOES_ON, "ok part nothing", "ok part c0:IN+OUT", 2),
    (GOES_ON, "ok all nothing", "ok all c0:OUT", 2),
    (GOES_ON, "ok part c0:OUT", "ok part nothing", 2),
    (GONE, "ok 1_messages_part_SIGPIPE", "ok 3_messages_all", None),
    (GONE, "ok 3_messages_all", "ok 1_messages_part_SIGPIPE", 1),
    (GONE[1:], "1_messages_part_SIGPIPE", "3_messages_all", 0),
    (DEAF, "ok 1_messages_part_SIGPIPE", "ok 3_messages_all", None),
    (("B shutdown s0 WR", DEAF[1]), "ok 1_messages_part_SIGPIPE", "ok 3_messages_all", 1),
)


@pytest.mark.parametrize("rules, lines, tcp, shim, unexplained",
                         [(RULES, *row) for row in COMPARED]
                         + [(USERSPACE_RULES, *row) for row in USERSPACE_COMPARED])
def test_rules_accept_nothing_else(rules, lines, tcp, shim, unexplained):
    tcp, shim = ([word.replace("_", " ") for word in text.split()] for text in (tcp, shim))
    assert compare(lines, tcp, shim, rules=rules) == unexplained


@pytest.mark.parametrize("verb", ["getsockname", "dup"])
def test_a_falsified_observation_is_found_and_shrunk(sctp, library, verb):
    """The second answer to VERB is falsified under the shim: what is left has two of them."""
    def second(lines):
        places = [n for n, line in enumerate(lines) if line.split()[1] == verb]
        return places[1] if len(places) > 1 else len(lines)

    scripts = [generate(seed, ("shutdown", "reset", "options", "fresh")) for seed in range(1000)]
    lines = min((lines for lines in scripts if second(lines) in range(8, len(lines))), key=second)
    found = play.confirmed(lines, corrupt=verb)
    assert found is not None and found.shim[found.index] == "corrupted"
    assert found.index == second(lines)
    shrunk = play.Shrinker(found, corrupt=verb).run()
    assert [line.split()[1] for line in shrunk.lines].count(verb) == 2
    assert len(shrunk.lines) < found.index + 1, shrunk.text()
