"""A name server that knows the address of one name and of no other, on UDP port 5300 of the address it is given."""

from __future__ import annotations

import socket
import struct
import sys

NAME = b"\x07printer\x06office\x04test\x00"
ADDRESS = "192.0.2.7"
IPV4 = struct.pack("!HH", 1, 1)
FOUND, NO_SUCH_NAME = 0x8180, 0x8183

server = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
# Not on all: whoever it answers knows it by this one.
server.bind((sys.argv[1], 5300))
while True:
    query, asker = server.recvfrom(4096)
    end = query.index(0, 12) + 1
    name, kind = query[12:end].lower(), query[end : end + 4]
    known = name == NAME
    answered = known and kind == IPV4
    header = query[:2] + struct.pack("!5H", FOUND if known else NO_SUCH_NAME, 1, answered, 0, 0)
    # The name once more, by where it stands in the packet; then a minute to live, and four bytes.
    answer = struct.pack("!H", 0xC00C) + kind + struct.pack("!IH", 60, 4) + socket.inet_aton(ADDRESS)
    server.sendto(header + query[12 : end + 4] + (answer if answered else b""), asker)
