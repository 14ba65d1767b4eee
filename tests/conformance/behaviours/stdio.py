# SPDX-License-Identifier: BSD-3-Clause
"""Connections used through stdio: fdopen, fgets, fprintf, fwrite, dprintf, and as a program's
stdin, stdout and stderr."""

import ctypes
import errno
import os
import signal
import socket
import struct
import subprocess
import sys

import libc
from harness import (Background, Signals, alarms, behaviour, in_child, nodelay, pair, pattern,
                     quiet, send_each, take, tight)
from services import SOCKET, Service, inetd

LIBC = libc.LIBC
EOF = -1


def fdopen(fd, mode):
    LIBC.fdopen.restype = ctypes.c_void_p
    return ctypes.c_void_p(LIBC.fdopen(fd, mode))


def call(name, *args):
    """The int that a stdio function returns, and the errno where it left one."""
    ctypes.set_errno(0)
    result = getattr(LIBC, name)(*args)
    error = ctypes.get_errno()
    return [result, libc.errno_name(error)] if error else result


def fread(stream, size):
    room = ctypes.create_string_buffer(size)
    LIBC.fread.restype = ctypes.c_size_t
    got = LIBC.fread(room, ctypes.c_size_t(1), ctypes.c_size_t(size), stream)
    return room.raw[:got]


def fwrite(stream, data):
    LIBC.fwrite.restype = ctypes.c_size_t
    return LIBC.fwrite(data, ctypes.c_size_t(1), ctypes.c_size_t(len(data)), stream)


def fgets(stream, size=200):
    room = ctypes.create_string_buffer(size)
    LIBC.fgets.restype = ctypes.c_void_p
    return room.value if LIBC.fgets(room, size, stream) else None


@behaviour("stdio.lines", "fgets reads lines however they were sent")
def lines(t):
    client, server = pair(t)
    stream = fdopen(server.detach(), b"r")
    send_each(client, [b"one\ntw", b"o\n", b"three\nfour\n", b"end"])
    t("lines", [fgets(stream) for _ in range(4)])
    client.close()
    t("rest", fgets(stream))
    t("end", fgets(stream))
    t("feof", LIBC.feof(stream) != 0)
    t("close", LIBC.fclose(stream))


@behaviour("stdio.write", "fprintf, fputs and fflush deliver; fclose delivers what is buffered")
def write(t):
    client, server = pair(t)
    stream = fdopen(client.detach(), b"w")
    t("fprintf", LIBC.fprintf(stream, b"number %d\n", 42))
    t("fflush", LIBC.fflush(stream))
    t("first", take(server, 10))
    LIBC.fputs(b"buffered until the end\n", stream)
    t("fclose", LIBC.fclose(stream))
    t("rest", take(server, 100))


@behaviour("stdio.large_write", "fwrite of 1 MB arrives whole")
def large_write(t):
    client, server = pair(t)
    stream = fdopen(client.detach(), b"w")
    data = pattern(1 << 20)
    reading = Background(take, server, len(data))
    t("fwrite", fwrite(stream, data))
    t("fflush", LIBC.fflush(stream))
    t("data", reading.result() == data)


@behaviour("stdio.large_read", "fread of 300 KB gathers many messages")
def large_read(t):
    client, server = pair(t)
    stream = fdopen(server.detach(), b"r")
    data = pattern(300000)
    sending = Background(client.sendall, data)
    t("data", fread(stream, len(data)) == data)
    sending.result()


@behaviour("stdio.dprintf", "dprintf, short and 300 KB long")
def dprintf(t):
    client, server = pair(t)
    t("short", LIBC.dprintf(client.fileno(), b"%s %d\n", b"line", 7))
    t("data", take(server, 7))
    text = pattern(300000).replace(b"\0", b".").replace(b"%", b".")
    reading = Background(take, server, len(text))
    t("long", LIBC.dprintf(client.fileno(), b"%s", ctypes.c_char_p(text)))
    t("long data", reading.result() == text)


@behaviour("stdio.two_streams", "the usual pair of streams over one connection, for reading and "
           "writing")
def two_streams(t):
    client, server = pair(t)
    nodelay(client)
    reader = fdopen(os.dup(server.fileno()), b"r")
    writer = fdopen(server.detach(), b"w")
    for number in range(3):
        client.sendall(b"question %d\n" % number)
        line = fgets(reader)
        LIBC.fprintf(writer, b"answer to %s", line)
        LIBC.fflush(writer)
        t(f"answer {number}", take(client, 21))


@behaviour("stdio.makefile", "Python's makefile: readline and write on one connection")
def makefile(t):
    client, server = pair(t)
    stream = server.makefile("rwb")
    send_each(client, [b"first line\nsec", b"ond line\n"])
    t("lines", [stream.readline(), stream.readline()])
    stream.write(b"w" * 200000)
    reading = Background(take, client, 200000)
    stream.flush()
    t("written", reading.result() == b"w" * 200000)


@behaviour("stdio.standard_streams", "a C program's stdin and stdout are the connection: 80 KB in "
           "lines through grep")
def standard_streams(t):
    client, server = pair(t)
    worker = subprocess.Popen(["/bin/grep", "--line-buffered", "x"], stdin=server, stdout=server)
    server.close()
    lines = [b"xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx%c\n" % (65 + n % 26) for n in range(2000)]
    sending = Background(client.sendall, b"".join(lines))
    t("answer", take(client, 80000, 8) == b"".join(lines))
    sending.result()
    client.close()
    t("status", worker.wait(8))


@behaviour("stdio.large_output", "a program prints 1 MB to a stdout that is the connection")
def large_output(t):
    client, server = pair(t)
    worker = subprocess.Popen([sys.executable, "-c", "print('z' * 1048576)"], stdout=server)
    server.close()
    t("data", len(take(client, 1048577, 8)))
    t("end", libc.recv(client.fileno(), 10))
    t("status", worker.wait(8))


@behaviour("stdio.perror", "stderr as the connection: unbuffered small writes")
def stderr(t):
    client, server = pair(t)
    worker = subprocess.Popen(["/bin/ls", "/nonexistent-name"], stderr=server)
    server.close()
    t("message", b"nonexistent-name" in take(client, 200, 8))
    t("status", worker.wait(8))


@behaviour("stdio.modes", "fdopen's modes: which are taken, and what they allow")
def modes(t):
    client, server = pair(t)
    for mode in (b"r", b"rb", b"w", b"a", b"r+", b"w+", b"a+", b"rb+", b"re", b"wxe+", b"r,ccs=x",
                 b"rabcd+", b"", b"+r", b"x", b"R"):
        stream = fdopen(os.dup(server.fileno()), mode)
        if not stream:
            t(mode.decode(), libc.errno_name(ctypes.get_errno()))
            continue
        client.sendall(b"xy")
        pollable = [call("fgetc", stream), call("clearerr", stream) and None,
                    call("fputc", 65, stream), call("fflush", stream)]
        t(mode.decode(), [*pollable, call("fclose", stream)])
        take(server, 2) if pollable[0] != 120 else None
    t("append", libc.raw("fcntl", server.fileno(), 3, 0) & os.O_APPEND != 0)
    stream = fdopen(999, b"r")
    t("bad descriptor", [bool(stream), libc.errno_name(ctypes.get_errno())])


@behaviour("stdio.both_ways", "one stream opened for reading and writing")
def both_ways(t):
    client, server = pair(t)
    stream = fdopen(server.detach(), b"r+")
    for number in range(3):
        send_each(client, [b"question %d\n" % number])
        t(f"line {number}", fgets(stream))
        t(f"write {number}", [call("fputs", b"answer\n", stream), call("fflush", stream)])
        t(f"answer {number}", take(client, 7))
    send_each(client, [b"one\ntwo\n"])
    t("one", fgets(stream))
    t("write before all is read", [call("fputs", b"x", stream), call("fflush", stream)])
    client.setblocking(False)
    t("sent", libc.recv(client.fileno(), 10))
    t("two", fgets(stream))


@behaviour("stdio.buffering", "unbuffered, by lines, with the program's own buffer: what leaves "
           "when")
def buffering(t):
    client, server = pair(t)
    nodelay(client)
    stream = fdopen(client.detach(), b"w")
    LIBC.__fbufsize.restype = LIBC.__fpending.restype = ctypes.c_size_t
    call("fputs", b"full", stream)
    t("full", [LIBC.__fbufsize(stream), LIBC.__fpending(stream), quiet(server, 0.05)])
    call("fflush", stream)
    t("flushed", take(server, 4))
    t("line", call("setvbuf", stream, None, 1, ctypes.c_size_t(0)))
    call("fputs", b"a line\nand", stream)
    t("line data", [take(server, 7), LIBC.__fpending(stream)])
    t("none", call("setvbuf", stream, None, 2, ctypes.c_size_t(0)))
    call("fputs", b" more", stream)
    t("none data", [take(server, 8), LIBC.__fbufsize(stream)])
    room = ctypes.create_string_buffer(1000)
    t("own", call("setvbuf", stream, room, 0, ctypes.c_size_t(1000)))
    t("own size", [fwrite(stream, b"z" * 1500), LIBC.__fbufsize(stream)])
    t("own data", [len(take(server, 1000)), LIBC.__fpending(stream)])
    for _ in range(600):
        LIBC.putc(97, stream)
    t("own more", [len(take(server, 1000)), LIBC.__fpending(stream)])
    t("close", call("fclose", stream))
    t("rest", len(take(server, 2000)))


@behaviour("stdio.number", "fileno, and fclose closes the descriptor once")
def number(t):
    client, server = pair(t)
    fd = os.dup(server.fileno())
    stream = fdopen(fd, b"r")
    t("fileno", LIBC.fileno(stream) == fd)
    t("fclose", call("fclose", stream))
    one, two = os.pipe()
    t("number is free", one == fd)
    os.write(two, b"x")
    t("and stays", libc.read(one, 10))
    t("the other copy", [libc.send(server.fileno(), b"y"), take(client, 1)])
    stream = fdopen(server.fileno(), b"w")
    os.close(server.detach())
    t("fclose of a closed one", call("fclose", stream))


@behaviour("stdio.seek", "positions do not exist: ESPIPE")
def seek(t):
    client, server = pair(t)
    stream = fdopen(server.detach(), b"r")
    client.sendall(b"abc")
    t("getc", LIBC.getc(stream))
    t("fseek", call("fseek", stream, ctypes.c_long(0), 0))
    t("ftell", call("ftell", stream))
    t("fseeko", call("fseeko", stream, ctypes.c_long(0), 2))
    call("rewind", stream)
    t("next", [LIBC.getc(stream), LIBC.ferror(stream)])


@behaviour("stdio.reopened", "freopen makes a file of a connection's stream, and ends the "
           "connection")
def reopened(t):
    client, server = pair(t)
    stream = fdopen(server.detach(), b"r+")
    fd = LIBC.fileno(stream)
    send_each(client, [b"unread"])
    t("fputs", call("fputs", b"unflushed", stream) != EOF)
    LIBC.freopen.restype = ctypes.c_void_p
    t("freopen", LIBC.freopen(b"/proc/sys/kernel/ostype", b"r", stream) == stream.value)
    t("fileno", LIBC.fileno(stream) == fd)
    t("data", fgets(stream))
    t("peer", take(client, 9))
    t("wide", LIBC.fwide(stream, 0))
    t("fclose", call("fclose", stream))


@behaviour("stdio.not_reopened", "a freopen that fails ends the connection")
def not_reopened(t):
    client, server = pair(t)
    stream = fdopen(server.detach(), b"w")
    fd = LIBC.fileno(stream)
    LIBC.freopen.restype = ctypes.c_void_p
    t("freopen", [LIBC.freopen(b"/nonexistent/name", b"w", stream),
                  libc.errno_name(ctypes.get_errno())])
    t("descriptor", libc.raw("fcntl", fd, 1, 0))
    t("peer", libc.recv(client.fileno(), 10))


@behaviour("stdio.broken", "writing to a broken connection: EPIPE at the flush, one SIGPIPE, "
           "ferror")
def broken(t):
    client, server = pair(t)
    pipes = Signals(signal.SIGPIPE)
    stream = fdopen(client.detach(), b"w")
    server.close()
    t("first", [call("fputs", b"x", stream) != EOF, call("fflush", stream), pipes.seen()])
    libc.poll([(LIBC.fileno(stream), 8)], 1000)
    t("second", [call("fputs", b"x", stream) != EOF, call("fflush", stream)[0],
                 LIBC.ferror(stream), pipes.seen()])
    t("fclose", [call("fputs", b"x", stream) != EOF, call("fclose", stream)])


@behaviour("stdio.nonblocking", "non-blocking: EAGAIN is an error of the stream, and can be "
           "cleared")
def nonblocking(t):
    client, server = tight(t)
    server.setblocking(False)
    reader, writer = fdopen(os.dup(server.fileno()), b"r"), fdopen(server.fileno(), b"w")
    t("empty", [call("getc", reader), LIBC.ferror(reader), LIBC.feof(reader)])
    LIBC.clearerr(reader)
    send_each(client, [b"ab"])
    t("then", [LIBC.getc(reader), LIBC.getc(reader), call("getc", reader)])
    data = pattern(4 << 20)
    sent = fwrite(writer, data)
    t("full", [0 < sent < len(data), LIBC.ferror(writer),
               libc.errno_name(ctypes.get_errno())])


@behaviour("stdio.interrupted", "a signal ends fgets with EINTR; a timeout with EAGAIN")
def interrupted(t):
    client, server = pair(t)
    stream = fdopen(server.fileno(), b"r")
    signals = Signals(signal.SIGALRM)
    alarms(0.2)
    t("fgets", [fgets(stream), libc.errno_name(ctypes.get_errno()), LIBC.ferror(stream)])
    t("signals", signals.some())
    LIBC.clearerr(stream)
    server.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, struct.pack("ll", 0, 100000))
    t("timeout", [fgets(stream), libc.errno_name(ctypes.get_errno())])
    LIBC.clearerr(stream)
    send_each(client, [b"afterwards\n"])
    t("line", fgets(stream))


@behaviour("stdio.forked", "what is buffered is written by both processes after fork")
def forked(t):
    client, server = pair(t)
    stream = fdopen(client.fileno(), b"w")
    call("fputs", b"twice;", stream)
    t("child", in_child(call, "fflush", stream).result())
    t("parent", call("fflush", stream))
    t("data", take(server, 12))


@behaviour("stdio.half_closed", "the end that shut down writing reads the answer to its end")
def half_closed(t):
    client, server = pair(t)
    mine, theirs = fdopen(client.fileno(), b"r+"), fdopen(server.fileno(), b"r+")
    call("fputs", b"question\n", mine)
    call("fflush", mine)
    t("shutdown", libc.raw("shutdown", client.fileno(), 1))
    t("question", [fgets(theirs), fgets(theirs), LIBC.feof(theirs) != 0])
    LIBC.clearerr(theirs)
    call("fputs", b"answer\n" * 30000, theirs)
    answering = Background(call, "fflush", theirs)
    t("answer", fread(mine, 210000) == b"answer\n" * 30000)
    t("fflush", answering.result())
    call("fclose", theirs)
    t("end", [fgets(mine), LIBC.feof(mine) != 0])
    server.detach()


@behaviour("stdio.wide", "wide characters: what is printed and read, 60 KB, fclose")
def wide(t):
    client, server = pair(t)
    writer, reader = fdopen(client.detach(), b"w"), fdopen(server.fileno(), b"r")
    t("before", LIBC.fwide(writer, 0))
    t("fwprintf", LIBC.fwprintf(writer, "%d wide\n", 7))
    t("fputws", LIBC.fputws("x" * 299, writer) >= 0)
    t("after", [LIBC.fwide(writer, 0) > 0, LIBC.fflush(writer)])
    room = ctypes.create_unicode_buffer(200)
    LIBC.fgetws.restype = ctypes.c_void_p
    t("fgetws", [LIBC.fgetws(room, 200, reader) is not None, room.value])
    t("fgetwc", [LIBC.fgetwc(reader) for _ in range(299)] == [120] * 299)
    writing = Background(lambda: [LIBC.fputws("y" * 60000, writer) >= 0,
                                  call("fclose", writer)])
    t("large", [LIBC.fgetwc(reader) for _ in range(60000)] == [121] * 60000)
    t("closed", writing.result())
    t("end", [LIBC.fgetwc(reader) == LIBC.fgetwc(reader), LIBC.feof(reader) != 0])
    t("fclose", call("fclose", reader))
    t("number", libc.raw("fcntl", server.detach(), 1, 0))


# --- services ------------------------------------------------------------------------------------

@behaviour("stdio.service_lines", "a C service on stdin and stdout: fgets, printf, fflush, end of "
           "file")
def service_lines(t):
    client, server = pair(t)
    nodelay(client)
    service = inetd(server, "lines")
    t("greeting", take(client, 6))
    for line in (b"one", b"two"):
        send_each(client, [line[:1], line[1:] + b"\n"])
        t(line.decode(), take(client, 8))
    client.close()
    service.observe(t)


@behaviour("stdio.service_chars", "getchar and putchar, 200 KB, the last of it written at exit")
def service_chars(t):
    client, server = pair(t)
    service = inetd(server, "chars")
    data = bytes(byte | 64 for byte in pattern(200000))
    sending = Background(client.sendall, data)
    t("data", take(client, 196608) == bytes(byte ^ 1 for byte in data[:196608]))
    sending.result()
    client.shutdown(socket.SHUT_WR)
    t("rest", take(client, 10000) == bytes(byte ^ 1 for byte in data[196608:]))
    t("status", service.status())


@behaviour("stdio.service_output", "a service prints 3 MB by fwrite, fputs, printf, putchar, puts")
def service_output(t):
    client, server = pair(t)
    service = inetd(server, "output")
    size = 3 * (1 << 20) + 6 + 1 + 5000 + 4
    got = take(client, size + 1)
    t("data", [len(got) - size, got[:8], got[-5:], got.count(b"a") - 3 * (1 << 20)])
    t("end", libc.recv(client.fileno(), 10))
    service.observe(t)


@behaviour("stdio.service_input", "scanf, ungetc, getline, fread of records")
def service_input(t):
    client, server = pair(t)
    service = inetd(server, "numbers")
    send_each(client, [b"12", b"34 wo", b"rd rest\nsecond ", b"line\n", b"1234567" * 5000, b"123"])
    client.close()
    service.observe(t)


@behaviour("stdio.service_closed", "a service closes stdin and stdout and goes on printing: "
           "errors, the peer's end of file")
def service_closed(t):
    client, server = pair(t)
    service = inetd(server, "closed")
    t("data", take(client, 100, 0.7))
    t("end", libc.recv(client.fileno(), 10))
    service.observe(t)


@behaviour("stdio.service_reopened", "a service reopens stdin and stdout as files")
def service_reopened(t):
    client, server = pair(t)
    service = inetd(server, "reopened")
    client.sendall(b"word and the rest")
    t("data", take(client, 12))
    t("end", libc.recv(client.fileno(), 10)[0])
    service.observe(t)


@behaviour("stdio.service_buffering", "buffers of stdin, stdout and stderr, and setvbuf")
def service_buffering(t):
    client, server = pair(t)
    service = inetd(server, "buffering", errors=True)
    client.sendall(b"x")
    t("data", take(client, 100, 1))
    service.observe(t)


@behaviour("stdio.service_seek", "stdin and stdout have no position")
def service_seek(t):
    client, server = pair(t)
    service = inetd(server, "seek")
    client.sendall(b"xyz")
    t("data", take(client, 10, 1))
    service.observe(t)


@behaviour("stdio.service_forks", "buffered output and fork, exit and _exit")
def service_forks(t):
    client, server = pair(t)
    service = inetd(server, "forks")
    t("data", take(client, 200, 1))
    t("status", service.status())


@behaviour("stdio.service_complaints", "fprintf(stderr), perror, warn, psignal, err")
def service_complaints(t):
    client, server = pair(t)
    service = inetd(server, "complaints", errors=True)
    t("data", take(client, 1000, 1).decode().replace("\n", "/"))
    t("status", service.status())


@behaviour("stdio.service_children", "system and popen of a service")
def service_children(t):
    client, server = pair(t)
    service = inetd(server, "children")
    send_each(client, [b"for head\n"])
    t("data", take(client, 100, 2))
    service.observe(t)


@behaviour("stdio.service_threads", "four threads print lines: each line is whole")
def service_threads(t):
    client, server = pair(t)
    service = inetd(server, "threads")
    lines = sorted(take(client, 4 * 500 * 61 + 1).splitlines())
    t("lines", [len(lines), sorted(set(lines))])
    t("status", service.status())


@behaviour("stdio.service_cancelled", "a thread cancelled in fgets leaves the stream in order")
def service_cancelled(t):
    client, server = pair(t)
    service = inetd(server, "cancelled")
    t("data", take(client, 6))
    client.sendall(b"a line\n")
    service.observe(t)


@behaviour("stdio.service_cancelled_exit", "a thread that is to be cancelled calls _exit: the process "
           "ends")
def service_cancelled_exit(t):
    client, server = pair(t)
    client.sendall(b"x")
    service = inetd(server, "cancelled_exit")
    service.observe(t)
    t("end", libc.recv(client.fileno(), 10)[0])


@behaviour("stdio.service_memory", "streams in memory, one of them as stdout")
def service_memory(t):
    client, server = pair(t)
    service = inetd(server, "memory")
    t("data", take(client, 100, 1))
    service.observe(t)


@behaviour("stdio.service_early", "streams taken before any constructor are the same ones")
def service_early(t):
    client, server = pair(t)
    service = inetd(server, "early")
    data = pattern(8192)
    client.sendall(data)
    t("data", take(client, 4096) == data[:4096])
    client.close()
    service.observe(t)


@behaviour("stdio.service_wide", "wide characters on stdout")
def service_wide(t):
    client, server = pair(t)
    service = inetd(server, "wide")
    t("data", take(client, 10, 1))
    service.observe(t)


@behaviour("stdio.redirected", "dup2 of a connection over stdin and stdout, and back")
def redirected(t):
    client, server = pair(t)
    source, sink = os.pipe()
    here, there = os.pipe()
    os.write(there, b"from the pipe\n")
    os.close(there)
    send_each(client, [b"from the peer\n"])
    service = Service("service", "redirect", descriptors={0: here, 1: sink, SOCKET: server})
    os.close(sink)
    server.close()
    t("to the peer", take(client, 100, 2))
    service.observe(t)
    t("to the pipe", os.read(source, 1000))


@behaviour("stdio.redirected_by_dup", "close and dup make a connection stdin and stdout")
def redirected_by_dup(t):
    client, server = pair(t)
    source, sink = os.pipe()
    service = Service("service", "by_dup", descriptors={1: sink, SOCKET: server})
    server.close()
    os.close(sink)
    client.sendall(b"a line\n")
    t("to the peer", take(client, 100, 2))
    service.observe(t)
    t("to the pipe", os.read(source, 100))


@behaviour("stdio.vfork", "a vfork child with the connection as stdin and stdout: its parent's "
           "streams stay")
def vfork(t):
    client, server = pair(t)
    source, sink = os.pipe()
    send_each(client, [b"through cat"])
    service = Service("service", "vforks", descriptors={1: sink, SOCKET: server})
    server.close()
    os.close(sink)
    t("to the peer", take(client, 11))
    t("to the pipe", os.read(source, 1000))
    client.close()
    service.observe(t)


@behaviour("stdio.own_buffers", "Perl and Python services, which have buffers of their own")
def own_buffers(t):
    for name, args in {"perl": ("/usr/bin/perl", "-e", "$| = 1; while (<STDIN>) { print uc }"),
                       "python": (sys.executable, "-c", "import sys\n"
                                  "for line in sys.stdin: print(line.upper(), end='', flush=True)")
                       }.items():
        client, server = pair(t)
        service = inetd(server, *args[1:], name=args[0])
        data = b"a line of thirty-two characters\n" * 2048
        sending = Background(client.sendall, data)
        t(name, take(client, len(data)) == data.upper())
        sending.result()
        client.close()
        t(name + " status", service.status())


def register_iostream(name, args):
    @behaviour(f"stdio.{name}", "a C++ service on std::cin and std::cout"
               + (", not synchronized with stdio" if args else ""))
    def iostream(t):
        client, server = pair(t)
        nodelay(client)
        service = inetd(server, *args, name="iostream", errors=True)
        for line in (b"one", b"two"):
            send_each(client, [line[:1], line[1:] + b"\n"])
            t(line.decode(), take(client, 6))
        client.close()
        t("status", service.status())


register_iostream("iostream", ())
register_iostream("iostream_fast", ("fast",))


@behaviour("stdio.iostream_large", "std::cout prints 1 MB at once")
def iostream_large(t):
    client, server = pair(t)
    service = inetd(server, name="iostream", errors=True)
    client.sendall(b"large\n")
    t("data", take(client, 8 + (1 << 20) + 4) == b"1 large\n" + b"c" * (1 << 20) + b"end\n")
    client.close()
    t("status", service.status())
