"""What runs leave for the ones after them, in a ConfigMap of kube-system: {name: JSON}."""

from __future__ import annotations

import contextlib
import json
from typing import Any, Dict, Mapping

from .api import API, MERGE, RefusedError

CONFIG_MAPS = "/api/v1/namespaces/kube-system/configmaps"


def read(api: API, config_map: str) -> Dict[str, Any]:
    """What there is; a text that is no JSON is nobody's of ours."""
    found = {}
    for name, text in ((api.get(f"{CONFIG_MAPS}/{config_map}") or {}).get("data") or {}).items():
        with contextlib.suppress(ValueError):
            found[name] = json.loads(text)
    return found


def write(api: API, config_map: str, notes: Mapping[str, Any]) -> None:
    """Add or replace these; the ConfigMap is made where there is none."""
    data = {name: json.dumps(note, sort_keys=True) for name, note in notes.items()}
    try:
        api.request("PATCH", f"{CONFIG_MAPS}/{config_map}", {"data": data}, MERGE)
    except RefusedError as refusal:
        if refusal.status != 404:
            raise
        body = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": config_map}, "data": data}
        api.request("POST", CONFIG_MAPS, body)


def remove(api: API, config_map: str, names: list[str]) -> None:
    api.request("PATCH", f"{CONFIG_MAPS}/{config_map}", {"data": dict.fromkeys(names)}, MERGE)
