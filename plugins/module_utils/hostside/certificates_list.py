"""The certificates that components' records list on this host.

spec: root. Returns {certificates: [{component, path, pem (null where the file is gone)}]}.
"""

from __future__ import annotations

import os
from typing import Any, Dict, List, NamedTuple, Optional

from .answers import Answer
from .files import read
from .host import Host
from .record import DIRECTORY, Record


class Found(NamedTuple):
    component: str
    path: str
    pem: Optional[str]


class Certificates(NamedTuple):
    certificates: List[Found]


ANSWERS = {"main": Answer(Certificates, reads=True)}


def main(spec: Dict[str, Any]) -> Dict[str, Any]:
    host = Host(spec.get("root", "/"))
    directory = host.path(DIRECTORY)
    names = os.listdir(directory) if os.path.isdir(directory) else []
    found: Dict[str, Dict[str, Any]] = {}
    for name in sorted(name[: -len(".json")] for name in names if name.endswith(".json") and name[0] != "."):
        for path in Record(host, name).data["files"]:
            if path.endswith(".crt"):
                # Components on one host share an authority's certificate.
                found.setdefault(path, {"component": name, "path": path, "pem": read(host.path(path))})
    return {"certificates": list(found.values())}
