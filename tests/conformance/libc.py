# SPDX-License-Identifier: BSD-3-Clause
"""The libc calls as they are: one C call each, no retry after EINTR, the errno's name on failure.

Python's socket module repeats interrupted calls and hides lengths and flags; where a behaviour
depends on the exact call, it uses these.  Every function returns the C return value, or the name
of the errno as a string ("EAGAIN") when that is negative.
"""

import ctypes
import errno
import os
import socket
import struct

LIBC = ctypes.CDLL(None, use_errno=True)
ITSELF = ctypes.CDLL("libc.so.6")       # its own functions, whatever is preloaded

c_int, c_size, c_long, c_void = ctypes.c_int, ctypes.c_size_t, ctypes.c_long, ctypes.c_void_p
BAD = 16                      # an address in the page that is never mapped
IOV_MAX = 1024


def errno_name(number):
    """EAGAIN for 11; socket calls' 95 by the name they document."""
    return "EOPNOTSUPP" if number == errno.EOPNOTSUPP else errno.errorcode.get(number, str(number))


class Iovec(ctypes.Structure):
    _fields_ = [("base", c_void), ("len", c_size)]


class Msghdr(ctypes.Structure):
    _fields_ = [("name", c_void), ("namelen", ctypes.c_uint32), ("iov", c_void),
                ("iovlen", c_size), ("control", c_void), ("controllen", c_size),
                ("flags", c_int)]


class Mmsghdr(ctypes.Structure):
    _fields_ = [("hdr", Msghdr), ("len", ctypes.c_uint)]


class Pollfd(ctypes.Structure):
    _fields_ = [("fd", c_int), ("events", ctypes.c_short), ("revents", ctypes.c_short)]


class Timespec(ctypes.Structure):
    _fields_ = [("sec", c_long), ("nsec", c_long)]


SIGNATURES = {
    "socket": (c_int, c_int, c_int, c_int),
    "socketpair": (c_int, c_int, c_int, c_int, c_void),
    "connect": (c_int, c_int, c_void, ctypes.c_uint32),
    "bind": (c_int, c_int, c_void, ctypes.c_uint32),
    "listen": (c_int, c_int, c_int),
    "accept": (c_int, c_int, c_void, c_void),
    "accept4": (c_int, c_int, c_void, c_void, c_int),
    "getsockname": (c_int, c_int, c_void, c_void),
    "getpeername": (c_int, c_int, c_void, c_void),
    "getsockopt": (c_int, c_int, c_int, c_int, c_void, c_void),
    "setsockopt": (c_int, c_int, c_int, c_int, c_void, ctypes.c_uint32),
    "shutdown": (c_int, c_int, c_int),
    "send": (c_long, c_int, c_void, c_size, c_int),
    "sendto": (c_long, c_int, c_void, c_size, c_int, c_void, ctypes.c_uint32),
    "sendmsg": (c_long, c_int, c_void, c_int),
    "sendmmsg": (c_int, c_int, c_void, ctypes.c_uint, c_int),
    "write": (c_long, c_int, c_void, c_size),
    "writev": (c_long, c_int, c_void, c_int),
    "pwrite": (c_long, c_int, c_void, c_size, c_long),
    "pwritev2": (c_long, c_int, c_void, c_int, c_long, c_int),
    "recv": (c_long, c_int, c_void, c_size, c_int),
    "recvfrom": (c_long, c_int, c_void, c_size, c_int, c_void, c_void),
    "recvmsg": (c_long, c_int, c_void, c_int),
    "recvmmsg": (c_int, c_int, c_void, ctypes.c_uint, c_int, c_void),
    "read": (c_long, c_int, c_void, c_size),
    "readv": (c_long, c_int, c_void, c_int),
    "pread": (c_long, c_int, c_void, c_size, c_long),
    "preadv2": (c_long, c_int, c_void, c_int, c_long, c_int),
    "__read_chk": (c_long, c_int, c_void, c_size, c_size),
    "__recv_chk": (c_long, c_int, c_void, c_size, c_size, c_int),
    "__recvfrom_chk": (c_long, c_int, c_void, c_size, c_size, c_int, c_void, c_void),
    "__poll_chk": (c_int, c_void, ctypes.c_ulong, c_int, c_size),
    "poll": (c_int, c_void, ctypes.c_ulong, c_int),
    "ppoll": (c_int, c_void, ctypes.c_ulong, c_void, c_void),
    "select": (c_int, c_int, c_void, c_void, c_void, c_void),
    "sendfile": (c_long, c_int, c_int, c_void, c_size),
    "sendfile64": (c_long, c_int, c_int, c_void, c_size),
    "splice": (c_long, c_int, c_void, c_int, c_void, c_size, ctypes.c_uint),
    "tee": (c_long, c_int, c_int, c_size, ctypes.c_uint),
    "vmsplice": (c_long, c_int, c_void, c_size, ctypes.c_uint),
    "copy_file_range": (c_long, c_int, c_void, c_int, c_void, c_size, ctypes.c_uint),
    "ioctl": (c_int, c_int, ctypes.c_ulong, c_void),
    "fcntl": (c_int, c_int, c_int, c_long),
    "fcntl64": (c_int, c_int, c_int, c_long),
    "dup": (c_int, c_int),
    "dup2": (c_int, c_int, c_int),
    "dup3": (c_int, c_int, c_int, c_int),
    "close": (c_int, c_int),
    "lseek": (c_long, c_int, c_long, c_int),
    "fsync": (c_int, c_int),
    "ftruncate": (c_int, c_int, c_long),
    "isatty": (c_int, c_int),
    "unshare": (c_int, c_int),
}


def _bind(name):
    function = getattr(LIBC, name)
    function.restype, *function.argtypes = SIGNATURES[name]

    def call(*args):
        ctypes.set_errno(0)
        result = function(*args)
        return result if result >= 0 else errno_name(ctypes.get_errno())

    return call


_CALLS = {}


def raw(name, *args):
    """Call libc's function NAME with ARGS exactly once."""
    if name not in _CALLS:
        _CALLS[name] = _bind(name)
    return _CALLS[name](*args)


def sysnum(name):
    """The number of a system call (x86-64 or the generic table of arm64)."""
    table = {"x86_64": {"read": 0, "write": 1, "sendto": 44, "recvfrom": 45, "connect": 42,
                        "socket": 41, "sendfile": 40, "writev": 20, "readv": 19,
                        "splice": 275},
             "aarch64": {"read": 63, "write": 64, "sendto": 206, "recvfrom": 207,
                         "connect": 203, "socket": 198, "sendfile": 71, "writev": 66,
                         "readv": 65, "splice": 76}}
    return table[os.uname().machine][name]


def syscall(name, *args):
    """The libc function syscall(NAME, ARGS...), every argument passed as a long."""
    function = LIBC.syscall
    function.restype = c_long
    ctypes.set_errno(0)
    result = function(c_long(sysnum(name)), *[c_long(arg) for arg in args])
    return result if result >= 0 else errno_name(ctypes.get_errno())


def kernels_protocol(fd):
    """The protocol of the socket FD, past every preloaded library."""
    value, size = c_int(), ctypes.c_uint32(4)
    assert ITSELF.getsockopt(fd, socket.SOL_SOCKET, socket.SO_PROTOCOL, ctypes.byref(value),
                             ctypes.byref(size)) == 0
    return value.value


def kernels_name(fd):
    """The sockaddr that the socket FD has, past every preloaded library."""
    name, size = ctypes.create_string_buffer(28), ctypes.c_uint32(28)
    assert ITSELF.getsockname(fd, name, ctypes.byref(size)) == 0
    return name.raw


def sockaddr(host, port, family=None):
    """The bytes of a sockaddr_in or sockaddr_in6."""
    if family is None:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
    if ":" in host:
        return struct.pack("=HHI16sI", family, socket.htons(port), 0,
                           socket.inet_pton(socket.AF_INET6, host), 0)
    return struct.pack("=HH4s8x", family, socket.htons(port), socket.inet_aton(host))


def connect(fd, address, length=None):
    data = address if isinstance(address, bytes) else sockaddr(*address)
    return raw("connect", fd, data, len(data) if length is None else length)


def bind(fd, address, length=None):
    data = address if isinstance(address, bytes) else sockaddr(*address)
    return raw("bind", fd, data, len(data) if length is None else length)


def write(fd, data, length=None):
    return raw("write", fd, data, len(data) if length is None else length)


def send(fd, data, flags=0):
    return raw("send", fd, data, len(data), flags)


def recv(fd, size, flags=0, name="recv"):
    """(return value, bytes received)"""
    buffer = ctypes.create_string_buffer(max(size, 1))
    got = raw(name, fd, buffer, size, flags)
    return got, buffer.raw[:got] if isinstance(got, int) and not flags & socket.MSG_TRUNC else b""


def read(fd, size):
    buffer = ctypes.create_string_buffer(max(size, 1))
    got = raw("read", fd, buffer, size)
    return got, buffer.raw[:got] if isinstance(got, int) else b""


def iovec(parts):
    """(array of iovec over PARTS, the buffers it points to): keep the second one alive."""
    buffers = [ctypes.create_string_buffer(part, max(len(part), 1))
               if isinstance(part, bytes) else ctypes.create_string_buffer(max(part, 1))
               for part in parts]
    lengths = [len(part) if isinstance(part, bytes) else part for part in parts]
    array = (Iovec * len(parts))(*[Iovec(ctypes.addressof(b), n)
                                   for b, n in zip(buffers, lengths)])
    return array, buffers


def writev(fd, parts):
    array, keep = iovec(parts)
    result = raw("writev", fd, array, len(parts))
    del keep
    return result


def readv(fd, sizes):
    """(return value, [bytes in each buffer])"""
    array, buffers = iovec(sizes)
    got = raw("readv", fd, array, len(sizes))
    filled, left = [], got if isinstance(got, int) else 0
    for buffer, size in zip(buffers, sizes):
        filled.append(buffer.raw[:min(left, size)])
        left -= min(left, size)
    return got, filled


def msghdr(parts, name=b"", control=b""):
    """(Msghdr, objects to keep alive) for sendmsg and recvmsg; NAME and CONTROL give the space."""
    array, buffers = iovec(parts)
    space = ctypes.create_string_buffer(name, max(len(name), 1))
    room = ctypes.create_string_buffer(control, max(len(control), 1))
    header = Msghdr(ctypes.addressof(space) if name else None, len(name),
                    ctypes.addressof(array) if parts else None, len(parts),
                    ctypes.addressof(room) if control else None, len(control), 0)
    return header, (array, buffers, space, room)


def sendmsg(fd, parts, flags=0, name=b"", control=b""):
    header, keep = msghdr(parts, name, control)
    result = raw("sendmsg", fd, ctypes.byref(header), flags)
    del keep
    return result


def recvmsg(fd, sizes, flags=0, namespace=0, controlspace=0):
    """A dict of everything that recvmsg leaves in the message header."""
    header, keep = msghdr(sizes, b"\xee" * namespace, b"\xee" * controlspace)
    header.flags = 0x7777                                     # an output only: must be replaced
    got = raw("recvmsg", fd, ctypes.byref(header), flags)
    data = b"".join(buffer.raw[:size] for buffer, size in zip(keep[1], sizes))
    name = keep[2].raw[:namespace]
    count = got if isinstance(got, int) else 0
    return {"ret": got, "data": data[:count], "flags": header.flags,
            "namelen": header.namelen, "name written": name != b"\xee" * namespace,
            "controllen": header.controllen}


def mmsghdr(messages):
    """(array of Mmsghdr, objects to keep alive): MESSAGES is a list of part lists."""
    array, keep = (Mmsghdr * len(messages))(), []
    for slot, parts in zip(array, messages):
        header, alive = msghdr(parts)
        slot.hdr = header
        keep.append(alive)
    return array, keep


def sendmmsg(fd, messages, flags=0):
    """(return value, [length sent of each message])"""
    array, keep = mmsghdr(messages)
    result = raw("sendmmsg", fd, array, len(messages), flags)
    del keep
    count = result if isinstance(result, int) else 0
    return result, [array[i].len for i in range(count)]


def recvmmsg(fd, sizes, flags=0, timeout=None):
    """(return value, [bytes of each message], [flags of each message])"""
    array, keep = mmsghdr([[size] for size in sizes])
    span = Timespec(int(timeout), int(timeout % 1 * 1e9)) if timeout is not None else None
    result = raw("recvmmsg", fd, array, len(sizes), flags,
                 ctypes.byref(span) if span is not None else None)
    count = result if isinstance(result, int) else 0
    data = [keep[i][1][0].raw[:array[i].len] for i in range(count)]
    return result, data, [array[i].hdr.flags for i in range(count)]


def accept(fd, space=None, flags=None):
    """(return value, length left in addrlen, bytes written): SPACE None passes null pointers."""
    name = "accept" if flags is None else "accept4"
    tail = () if flags is None else (flags,)
    if space is None:
        return raw(name, fd, None, None, *tail), None, b""
    return _named(name, fd, space, tail)


def _named(name, fd, space, tail=()):
    buffer = ctypes.create_string_buffer(b"\xee" * 128, 128)
    length = ctypes.c_uint32(space & 0xffffffff)
    result = raw(name, fd, buffer, ctypes.byref(length), *tail)
    left = buffer.raw.rstrip(b"\xee")
    return result, length.value, left


def getname(which, fd, space=128):
    """which: getsockname or getpeername; (return value, addrlen afterwards, bytes written)"""
    return _named(which, fd, space)


def getsockopt(fd, level, option, space=4):
    """(return value, optlen afterwards, the bytes)"""
    buffer = ctypes.create_string_buffer(b"\xee" * 512, 512)
    length = ctypes.c_int(space)
    result = raw("getsockopt", fd, level, option, buffer, ctypes.byref(length))
    return result, length.value, buffer.raw[:max(0, min(length.value, 512))]


def getint(fd, level, option):
    """The option's value as an int, or the errno's name."""
    result, _, data = getsockopt(fd, level, option)
    return struct.unpack("=i", data)[0] if result == 0 and len(data) == 4 else result


def setsockopt(fd, level, option, value, length=None):
    data = struct.pack("=i", value) if isinstance(value, int) else value
    return raw("setsockopt", fd, level, option, data, len(data) if length is None else length)


def ioctl_int(fd, request):
    """ioctl that fills an int: that int, or the errno's name."""
    value = c_int(-1)
    result = raw("ioctl", fd, request, ctypes.byref(value))
    return value.value if result == 0 else result


def sendfile(out, source, offset, count, name="sendfile"):
    """(return value, offset afterwards or None when no offset pointer was passed)"""
    if offset is None:
        return raw(name, out, source, None, count), None
    place = ctypes.c_int64(offset)
    return raw(name, out, source, ctypes.byref(place), count), place.value


def poll(fds, timeout, name="poll"):
    """FDS: list of (fd, events); (return value, [revents])"""
    array = (Pollfd * len(fds))(*[Pollfd(fd, events, 0x7777) for fd, events in fds])
    tail = (ctypes.sizeof(array),) if name == "__poll_chk" else ()
    result = raw(name, array, len(fds), timeout, *tail)
    return result, [entry.revents for entry in array]
