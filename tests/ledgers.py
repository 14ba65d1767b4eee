# SPDX-License-Identifier: BSD-3-Clause
"""The ledgers of this user, which lie in System V shared memory (shim/ledger_place.c)."""

import ctypes
import os
from pathlib import Path

IPC_CREAT, IPC_RMID, IPC_SET, IPC_STAT = 0o1000, 0, 1, 2
PREFIX, MASK = 0x5c700000, 0xfff00000
DIRECTORY = slice(8, 128)              # of struct ledger_head

_libc = ctypes.CDLL(None, use_errno=True)
_libc.shmat.restype = ctypes.c_void_p
_libc.shmat.argtypes = ctypes.c_int, ctypes.c_void_p, ctypes.c_int
_libc.shmdt.argtypes = (ctypes.c_void_p,)
_libc.shmctl.argtypes = ctypes.c_int, ctypes.c_int, ctypes.c_void_p


def checked(result):
    """RESULT, unless it says that there is an errno."""
    if result in (-1, ctypes.c_void_p(-1).value):
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    return result


class Segment:
    """One that exists, or did a moment ago."""

    def __init__(self, line):
        key, number, mode, size, _, _, _, uid, _, creator, *_ = line.split()
        self.key, self.mode = int(key) & 0xffffffff, int(mode, 8) & 0o777
        self.id, self.size, self.uid, self.creator = map(int, (number, size, uid, creator))

    def with_bytes(self, function):
        """What FUNCTION makes of its memory, an array of bytes."""
        at = checked(_libc.shmat(self.id, None, 0))
        try:
            return function((ctypes.c_ubyte * self.size).from_address(at))
        finally:
            _libc.shmdt(at)

    def directory(self):
        """The runtime directory that it belongs to."""
        return self.with_bytes(lambda memory: bytes(memory[DIRECTORY]).split(b"\0")[0]
                               .decode(errors="replace"))

    def remove(self):
        """It stays with those that have it."""
        checked(_libc.shmctl(self.id, IPC_RMID, None))

    def change(self, uid=None, mode=None):
        """Its owner, or its mode."""
        state = (ctypes.c_uint32 * 64)()         # struct shmid_ds begins with key, uid, gid, ...
        checked(_libc.shmctl(self.id, IPC_STAT, state))
        state[1] = self.uid if uid is None else uid
        state[5] = self.mode if mode is None else mode
        checked(_libc.shmctl(self.id, IPC_SET, state))


def make(key, size):
    """Another segment with this key, which is free."""
    number = checked(_libc.shmget(ctypes.c_int(key), size, IPC_CREAT | 0o600))
    return next(segment for segment in all_of_mine() if segment.id == number)


def all_of_mine(user=None):
    """Those that this user has made, or the one of that number."""
    user = os.geteuid() if user is None else user
    lines = Path("/proc/sysvipc/shm").read_text(encoding="ascii").splitlines()[1:]
    return [segment for segment in map(Segment, lines)
            if segment.key & MASK == PREFIX and segment.creator == user]


def of(runtime):
    """Those of this directory, or below."""
    found = []
    for segment in all_of_mine():
        try:
            if Path(segment.directory()).is_relative_to(runtime):
                found.append(segment)
        except OSError:
            pass
    return found


def remove_abandoned():
    """Those whose XDG_RUNTIME_DIR, a test's, is not there any more."""
    for segment in all_of_mine():
        try:
            if not Path(segment.directory()).parent.is_dir():
                segment.remove()
        except OSError:
            pass
