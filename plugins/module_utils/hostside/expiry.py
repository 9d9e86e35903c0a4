"""When certificates end, read from their DER: a program for each would cost every run more than the rest together."""

from __future__ import annotations

import calendar
import contextlib
import os
import ssl
import time
from typing import Any, Dict, List, Optional, Set, Tuple

from .errors import HostError
from .files import read
from .host import Host
from .record import every_path, recorded

VERSION, UTC_TIME = 0xA0, 0x17


def expired(host: Host, now: float) -> List[Dict[str, Any]]:
    """[{path, until: seconds since the epoch}] of recorded certificates that have ended, CAs aside."""
    paths: Set[str] = set()
    for name in recorded(host):
        with contextlib.suppress(HostError):  # what is wrong with a record, its component will say
            paths.update(every_path(host, [name]))
    found = []
    for path in sorted(paths):
        if path.endswith(".crt") and not os.path.basename(path).endswith("ca.crt"):
            until = end(read(host.path(path)) or "")
            if until is not None and until <= now:
                found.append({"path": path, "until": until})
    return found


def end(pem: str) -> Optional[float]:
    """When the first certificate in a PEM ends, in seconds since the epoch; None for what is no certificate."""
    try:
        data = ssl.PEM_cert_to_DER_cert(pem[: pem.index(ssl.PEM_FOOTER) + len(ssl.PEM_FOOTER)])
        _, certificate, _ = _element(data)
        _, fields, _ = _element(certificate)
        tag, _, rest = _element(fields)
        # [version] serialNumber signature issuer validity, after RFC 5280.
        for _ in range(3 if tag == VERSION else 2):
            _, _, rest = _element(rest)
        _, validity, _ = _element(rest)
        _, _, rest = _element(validity)
        tag, text, _ = _element(rest)
        # Two digits of a year are those from 1950 to 2049, as RFC 5280 has them.
        digits = text.decode()
        century = "" if tag != UTC_TIME else "20" if digits < "50" else "19"
        return float(calendar.timegm(time.strptime(century + digits, "%Y%m%d%H%M%SZ")))
    except (ValueError, IndexError):
        return None


def _element(data: bytes) -> Tuple[int, bytes, bytes]:
    """The tag and the content of the first element, and what follows it."""
    tag, length, start = data[0], data[1], 2
    if length & 0x80:
        start = 2 + (length & 0x7F)
        length = int.from_bytes(data[2:start], "big")
    return tag, data[start : start + length], data[start + length :]
