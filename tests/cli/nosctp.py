# SPDX-License-Identifier: BSD-3-Clause
"""Runs a command for which socket(..., 132) fails as on a kernel without SCTP.

A seccomp filter answers EPROTONOSUPPORT in the kernel's place. That is what the system call
returns where CONFIG_IP_SCTP is off; the command and the library in it are not touched.
"""

import ctypes
import errno
import os
import platform
import struct
import sys

PR_SET_SECCOMP, PR_SET_NO_NEW_PRIVS, SECCOMP_MODE_FILTER = 22, 38, 2
SOCKET_CALL = {"x86_64": 41, "aarch64": 198, "riscv64": 198}[platform.machine()]
IPPROTO_SCTP = 132
NUMBER, THIRD_ARGUMENT = 0, 32      # offsets in struct seccomp_data (the low half, little endian)
LOAD_WORD, JUMP_IF_EQUAL, RETURN = 0x20, 0x15, 0x06
ALLOW, FAIL_WITH = 0x7FFF0000, 0x00050000


class Program(ctypes.Structure):
    """struct sock_fprog"""
    _fields_ = [("length", ctypes.c_ushort), ("filter", ctypes.c_char_p)]


def refuse_sctp():
    """Installs the filter in this process and all that it starts."""
    rules = b"".join(struct.pack("=HBBI", *rule) for rule in [
        (LOAD_WORD, 0, 0, NUMBER),
        (JUMP_IF_EQUAL, 0, 3, SOCKET_CALL),
        (LOAD_WORD, 0, 0, THIRD_ARGUMENT),
        (JUMP_IF_EQUAL, 0, 1, IPPROTO_SCTP),
        (RETURN, 0, 0, FAIL_WITH | errno.EPROTONOSUPPORT),
        (RETURN, 0, 0, ALLOW),
    ])
    libc = ctypes.CDLL(None, use_errno=True)
    program = Program(len(rules) // 8, rules)
    if os.geteuid() != 0:
        libc.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
    if libc.prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, ctypes.byref(program), 0, 0) != 0:
        sys.exit(f"nosctp: no seccomp filters here: {os.strerror(ctypes.get_errno())}")


refuse_sctp()
os.execvp(sys.argv[1], sys.argv[1:])
