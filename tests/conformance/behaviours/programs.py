# SPDX-License-Identifier: BSD-3-Clause
"""Client and server as separate programs, in several languages."""

import os
import shutil
import socket
import subprocess
import sys
import tempfile

import libc
from harness import Background, Skip, behaviour, listener, pair, pattern, port_of, take, tcp

ECHO = """
import socket, sys
l = socket.socket(); l.bind(('127.0.0.1', 0)); l.listen(5)
print(l.getsockname()[1], flush=True)
for _ in range(int(sys.argv[1])):
    c, a = l.accept()
    while d := c.recv(65536):
        c.sendall(d)
    c.close()
"""


def start(program, *args):
    """Start a Python program that prints its port first: (process, port)."""
    worker = subprocess.Popen([sys.executable, "-c", program, *args], stdout=subprocess.PIPE)
    return worker, int(worker.stdout.readline())


@behaviour("programs.echo", "an echo server in a program of its own, 1 MB there and back")
def echo(t):
    worker, port = start(ECHO, "1")
    client = tcp()
    client.connect(("127.0.0.1", port))
    t.prove(client)
    data = pattern(1 << 20)
    sending = Background(client.sendall, data)
    t("echoed", take(client, len(data)) == data)
    sending.result()
    client.close()
    t("status", worker.wait(8))


@behaviour("programs.echo_small", "an echo server in a program of its own, 200 small exchanges")
def echo_small(t):
    worker, port = start(ECHO, "1")
    client = tcp()
    client.connect(("127.0.0.1", port))
    good = 0
    for number in range(200):
        client.sendall(b"%03d" % number)
        good += take(client, 3) == b"%03d" % number
    t("good", good)
    client.close()
    t("status", worker.wait(8))


@behaviour("programs.one_after_another", "three clients one after the other, one server program")
def one_after_another(t):
    worker, port = start(ECHO, "3")
    for number in range(3):
        client = tcp()
        client.connect(("127.0.0.1", port))
        client.sendall(b"client %d" % number)
        t(f"client {number}", take(client, 8))
        client.close()
    t("status", worker.wait(8))


def connecting(lsock, then):
    """A program that connects to LSOCK as s and does THEN."""
    program = ("import socket,sys,time\n"
               "s=socket.create_connection(('127.0.0.1',int(sys.argv[1])))\n" + then)
    return subprocess.Popen([sys.executable, "-c", program, str(port_of(lsock))])


@behaviour("programs.close_delivers", "a program that sends 2 MB, closes and exits at once: all "
           "arrives, then end of file")
def close_delivers(t):
    lsock = listener()
    worker = connecting(lsock, "s.sendall(b'0123456789abcdef'*131072)")
    server, _ = lsock.accept()
    t.prove(server)
    data = take(server, 3 << 20, 8)
    t("data", data == b"0123456789abcdef" * 131072)
    t("end", libc.recv(server.fileno(), 10))
    t("status", worker.wait(8))


@behaviour("programs.killed", "a program killed while connected: the peer reads end of file")
def killed(t):
    lsock = listener()
    worker = connecting(lsock, "s.sendall(b'ready'); time.sleep(60)")
    server, _ = lsock.accept()
    t("ready", take(server, 5, 8))
    worker.kill()
    t("end", libc.recv(server.fileno(), 10))
    t("status", worker.wait(8))


@behaviour("programs.refused", "a client program meets a closed port and says why")
def refused(t):
    program = ("import socket\ns=socket.socket()\nb=socket.socket(); b.bind(('127.0.0.1',0))\n"
               "p=b.getsockname(); b.close()\n"
               "try: s.connect(p)\nexcept OSError as e: print(e.strerror)\n")
    done = subprocess.run([sys.executable, "-c", program], stdout=subprocess.PIPE, check=False)
    t("output", done.stdout)


@behaviour("programs.http", "an HTTP server and client of Python's library, 500 KB, keep-alive")
def http(t):
    program = """
import http.server
class H(http.server.BaseHTTPRequestHandler):
    protocol_version = 'HTTP/1.1'
    def do_GET(self):
        body = self.path.encode() * 50000
        self.send_response(200); self.send_header('Content-Length', str(len(body)))
        self.end_headers(); self.wfile.write(body)
    def log_message(self, *a): pass
s = http.server.HTTPServer(('127.0.0.1', 0), H)
print(s.server_port, flush=True)
s.handle_request()
"""
    import http.client
    worker, port = start(program)
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=8)
    for number in range(3):
        connection.request("GET", f"/request{number}")
        body = connection.getresponse().read()
        t(f"body {number}", body == b"/request%d" % number * 50000)
    t.prove(connection.sock)
    connection.close()
    t("status", worker.wait(8))


@behaviour("programs.asyncio", "an asyncio server and client, ten streams at once")
def asyncio_streams(t):
    program = """
import asyncio
async def serve(r, w):
    while line := await r.readline():
        w.write(line.upper()); await w.drain()
    w.close()
async def main():
    async def client(n, port):
        r, w = await asyncio.open_connection('127.0.0.1', port)
        out = []
        for i in range(10):
            w.write(b'line %d of %d\\n' % (i, n)); await w.drain()
            out.append(await r.readline())
        w.close()
        return out == [b'LINE %d OF %d\\n' % (i, n) for i in range(10)]
    s = await asyncio.start_server(serve, '127.0.0.1', 0)
    port = s.sockets[0].getsockname()[1]
    print(await asyncio.gather(*[client(n, port) for n in range(10)]))
asyncio.run(main())
"""
    done = subprocess.run([sys.executable, "-c", program], stdout=subprocess.PIPE, check=False)
    t("output", done.stdout)
    t("status", done.returncode)


@behaviour("programs.shell", "bash's /dev/tcp: a shell speaks to a server line by line")
def shell(t):
    if not os.access("/bin/bash", os.X_OK):
        raise Skip("bash is not installed")
    lsock = listener()
    worker = subprocess.Popen(["bash", "-c", f"exec 3<>/dev/tcp/127.0.0.1/{port_of(lsock)}; "
                               "echo hello >&3; read -r answer <&3; echo \"$answer\""],
                              stdout=subprocess.PIPE)
    server, _ = lsock.accept()
    t.prove(server)
    t("request", take(server, 6))
    server.sendall(b"good ")
    server.sendall(b"morning\n")
    t("output", worker.communicate(timeout=8)[0])


@behaviour("programs.perl", "a Perl client with stdio-like buffering")
def perl(t):
    if not os.access("/usr/bin/perl", os.X_OK):
        raise Skip("perl is not installed")
    lsock = listener()
    program = ("use IO::Socket::INET; my $s = IO::Socket::INET->new(PeerAddr => '127.0.0.1', "
               f"PeerPort => {port_of(lsock)}) or die; print $s \"from perl\\n\"; "
               "my $line = <$s>; print $line;")
    worker = subprocess.Popen(["perl", "-e", program], stdout=subprocess.PIPE)
    server, _ = lsock.accept()
    t.prove(server)
    t("request", take(server, 10))
    server.sendall(b"to perl\n")
    t("output", worker.communicate(timeout=8)[0])


@behaviour("programs.fork_server", "a forking server program and four clients at once")
def fork_server(t):
    program = """
import os, socket
l = socket.socket(); l.bind(('127.0.0.1', 0)); l.listen(16)
print(l.getsockname()[1], flush=True)
for _ in range(4):
    c, a = l.accept()
    if os.fork() == 0:
        l.close()
        d = c.recv(100)
        c.sendall(d * 1000)
        os._exit(0)
    c.close()
for _ in range(4): os.wait()
"""
    worker, port = start(program)
    clients = [socket.create_connection(("127.0.0.1", port)) for _ in range(4)]
    for number, client in enumerate(clients):
        client.sendall(b"%d" % number)
    t("answers", [take(client, 2000) == b"%d" % number * 1000
                  for number, client in enumerate(clients)])
    t("ends", [libc.recv(client.fileno(), 10)[0] for client in clients])
    t("status", worker.wait(8))


@behaviour("programs.set_uid", "a set-uid program, into which nothing is preloaded, with a "
           "connection as stdin and stdout: small pieces")
def set_uid(t):
    if os.getuid() != 0:
        raise Skip("needs root")
    folder = tempfile.mkdtemp()
    try:
        os.chmod(folder, 0o755)
        program = shutil.copy("/bin/cat", folder)
        os.chmod(program, 0o4755)
        client, server = pair(t)
        worker = subprocess.Popen([program], stdin=server, stdout=server, user=65534)
        server.close()
        for word in (b"one", b"two"):
            client.sendall(word)
            t(word.decode(), take(client, 3))
        with open(f"/proc/{worker.pid}/status", encoding="utf-8") as status:
            t("user", next(line.split()[1:3] for line in status if line.startswith("Uid")))
        with open(f"/proc/{worker.pid}/maps", encoding="utf-8") as maps:
            t("preloaded", "sctpshim" in maps.read())
        client.close()
        t("status", worker.wait(8))
    finally:
        shutil.rmtree(folder)
