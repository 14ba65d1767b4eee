# SPDX-License-Identifier: BSD-3-Clause
"""Every row of options.def: taken with a legal value, refused with another, seen in the kernel,
documented. The table makes the tests; seen.py says where to look."""

import re
import socket
import struct
from pathlib import Path

import pytest

import kernel
from native import Native
from seen import ROWS

TOP = Path(__file__).resolve().parents[2]
TABLE = (TOP / "shim/options.def").read_text()
NAMES = re.findall(r"^OPTION(?:_[A-Z]+)?\((\w+),", TABLE, re.MULTILINE)


def checked(tool_run, directory, name, value, needs):
    """What check-config says of a file with this line, after those that it needs."""
    file = directory / "one.conf"
    lines = [f"{key.lower()} = {of}" for key, of in {**needs, name: value}.items()]
    file.write_text("[sctpshim]\n" + "\n".join(lines) + "\n")
    return tool_run("check-config", file), f"{file}:{len(lines) + 1}: {name.lower()}: expected "


def test_table_and_tests_agree():
    """A row that has no way to be seen fails, and so does one that is no row any more."""
    assert sorted(ROWS) == sorted(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_legal_value_is_accepted(run, tmp_path, name):
    good, _, needs, _ = ROWS[name]
    done, _ = checked(run, tmp_path, name, good, needs)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


@pytest.mark.parametrize("name", NAMES)
def test_illegal_value_is_refused(run, tmp_path, name):
    """By one line that says where, what is expected, and what was found."""
    _, bad, needs, _ = ROWS[name]
    done, begins = checked(run, tmp_path, name, bad, needs)
    assert done.returncode == 1
    line, = done.stdout.splitlines()
    assert line.startswith(begins) and line.endswith(f", got '{bad}'"), line


@pytest.mark.parametrize("name", NAMES)
def test_value_is_seen(stage, name):
    ROWS[name][3](stage)


@pytest.mark.parametrize("name", NAMES)
def test_option_is_documented(name):
    """In the sample, the manual, and with its meaning in words."""
    sample = (TOP / "config/sctpshim.conf").read_text()
    manual = (TOP / "docs/sctpshim.conf.5").read_text()
    assert re.search(rf"^#{name.lower()} =", sample, re.MULTILINE)
    entry = re.search(rf"^\.It Ic {name.lower()}\n(.+)\nTakes (.+)", manual, re.MULTILINE)
    assert len(entry.group(1)) > 10


# Socket options of params.c that can be read: what a rule has set, and another is to take back.
LOOKS = {name: (getattr(kernel, name), layout, given) for name, layout, given in [
    ("RTOINFO", "16s", b""), ("ASSOCINFO", "20s", b""), ("INITMSG", "8s", b""),
    ("NODELAY", "4s", b""), ("MAXSEG", "8s", b""), ("DELAYED_SACK", "12s", b""),
    ("PARTIAL_DELIVERY_POINT", "4s", b""), ("FRAGMENT_INTERLEAVE", "4s", b""),
    ("MAX_BURST", "8s", b""), ("HMAC_IDENT", "8s", b""), ("AUTH_ACTIVE_KEY", "8s", b""),
    ("LOCAL_AUTH_CHUNKS", "24s", bytes(64)), ("AUTO_ASCONF", "4s", b""),
    ("DEFAULT_SNDINFO", "8s8x", b""), ("PR_SUPPORTED", "8s", b""), ("DEFAULT_PRINFO", "12s", b""),
    ("STREAM_SCHEDULER", "8s", b""), ("INTERLEAVING_SUPPORTED", "8s", b""),
    ("ASCONF_SUPPORTED", "8s", b""), ("AUTH_SUPPORTED", "8s", b""), ("ECN_SUPPORTED", "8s", b"")]}


def look(sock):
    """All of that, and what is asked of an address."""
    seen = {"path": kernel.path(sock), "encapsulation": kernel.encapsulation(sock),
            "thresholds": kernel.thresholds(sock), "probe": kernel.probe_interval(sock)}
    for name in (socket.SO_SNDBUF, socket.SO_RCVBUF):
        seen[name] = sock.getsockopt(socket.SOL_SOCKET, name)
    for name, (number, layout, given) in LOOKS.items():
        try:
            seen[name] = kernel.option(sock, number, layout, given)
        except OSError as error:
            seen[name] = error.errno
    for number in (1, 5):
        try:
            sock.setsockopt(kernel.IPPROTO_SCTP, kernel.AUTH_ACTIVE_KEY,
                            struct.pack("iHxx", 0, number))
            seen[f"key {number}"] = True
        except OSError:
            seen[f"key {number}"] = False
    return seen


# What a socket is not given before it has a connection, or only of IPv6, or the kernel's SCTP has
# not, or no rule may set.
LATER = {"ACTION", "FLOWLABEL", "CHUNK", "RTO_MIN", "LOCAL_ADDRS", "PEER_ADDRS", "PRIMARY",
         "PEER_PRIMARY", "OUTAGE", "MESSAGES", "SPREAD", "STREAM_VALUES", "INTERLEAVING",
         "AUTO_ASCONF", "STACK", "ADOPT", "LOG", "LOG_FILE",
         "FALLBACK_TIMEOUT", "FALLBACK_LIFETIME", "LEG", "CMT"}


def test_rule_takes_back_what_another_has_set(stage):
    """Each option by the rule of the port that is bound; connecting falls under one without any."""
    key = stage.directory / "key"
    key.write_bytes(b"secret")
    key.chmod(0o600)
    rules, ports = "", {}
    for name in NAMES:
        good, _, needs, _ = ROWS[name]
        if name in LATER:
            continue
        needs = {**needs, name: good}
        if "KEY" in name:
            needs = {"AUTH_KEY_ID": 1, **needs, "AUTH_KEY": key}
        ports[name] = 21000 + len(ports)
        rules += f"[rule {name}]\nrole = listen\nport = {ports[name]}\n" + "".join(
            f"{of} = {value}\n" for of, value in needs.items())
    file = stage.directory / "rules.conf"
    file.write_text(rules)
    program = stage.program(CONFIG=file)
    listener = Native()
    address = listener.listen()
    for name, port in {"nothing": 20999, **ports}.items():
        program("s = socket.socket()")
        program(f"s.bind(('127.0.0.1', {port}))")
        with stage.seen(program) as sock:
            before = look(sock)
        assert program(f"s.connect({address})") is None, name
        with stage.seen(program) as sock:
            after = look(sock)
        assert program("s.getsockname()[1]") == port
        if name == "nothing":
            unset, usual = before, after
        assert (before != unset) == (name != "nothing"), name
        assert after == usual, name
        listener.accept().sock.close()
        program("s.close()")
    assert len(ports) > 35


def test_rule_takes_back_a_key(stage):
    """Who has the key of the rule before cannot speak in its name any more."""
    key = stage.directory / "key"
    key.write_bytes(b"secret")
    key.chmod(0o600)
    file = stage.directory / "rules.conf"
    file.write_text(f"auth = data\nauth_key = {key}\nauth_key_id = 5\n"
                    "[rule one]\nrole = connect\nauth_key_id = 1\n")
    program = stage.program(CONFIG=file)
    program("s = socket.socket(); s.bind(('', 0))")
    assert [look(stage.seen(program))[f"key {number}"] for number in (1, 5)] == [False, True]
    assert program("s.connect(('127.0.0.1', 9))") == "ECONNREFUSED"
    assert [look(stage.seen(program))[f"key {number}"] for number in (1, 5)] == [True, False]


@pytest.mark.parametrize("name, where, usual", [
    ("DSCP", lambda sock: kernel.path(sock)["dscp"], lambda value: value != 46 << 2),
    ("UDP_ENCAPS", kernel.encapsulation, lambda value: value == 0),
    ("PR_SCTP", lambda sock: kernel.value(sock, kernel.PR_SUPPORTED), lambda value: value == 1)])
def test_rule_takes_back_what_holds_for_others(stage, name, where, usual):
    """A socket that was born with an option and then falls under a rule without it."""
    listener = Native()
    port = listener.listen()[1]
    file = stage.directory / "rules.conf"
    good = ROWS[name][0]
    default = {"DSCP": "program", "UDP_ENCAPS": "off", "PR_SCTP": "system"}[name]
    file.write_text(f"{name} = {good}\n[rule one]\nrole = connect\nport = {port}\n"
                    f"{name} = {default}\n")
    program = stage.program(CONFIG=file)
    program("s = socket.socket(); s.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)")
    assert not usual(where(stage.seen(program)))
    assert program(f"s.connect(('127.0.0.1', {port}))") is None
    assert usual(where(stage.seen(program)))
    assert program("s.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)") == 1


def test_parameters_come_with_the_first_use_in_whichever_process(stage):
    """Until then a socket has its mark only; what the program sets itself stays."""
    def attempts(shown):
        return struct.unpack("HHHH", shown["INITMSG"][0])[2]

    listener = Native()
    address = listener.listen()
    program = stage.program(INIT_ATTEMPTS=7)
    bare = "s = socket.socket(); r, w = os.pipe()"
    own = "s.setsockopt(socket.IPPROTO_TCP, socket.TCP_SYNCNT, 3)"
    child = f"os.fork() or (os.read(r, 1), s.connect({address}), os._exit(0))"
    seen = []
    for lines in ([bare, f"s.connect({address})"], [bare, child], [bare, own, child],
                  [bare, child, own]):
        for line in lines:
            assert isinstance(program(line), (int, type(None)))
        if child in lines:
            assert program("os.write(w, b'.'), os.wait()[1]") == (1, 0)
        with stage.seen(program) as sock:
            seen.append(look(sock))
        listener.accept().sock.close()
        program("s.close()")
    assert [attempts(shown) for shown in seen] == [7, 7, 3, 3]
    for shown in seen:
        assert {**shown, "INITMSG": None} == {**seen[0], "INITMSG": None}
    assert program("s = socket.socket()") is None
    with stage.seen(program) as sock:
        assert kernel.option(sock, kernel.INITMSG, "HHHH")[2] != 7


def test_a_window_is_no_whole_number_of_messages(stage):
    """Those would close it exactly, and what asks whether it is open be thrown away."""
    for options, least in (({}, 1536 << 10), ({"RCVBUF": "1m"}, 1 << 20)):
        peer = stage.connected(**options)[2]
        window = kernel.status(peer.sock)["rwnd"]
        assert least < window < least + 65536 and window % 65536
