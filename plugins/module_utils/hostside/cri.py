"""Asks a container runtime for its status by CRI, as kubelet does: gRPC's unary call over a Unix socket.

https://github.com/kubernetes/cri-api (runtime.v1.RuntimeService/Status), RFC 9113 for the frames, RFC 7541 for the
header block. The request is an empty message; only its answer's `status.conditions` is read.
"""

from __future__ import annotations

import socket
import struct
from typing import Dict, Iterator, List, Optional, Tuple, Union

SECONDS = 5
PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
DATA, HEADERS, RST_STREAM, SETTINGS, GOAWAY = 0, 1, 3, 4, 7
ACK = END_STREAM = 1
END_HEADERS, PADDED = 4, 8
REQUEST = {
    ":method": "POST",
    ":scheme": "http",
    ":path": "/runtime.v1.RuntimeService/Status",
    ":authority": "localhost",
    "content-type": "application/grpc",
    "te": "trailers",
}
Field = Union[int, bytes]


def problem(path: str, *, network: bool) -> Optional[str]:
    """Why the runtime at this socket does not run pods, None where it does; with `network` it has to have one."""
    try:
        there = conditions(path)
    except OSError as error:
        return f"{path} does not answer: {error.strerror or error}"
    except ValueError as error:
        return f"{path} does not serve CRI: {error}"
    for name in ("RuntimeReady", "NetworkReady") if network else ("RuntimeReady",):
        status, message = there.get(name, (False, "the runtime does not report it"))
        if not status:
            return f"{path}: {name} is false: {message}"
    return None


def conditions(path: str) -> Dict[str, Tuple[bool, str]]:
    """{condition: (its status, reason and message)}. ValueError where what answers serves no CRI."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as client:
        client.settimeout(SECONDS)
        client.connect(path)
        # Header fields are literals without Huffman coding, all shorter than 127 octets; the message is empty.
        block = b"".join(b"\0" + _text(name) + _text(value) for name, value in REQUEST.items())
        client.sendall(PREFACE + _frame(SETTINGS, 0, 0) + _frame(HEADERS, END_HEADERS, 1, block))
        client.sendall(_frame(DATA, END_STREAM, 1, bytes(5)))
        answer = _answer(client)
    # One octet for compression, four for the length, the message. An error has trailers only.
    if len(answer) < 5 or answer[0] or len(answer) - 5 != struct.unpack(">I", answer[1:5])[0]:
        raise ValueError("it refuses the call Status")
    found = {}
    for status in _all(answer[5:], 1):
        for condition in _all(status, 1):
            fields = dict(_fields(condition))
            words = [one.decode(errors="replace") for key in (3, 4) if isinstance(one := fields.get(key), bytes)]
            name = fields.get(1, b"")
            if isinstance(name, bytes):
                found[name.decode(errors="replace")] = (bool(fields.get(2)), ": ".join(filter(None, words)))
    return found


def _text(value: str) -> bytes:
    return bytes([len(value)]) + value.encode()


def _frame(kind: int, flags: int, stream: int, payload: bytes = b"") -> bytes:
    return struct.pack(">I", len(payload))[1:] + bytes([kind, flags]) + struct.pack(">I", stream) + payload


def _answer(client: socket.socket) -> bytes:
    """What comes on our stream until it ends."""
    data = b""
    while True:
        header = _exactly(client, 9)
        kind, flags, stream = header[3], header[4], struct.unpack(">I", header[5:])[0]
        payload = _exactly(client, struct.unpack(">I", b"\0" + header[:3])[0])
        if kind == SETTINGS and not flags & ACK:
            client.sendall(_frame(SETTINGS, ACK, 0))
        elif kind in (GOAWAY, RST_STREAM):
            raise ValueError("it ends the call")
        elif kind == DATA and stream == 1:
            data += payload[1 : len(payload) - payload[0]] if flags & PADDED else payload
        if kind in (DATA, HEADERS) and stream == 1 and flags & END_STREAM:
            return data


def _exactly(client: socket.socket, count: int) -> bytes:
    parts: List[bytes] = []
    while count:
        part = client.recv(count)
        if not part:
            raise ValueError("it closes the connection")
        parts.append(part)
        count -= len(part)
    return b"".join(parts)


def _all(message: bytes, number: int) -> Iterator[bytes]:
    return (value for key, value in _fields(message) if key == number and isinstance(value, bytes))


def _fields(message: bytes) -> Iterator[Tuple[int, Field]]:
    """(number, value) of a protobuf message's fields; integers and what has a length are all that CRI has here."""
    at = 0
    while at < len(message):
        key, at = _varint(message, at)
        value, at = _varint(message, at)
        if key & 7 == 0:
            yield key >> 3, value
        elif key & 7 == 2 and at + value <= len(message):
            yield key >> 3, message[at : at + value]
            at += value
        else:
            raise ValueError("it answers with what is no status")


def _varint(message: bytes, at: int) -> Tuple[int, int]:
    value, shift = 0, 0
    while at < len(message):
        octet = message[at]
        value |= (octet & 127) << shift
        at, shift = at + 1, shift + 7
        if octet < 128:
            return value, at
    raise ValueError("it answers with a message that is cut short")
