# SPDX-License-Identifier: BSD-3-Clause
"""A plain Python program under the shim that executes the lines it is sent."""

import subprocess
import sys

LOOP = """
import errno, os, select, socket, struct, sys, time
names = globals()
for line in sys.stdin:
    try:
        try:
            value = eval(line, names)
        except SyntaxError:
            value = exec(line, names)
    except OSError as error:
        value = errno.errorcode.get(error.errno, repr(error))
    print(repr(value), flush=True)
"""


class Puppet:
    """p("expression") gives the value; p("statement") None; an OSError comes back as its name."""

    def __init__(self, environment, before=(), stderr=None):
        """BEFORE: a command that becomes the one after it, as `ip netns exec NAME`."""
        self._process = subprocess.Popen([*before, sys.executable, "-S", "-c", LOOP], env=environment,
                                         text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                         stderr=stderr)

    @property
    def pid(self):
        """The program's process number."""
        return self._process.pid

    def send(self, line):
        """Have LINE executed without waiting for it."""
        self._process.stdin.write(line + "\n")
        self._process.stdin.flush()

    def answer(self):
        """The value of the oldest line that has not been answered."""
        return eval(self._process.stdout.readline(), {})         # noqa: S307

    def __call__(self, line):
        self.send(line)
        return self.answer()

    def become(self, *inherited):
        """Have the program execute itself anew, with no more than these of its descriptors."""
        for fd in inherited:
            self(f"os.set_inheritable({fd}, True)")
        text = f"print('anew', flush=True)\n{LOOP}"
        self.send(f"os.execv(sys.executable, [sys.executable, '-S', '-c', {text!r}])")
        assert self._process.stdout.readline() == "anew\n"

    def kill(self):
        """End the program as kill -9 does."""
        self._process.kill()
        self._process.wait()

    def stop(self):
        """End the program; it may have ended before."""
        self.kill()
        self._process.stdin.close()
        self._process.stdout.close()
