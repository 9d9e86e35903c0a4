"""What a cluster keeps in etcd, read on the host of a member. Nothing is changed.

spec: root, prefix (the API server's --etcd-prefix)
Returns {empty: whether there is no object, plaintext: [NAMESPACE/NAME of each Secret that is not encrypted]}.
"""

from __future__ import annotations

import base64
from typing import Any, Dict, Iterator, List, NamedTuple, Tuple

from . import etcd
from .answers import Answer
from .host import Host

PAGE = 100
# The API server's encryption providers all begin what they write with it.
ENCRYPTED = b"k8s:enc:"


class Found(NamedTuple):
    empty: bool
    plaintext: List[str]


ANSWERS = {"main": Answer(Found, reads=True, seconds=600)}


def main(spec: Dict[str, Any]) -> Dict[str, Any]:
    host, prefix = Host(spec.get("root", "/")), spec["prefix"].rstrip("/")
    some = etcd.etcdctl(host, "get", f"{prefix}/", "--prefix", "--keys-only", "--limit=1")
    return {"empty": not some.get("kvs"), "plaintext": _plaintext(host, f"{prefix}/secrets/")}


def _plaintext(host: Host, folder: str) -> List[str]:
    return [key[len(folder) :] for key, value in _pages(host, folder) if not value.startswith(ENCRYPTED)]


def _pages(host: Host, folder: str) -> Iterator[Tuple[str, bytes]]:
    """(key, first bytes of the value) of all keys in a folder, a page at a time: Secrets may fill gigabytes."""
    first, end = folder, folder[:-1] + chr(ord("/") + 1)
    while True:
        answer = etcd.etcdctl(host, "get", first, end, f"--limit={PAGE}")
        found = answer.get("kvs", [])
        for item in found:
            # 16 characters are 12 bytes.
            yield base64.b64decode(item["key"]).decode(errors="replace"), base64.b64decode(item.get("value", "")[:16])
        if not answer.get("more"):
            return
        # Names have no control characters: nothing lies between.
        first = base64.b64decode(found[-1]["key"]).decode() + "\x01"
