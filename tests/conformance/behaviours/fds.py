# SPDX-License-Identifier: BSD-3-Clause
"""Descriptors: dup, fork, exec, SCM_RIGHTS, inetd, and numbers that are closed and used again."""

import array
import ctypes
import os
import select
import socket
import subprocess
import sys

import libc
from harness import (LOCAL, Background, behaviour, in_child, listener, nodelay, pair, pattern,
                     pollfor, receive_descriptor, send_each, take, tcp)
from services import SOCKET, Service


def exchange(t, label, client, fd):
    """Bytes both ways between CLIENT and the descriptor FD, in the way a stream does it."""
    send_each(client, [b"to ", b"fd"])
    t(label + " in", libc.recv(fd, 100))
    t(label + " out", libc.send(fd, b"from fd"))
    t(label + " got", take(client, 7))
    t(label + " protocol", libc.getint(fd, socket.SOL_SOCKET, 38))


@behaviour("fds.dup", "dup, dup2, dup3 and F_DUPFD copies are the same connection")
def dup(t):
    client, server = pair(t)
    fd = server.fileno()
    copies = {"dup": libc.raw("dup", fd), "dup2": libc.raw("dup2", fd, 100),
              "dup3": libc.raw("dup3", fd, 101, os.O_CLOEXEC),
              "F_DUPFD": libc.raw("fcntl", fd, 0, 200),
              "F_DUPFD_CLOEXEC": libc.raw("fcntl", fd, 1030, 300)}
    t("numbers", [copies[name] for name in ("dup2", "dup3", "F_DUPFD", "F_DUPFD_CLOEXEC")])
    t("cloexec", [libc.raw("fcntl", copies[name], 1, 0) for name in copies])
    server.close()
    for name, copy in copies.items():
        exchange(t, name, client, copy)
    t("dup2 same", libc.raw("dup2", copies["dup"], copies["dup"]) == copies["dup"])
    t("dup3 same", libc.raw("dup3", copies["dup"], copies["dup"], 0))
    t("dup2 bad", libc.raw("dup2", 999, 5))


@behaviour("fds.dup_before_connect", "a copy made before connect is connected too")
def dup_before_connect(t):
    lsock, client = listener(), tcp()
    copy = os.dup(client.fileno())
    client.connect(lsock.getsockname())
    server, _ = lsock.accept()
    t.prove(copy, client, server)
    exchange(t, "copy", server, copy)


@behaviour("fds.close_one_of_two", "closing one of two copies does not end the connection; the "
           "last one does")
def close_one(t):
    client, server = pair(t)
    copy = os.dup(server.fileno())
    server.close()
    exchange(t, "copy", client, copy)
    os.close(copy)
    t("end", libc.recv(client.fileno(), 10))


@behaviour("fds.fork", "a forked child and its parent both use the connection")
def fork(t):
    client, server = pair(t)

    def serve():
        data = take(server, 5)
        server.sendall(data.upper())
        return [len(data), libc.getint(server.fileno(), socket.SOL_SOCKET, 38)]

    child = in_child(serve)
    client.sendall(b"hello")
    t("answer", take(client, 5))
    t("child", child.result())
    exchange(t, "parent", client, server.fileno())


@behaviour("fds.fork_child_closes", "a child's close leaves the parent's connection alone")
def fork_child_closes(t):
    client, server = pair(t)
    t("child", in_child(server.close).result())
    exchange(t, "parent", client, server.fileno())


@behaviour("fds.fork_child_exits", "a child that exits with unread data leaves the parent's "
           "connection alone")
def fork_child_exits(t):
    client, server = pair(t)
    send_each(client, [b"unread"])
    t("child", in_child(lambda: "nothing").result())
    t("data", libc.recv(server.fileno(), 10))
    exchange(t, "parent", client, server.fileno())


@behaviour("fds.fork_connects", "a socket made by the parent is connected by the child")
def fork_connects(t):
    lsock, client = listener(), tcp()
    t("child", in_child(lambda: libc.connect(client.fileno(), lsock.getsockname())).result())
    server, _ = lsock.accept()
    t.prove(client, server)
    exchange(t, "parent", server, client.fileno())


@behaviour("fds.exec_inherited", "a program that inherits the descriptor over exec reads and "
           "writes "
           "it as a stream")
def exec_inherited(t):
    client, server = pair(t)
    fd = server.fileno()
    program = ("import os,socket\n"
               f"s=socket.socket(fileno={fd})\n"
               "d=b''\n"
               "while len(d)<300000: d+=s.recv(65536)\n"
               "s.sendall(d[::-1])\n"
               "print(len(d), s.getsockopt(1,38), s.type==1)\n")
    worker = subprocess.Popen([sys.executable, "-c", program], pass_fds=[fd],
                              stdout=subprocess.PIPE)
    server.close()
    data = pattern(300000)
    client.sendall(data)
    t("answer", take(client, len(data), 8) == data[::-1])
    t("end", libc.recv(client.fileno(), 10))
    t("output", worker.communicate()[0])


@behaviour("fds.exec_coalesces", "in an inherited descriptor one read takes all that is queued")
def exec_coalesces(t):
    client, server = pair(t)
    send_each(client, [b"one ", b"two ", b"three"])
    done = subprocess.run([sys.executable, "-c",
                           f"import os; print(os.read({server.fileno()}, 100))"],
                          pass_fds=[server.fileno()], stdout=subprocess.PIPE, check=False)
    t("read", done.stdout)


@behaviour("fds.inetd", "inetd's way: the connection is a program's stdin and stdout")
def inetd(t):
    client, server = pair(t)
    worker = subprocess.Popen(["/usr/bin/head", "-c", "12000"], stdin=server, stdout=server)
    server.close()
    client.sendall(b"hello inetd\n" * 1000)
    t("answer", take(client, 12000, 8) == b"hello inetd\n" * 1000)
    t("status", worker.wait(8))


@behaviour("fds.inetd_lines", "a line-oriented program on stdin and stdout answers line by line")
def inetd_lines(t):
    client, server = pair(t)
    nodelay(client)
    worker = subprocess.Popen(["/bin/sh", "-c", "while read -r line; do echo \"got $line\"; "
                               "[ \"$line\" = quit ] && exit 3; done"],
                              stdin=server, stdout=server)
    server.close()
    for line in (b"first", b"second", b"quit"):
        client.sendall(line + b"\n")
        t(line.decode(), take(client, 5 + len(line)))
    t("status", worker.wait(8))
    t("end", libc.recv(client.fileno(), 10))


@behaviour("fds.inetd_listener", "a program gets a listening socket as fd 0 and accepts on it")
def inetd_listener(t):
    lsock = listener()
    worker = subprocess.Popen([sys.executable, "-c",
                               "import socket; l=socket.socket(fileno=0); c,a=l.accept(); "
                               "c.sendall(c.recv(100).upper()); print(a[0])"],
                              stdin=lsock, stdout=subprocess.PIPE)
    client = tcp()
    client.connect(lsock.getsockname())
    client.sendall(b"activated")
    t("answer", take(client, 9, 8))
    t("output", worker.communicate()[0])
    t.prove(lsock)


@behaviour("fds.posix_spawn", "posix_spawn with dup2 and close actions hands the connection over")
def posix_spawn(t):
    client, server = pair(t)
    actions = [(os.POSIX_SPAWN_DUP2, server.fileno(), 0),
               (os.POSIX_SPAWN_DUP2, server.fileno(), 1),
               (os.POSIX_SPAWN_CLOSE, server.fileno())]
    pid = os.posix_spawn("/usr/bin/head", ["head", "-c", "6"], os.environ, file_actions=actions)
    client.sendall(b"spawn!")
    t("answer", take(client, 6, 8))
    t("status", os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
    exchange(t, "parent", client, server.fileno())


@behaviour("fds.cloexec", "close-on-exec descriptors are gone in the next program, others not")
def cloexec(t):
    client, server = pair(t)
    os.set_inheritable(server.fileno(), True)
    program = (f"import os\nfor f in ({client.fileno()},{server.fileno()}):\n"
               " try: os.fstat(f); print('open')\n"
               " except OSError: print('closed')\n")
    done = subprocess.run([sys.executable, "-c", program], close_fds=False,
                          stdout=subprocess.PIPE, check=False)
    t("output", done.stdout)


def pass_descriptor(fd):
    """Send FD to a child over a UNIX socket: (parent's end, child's end)."""
    left, right = socket.socketpair()
    left.sendmsg([b"f"], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [fd]))])
    return left, right


@behaviour("fds.scm_rights", "a connection passed to another process over a UNIX socket")
def scm_rights(t):
    left, right = socket.socketpair()

    def worker():
        fd = receive_descriptor(right)
        got = libc.recv(fd, 100)
        libc.send(fd, b"from worker")
        return [got, libc.getint(fd, socket.SOL_SOCKET, 38)]

    child = in_child(worker)                     # forked before the connection exists
    client, server = pair(t)
    send_each(client, [b"several ", b"sends"])
    left.sendmsg([b"f"], [(socket.SOL_SOCKET, socket.SCM_RIGHTS,
                           array.array("i", [server.fileno()]))])
    server.close()
    t("worker", child.result())
    t("answer", take(client, 11))
    t("end", libc.recv(client.fileno(), 10))


@behaviour("fds.scm_rights_listener", "a listening socket passed to another process")
def scm_rights_listener(t):
    left, right = socket.socketpair()

    def worker():
        fd = receive_descriptor(right)
        connection = libc.accept(fd)[0]
        return libc.send(connection, b"served")

    child = in_child(worker)
    lsock, client = listener(), tcp()
    left.sendmsg([b"f"], [(socket.SOL_SOCKET, socket.SCM_RIGHTS,
                           array.array("i", [lsock.fileno()]))])
    client.connect(lsock.getsockname())
    t("data", take(client, 6))
    t("worker", child.result())


@behaviour("fds.scm_rights_own", "a descriptor received back in the same process is the connection")
def scm_rights_own(t):
    client, server = pair(t)
    _, right = pass_descriptor(server.fileno())
    copy = receive_descriptor(right)
    server.close()
    exchange(t, "copy", client, copy)


@behaviour("fds.pidfd_getfd", "a descriptor taken from another process by pidfd_getfd")
def pidfd_getfd(t):
    client, server = pair(t)
    pidfd = os.pidfd_open(os.getpid())
    copy = libc.LIBC.syscall(ctypes.c_long(438), pidfd, server.fileno(), 0)
    exchange(t, "copy", client, copy)


def replacements():
    """Ways to put something else under the number of a closed connection: name -> function that
    returns (descriptor, test) for the number FD."""
    def use_pipe(fd):
        one, two = os.pipe()
        os.dup2(two, fd)
        return lambda: [os.write(fd, b""), os.write(fd, b"ab"), os.write(fd, b"cd"),
                        os.read(one, 100), libc.recv(fd, 1)[0], libc.getint(fd, 6, 1)]

    def use_file(fd):
        other = os.open("/tmp", os.O_RDWR | os.O_TMPFILE)
        os.dup2(other, fd)
        return lambda: [os.write(fd, b"abcd"), libc.raw("lseek", fd, 1, 0), os.read(fd, 100),
                        libc.send(fd, b"x"), libc.ioctl_int(fd, 0x541B)]

    def use_unix(fd):
        one, two = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        os.dup2(two.detach(), fd)
        return lambda: [one.send(b"ab"), one.send(b"cd"), libc.recv(fd, 100), libc.read(fd, 100),
                        libc.send(fd, b""), libc.recv(one.fileno(), 5),
                        libc.getint(fd, 6, 1), libc.getint(fd, 1, 38)]

    def use_udp(fd):
        one = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        one.bind((LOCAL, 0))
        os.dup2(one.fileno(), fd)
        other = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        other.connect(one.getsockname())
        return lambda: [other.send(b"ab"), other.send(b""), other.send(b"cd"),
                        libc.recv(fd, 100), libc.recv(fd, 100), libc.recv(fd, 1),
                        libc.getint(fd, 1, 38), libc.getint(fd, 6, 1)]

    def use_other_tcp(fd):
        lsock = listener()
        os.dup2(lsock.detach(), fd)
        return lambda: [libc.getint(fd, 1, 30), libc.recv(fd, 10)[0], libc.getint(fd, 1, 38)]

    return {"pipe": use_pipe, "file": use_file, "unix": use_unix, "udp": use_udp,
            "listener": use_other_tcp}


def fclose_number(fd):
    stream = libc.LIBC.fdopen
    stream.restype = ctypes.c_void_p
    handle = stream(fd, b"r")
    libc.LIBC.fclose(ctypes.c_void_p(handle))


CLOSERS = {
    "close": os.close,
    "dup2 over": lambda fd: None,
    "fclose": fclose_number,
    "close_range": lambda fd: libc.LIBC.close_range(fd, fd, 0),
    "raw close": lambda fd: libc.LIBC.syscall(ctypes.c_long(3 if os.uname().machine == "x86_64"
                                                            else 57), fd),
    "a file object": lambda fd: os.fdopen(fd, "rb").close(),
}


def register_reuse(name, closer):
    @behaviour(f"fds.reuse_after_{name.replace(' ', '_')}",
               f"a number freed by {name} and used again by pipes, files and other sockets is "
               "what it is now")
    def reuse(t):
        for what, make in replacements().items():
            client, server = pair(t)
            fd = libc.raw("fcntl", server.fileno(), 0, 500)
            client.sendall(b"x")
            libc.recv(fd, 10)                    # the number is known as a connection now
            server.close()
            closer(fd)
            t(what, make(fd)())
            client.close()
            os.close(fd)


for _name, _closer in CLOSERS.items():
    register_reuse(_name, _closer)


@behaviour("fds.reuse_after_closefrom", "numbers freed by closefrom are what they are then")
def reuse_after_closefrom(t):
    def run():
        client, server = pair(t)
        fd = libc.raw("fcntl", server.fileno(), 0, 950)
        client.sendall(b"x")
        libc.recv(fd, 10)
        libc.LIBC.closefrom(940)
        one, two = os.pipe()
        os.dup2(two, fd)
        return [os.write(fd, b"ab"), os.read(one, 10), libc.recv(fd, 1)[0]]

    t("pipe", in_child(run).result())


@behaviour("fds.became_connection", "a number that was a pipe, a file or a UNIX socket becomes a "
           "connection")
def became_connection(t):
    one, two = os.pipe()
    left, right = socket.socketpair()
    numbers = {"pipe": two, "unix": left.detach(), "file": os.open("/dev/null", os.O_RDWR)}
    for name, fd in numbers.items():
        os.write(fd, b"warm up")
        client, server = pair(t)
        os.dup2(server.detach(), fd)
        exchange(t, name, client, fd)
        t(name + " zero", libc.write(fd, b""))
    os.close(one)
    right.close()


@behaviour("fds.reuse_in_thread", "a number closed and reused in another thread")
def reuse_in_thread(t):
    client, server = pair(t)
    fd = server.detach()
    client.sendall(b"x")
    libc.recv(fd, 10)

    def swap():
        one, two = os.pipe()
        os.dup2(two, fd)
        return one

    one = Background(swap).result()
    t("write", libc.write(fd, b"pipe"))
    t("read", os.read(one, 10))
    t("end", libc.recv(client.fileno(), 10))


@behaviour("fds.listener_becomes_connection", "the number of a closed listener is used by a "
           "connection, and back")
def listener_becomes_connection(t):
    lsock, keeper = listener(), listener()
    fd = lsock.fileno()
    lsock.setblocking(False)
    t("listener", libc.accept(fd)[0])
    lsock.close()
    client = tcp()
    t("number", client.fileno() == fd)
    client.connect(keeper.getsockname())
    server, _ = keeper.accept()
    exchange(t, "connection", server, fd)
    client.close()
    again = listener()
    t("listener again", [again.fileno() == fd, libc.recv(fd, 10)[0]])


@behaviour("fds.other_family", "dup2 of an IPv4 socket over an IPv6 one, and the other way round: bind, "
           "connect")
def other_family(t):
    families = {socket.AF_INET: LOCAL, socket.AF_INET6: "::1"}
    for family, host in families.items():
        other, = families.keys() - {family}
        lsock, number, kept = listener(host), tcp(other), tcp(family)
        number.bind((families[other], 0))
        fd = number.fileno()
        os.dup2(kept.fileno(), fd)
        t(f"bind {host}", libc.bind(fd, (host, 0)))
        t(f"connect {host}", libc.connect(fd, (host, lsock.getsockname()[1])))


@behaviour("fds.failed_dup2_target", "dup2 of a file over a connection closes the connection")
def dup2_over(t):
    client, server = pair(t)
    with open("/dev/null", "wb", buffering=0) as null:
        t("dup2", libc.raw("dup2", null.fileno(), server.fileno()) == server.fileno())
    t("end", libc.recv(client.fileno(), 10))
    t("write", libc.write(server.fileno(), b"gone"))


@behaviour("fds.plain_files", "files, pipes, terminals and eventfds behave as before in every "
           "intercepted call")
def plain_files(t):
    one, two = os.pipe()
    t("pipe", [libc.write(two, b"hello"), libc.writev(two, [b" wor", b"", b"ld"]),
               libc.ioctl_int(one, 0x541B), libc.read(one, 3), libc.readv(one, [4, 100])])
    t("zero", [libc.write(two, b""), libc.read(one, 0)])
    os.set_blocking(one, False)
    t("empty", libc.read(one, 10)[0])
    filled = 0
    os.set_blocking(two, False)
    while isinstance(count := libc.write(two, b"z" * 65536), int):
        filled += count
    t("full", [filled, count])
    event = os.eventfd(3)
    t("eventfd", libc.read(event, 8))
    t("eventfd short", libc.read(event, 4)[0])
    poller = select.epoll()
    t("epoll fd", [libc.read(poller.fileno(), 8)[0], libc.write(poller.fileno(), b"x")])
    os.close(one)


@behaviour("fds.sendfile_number_reuse", "sendfile towards a number that is no connection any more")
def sendfile_number_reuse(t):
    client, server = pair(t)
    fd = server.detach()
    libc.send(fd, b"x")
    one, two = os.pipe()
    os.dup2(two, fd)
    with open("/proc/version", "rb", buffering=0) as source:
        count = libc.sendfile(fd, source.fileno(), None, 10)
    t("sendfile", count)
    t("data", len(os.read(one, 100)))
    t("peer", libc.recv(client.fileno(), 10))


@behaviour("fds.high_numbers", "connections under high descriptor numbers")
def high_numbers(t):
    client, server = pair(t)
    for number in (255, 256, 511, 850):
        fd = libc.raw("dup2", server.fileno(), number)
        exchange(t, str(number), client, fd)
    t("select", libc.poll([(850, 4)], 0))


@behaviour("fds.unread_close", "close with nothing unread ends cleanly for the peer, twice copied")
def unread_close(t):
    client, server = pair(t)
    copies = [os.dup(server.fileno()) for _ in range(3)]
    server.close()
    for copy in copies:
        t(f"close {copies.index(copy)}", libc.raw("close", copy))
    t("poll", pollfor(client, 0x2000))
    t("end", libc.recv(client.fileno(), 10))


def ask(address, word):
    """What a service at ADDRESS answers to WORD."""
    client = tcp()
    client.connect(address)
    client.sendall(word + b" ")
    answer = take(client, 100)
    client.close()
    return answer


@behaviour("fds.daemon", "daemon(3): in the background, stdout elsewhere, the listener serves on")
def daemon(t):
    lsock = listener()
    service = Service("service", "daemons", descriptors={1: os.open("/dev/null", os.O_WRONLY),
                                                         SOCKET: lsock})
    t("answer", ask(lsock.getsockname(), b"hello"))
    service.observe(t)


@behaviour("fds.close_all", "programs that close all they do not know: by a loop, close_range with "
           "its flags, closefrom; the listener still serves")
def close_all(t):
    lsock = listener()
    service = Service("service", "close_all", descriptors={SOCKET: lsock})
    for number in range(5):
        t(f"answer {number}", ask(lsock.getsockname(), b"hello%d" % number))
    service.observe(t)


@behaviour("fds.epoll_inherited", "an epoll and its connection inherited over exec")
def epoll_inherited(t):
    client, server = pair(t)
    poller = select.epoll()
    poller.register(server, select.EPOLLIN)
    fd = server.fileno()
    program = ("import os, select, sys\n"
               "p, fd = int(sys.argv[1]), int(sys.argv[2])\n"
               "e = select.epoll.fromfd(p)\n"
               "print([(f == fd, b) for f, b in e.poll(5)])\n"
               "print(os.read(fd, 100), e.poll(0), os.write(fd, b'answer'))\n")
    send_each(client, [b"one ", b"two"])
    done = subprocess.run([sys.executable, "-c", program, str(poller.fileno()), str(fd)],
                          pass_fds=[poller.fileno(), fd], stdout=subprocess.PIPE, check=False)
    t("output", done.stdout)
    t("answer", take(client, 6))


@behaviour("fds.vfork_options", "a vfork child's dup2 over a connection's number leaves the "
           "parent's options alone")
def vfork_options(t):
    _, server = pair(t)
    _, other = pair(t)
    service = Service("service", "vfork_options", descriptors={0: server, SOCKET: other})
    service.observe(t)


class Aiocb(ctypes.Structure):
    """struct aiocb of 64-bit Linux; NOTIFY is sigev_notify, 1 for none."""

    _fields_ = [("fildes", ctypes.c_int), ("opcode", ctypes.c_int), ("prio", ctypes.c_int),
                ("buf", ctypes.c_void_p), ("nbytes", ctypes.c_size_t), ("value", ctypes.c_void_p),
                ("signo", ctypes.c_int), ("notify", ctypes.c_int), ("rest", ctypes.c_char * 200)]


def aio(name, fd, buffer, size):
    """aio_read or aio_write to its end: the result, or its errno's name."""
    block = Aiocb(fildes=fd, buf=ctypes.addressof(buffer), nbytes=size, notify=1)
    waiting = (ctypes.c_void_p * 1)(ctypes.addressof(block))
    libc.LIBC.aio_return.restype = ctypes.c_long
    getattr(libc.LIBC, name)(ctypes.byref(block))
    libc.LIBC.aio_suspend(waiting, 1, None)
    error = libc.LIBC.aio_error(ctypes.byref(block))
    result = libc.LIBC.aio_return(ctypes.byref(block))
    return libc.errno_name(error) if error else result


@behaviour("fds.aio", "POSIX aio_write and aio_read, of small pieces, of 4 MB, at the end of file")
def posix_aio(t):
    client, server = pair(t)
    room = ctypes.create_string_buffer(b"by aio", 4 << 20)
    t("write", aio("aio_write", client.fileno(), room, 6))
    t("data", take(server, 6))
    send_each(server, [b"answer"])
    t("read", aio("aio_read", client.fileno(), room, 100))
    t("answer", room.raw[:6])
    reading = Background(take, server, 4 << 20, 2)
    t("large", aio("aio_write", client.fileno(), room, 4 << 20))
    t("large data", len(reading.result()))
    server.close()
    t("end", aio("aio_read", client.fileno(), room, 100))
