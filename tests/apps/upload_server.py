#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
"""A small HTTP/1.1 server: GET serves a directory's files, POST and PUT answer the body's sha256.

    upload_server.py PORT DIRECTORY
"""

import functools
import hashlib
import http.server
import sys


class Handler(http.server.SimpleHTTPRequestHandler):
    """Files out; of what comes in only the checksum is kept."""
    protocol_version = "HTTP/1.1"

    def do_POST(self):
        """Read the whole body and answer its checksum."""
        left, checksum = int(self.headers["Content-Length"]), hashlib.sha256()
        while left:
            piece = self.rfile.read(min(left, 1 << 16))
            if not piece:
                self.close_connection = True
                return
            checksum.update(piece)
            left -= len(piece)
        answer = checksum.hexdigest().encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    do_PUT = do_POST


def main():
    """Serve until killed."""
    handler = functools.partial(Handler, directory=sys.argv[2])
    http.server.ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), handler).serve_forever()


if __name__ == "__main__":
    main()
