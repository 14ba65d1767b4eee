# SPDX-License-Identifier: BSD-3-Clause
"""SCTP packets in UDP over IPv4 that pass on an interface, a line of JSON each (RFC 9260, 3)."""

import json
import socket
import struct
import sys

UDP, UDP_HEADER, COMMON = 17, 8, 12
INIT, INIT_ACK = 1, 2


def parameters(text):
    """The types of an INIT's parameters, and the extensions that it lists."""
    types, extensions = [], []
    while len(text) >= 4:
        kind, length = struct.unpack_from("!HH", text)
        types.append(kind)
        if kind == 0x8008:                                  # RFC 5061, 4.2.7
            extensions.extend(text[4:length])
        text = text[(length + 3) // 4 * 4:]
    return types, extensions


def chunk(kind, flags, text):
    about = {"type": kind, "flags": flags, "length": len(text)}
    if kind in (INIT, INIT_ACK):
        about["rwnd"], about["out"], about["in"] = struct.unpack_from("!4xIHH", text)
        about["parameters"], about["extensions"] = parameters(text[16:])
    elif kind == 0:
        about["stream"], about["ppid"] = struct.unpack_from("!4xH2xI", text)
    return about


def chunks(text):
    while len(text) >= 4:
        kind, flags, length = struct.unpack_from("!BBH", text)
        if length < 4:
            return
        yield chunk(kind, flags, text[4:length])
        text = text[(length + 3) // 4 * 4:]


def packet(frame):
    """None when it is something else."""
    if frame[12:14] != b"\x08\x00" or frame[23] != UDP:
        return None
    at = 14 + (frame[14] & 15) * 4
    source, destination = struct.unpack_from("!HH", frame, at)
    sctp = frame[at + UDP_HEADER:]
    return {"from": socket.inet_ntoa(frame[26:30]), "to": socket.inet_ntoa(frame[30:34]),
            "tos": frame[15], "udp": [source, destination], "length": len(frame) - 14,
            "ports": struct.unpack_from("!HH", sctp), "tag": sctp[4:8].hex(),
            "chunks": list(chunks(sctp[COMMON:]))}


def main(interface):
    with socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3)) as line:
        line.bind((interface, 0))
        print("ready", flush=True)
        while True:
            seen = packet(line.recv(65536))
            if seen and len(seen["chunks"]) > 0:
                print(json.dumps(seen), flush=True)


if __name__ == "__main__":
    main(sys.argv[1])
