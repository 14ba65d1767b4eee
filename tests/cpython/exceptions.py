# SPDX-License-Identifier: BSD-3-Clause
"""CPython's tests that pass over TCP and not under the shim, each with the reason.

A test that fails without being listed here fails the suite, and so does one of EXCEPTIONS that
passes, or that does not pass over TCP either.
"""

URGENT = "SCTP has no urgent data: MSG_OOB is refused"
EXCEPTIONS = {
    "test.test_ftplib.TestFTPClass.test_abort": URGENT,
    "test.test_asyncore.TestAPI_UseIPv4Poll.test_handle_expt": URGENT,
    "test.test_asyncore.TestAPI_UseIPv4Select.test_handle_expt": URGENT,
    "test.test_asyncore.TestAPI_UseIPv6Poll.test_handle_expt": URGENT,
    "test.test_asyncore.TestAPI_UseIPv6Select.test_handle_expt": URGENT,
}

# Those that fail or pass as the threads' turns come.
BY_CHANCE = {}
