"""The settings and feature gates of each supported Kubernetes minor version; `make schemas` writes the files.

{kubelet: {apiVersion, kind, fields}, kube-proxy: …, gates: {feature gate: the value that it is locked to, or null}}
Fields are {name: TYPE}. A TYPE is the name of a scalar, [TYPE] for a list, {"*": TYPE} for a map, or fields.
"""

from __future__ import annotations

import functools
import json
from pathlib import Path
from typing import Any

from kubeinstall.components.support import minor

__all__ = ["schema_of"]


def schema_of(version: str) -> dict[str, Any] | None:
    """The schema for a Kubernetes version as 1.37.1; None for a version that is not known."""
    return _read(minor(version))


@functools.cache
def _read(name: str) -> dict[str, Any] | None:
    path = Path(__file__).with_name(f"{name}.json")
    return dict(json.loads(path.read_text(encoding="utf-8"))) if path.is_file() else None
