# SPDX-License-Identifier: BSD-3-Clause
"""Connections used through stdio: fdopen, fgets, fprintf, fwrite, dprintf."""

import ctypes
import os
import subprocess
import sys

import libc
from harness import Background, behaviour, nodelay, pair, pattern, send_each, take

LIBC = libc.LIBC


def fdopen(fd, mode):
    LIBC.fdopen.restype = ctypes.c_void_p
    return ctypes.c_void_p(LIBC.fdopen(fd, mode))


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


@behaviour("stdio.large_write", "fwrite of 1 MB arrives whole",
           pending="buffered stdio writes pass by the shim yet")
def large_write(t):
    client, server = pair(t)
    stream = fdopen(client.detach(), b"w")
    data = pattern(1 << 20)
    reading = Background(take, server, len(data))
    LIBC.fwrite.restype = ctypes.c_size_t
    t("fwrite", LIBC.fwrite(data, ctypes.c_size_t(1), ctypes.c_size_t(len(data)), stream))
    t("fflush", LIBC.fflush(stream))
    t("data", reading.result() == data)


@behaviour("stdio.large_read", "fread of 300 KB gathers many messages")
def large_read(t):
    client, server = pair(t)
    stream = fdopen(server.detach(), b"r")
    data = pattern(300000)
    sending = Background(client.sendall, data)
    room = ctypes.create_string_buffer(len(data))
    LIBC.fread.restype = ctypes.c_size_t
    t("fread", LIBC.fread(room, ctypes.c_size_t(1), ctypes.c_size_t(len(data)), stream))
    t("data", room.raw == data)
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
