"""What a Node object tells of its kubelet: whether it is Ready, and how old that word is."""

from __future__ import annotations

import calendar
import time
from typing import Any, Dict, Optional

Document = Dict[str, Any]


def ready(node: Document) -> Document:
    """The condition Ready; Unknown and without a heartbeat where kubelet has not reported yet."""
    never = {"status": "Unknown", "lastHeartbeatTime": "1970-01-01T00:00:00Z"}
    return next((one for one in node["status"].get("conditions", []) if one["type"] == "Ready"), never)


def not_ready_since(node: Optional[Document], since: float) -> Optional[str]:
    """Why a Node is not Ready by a heartbeat since then (seconds since the epoch), None where it is.

    The API keeps what kubelet reported before it was restarted.
    """
    if node is None:
        return "its Node is not registered"
    condition = ready(node)
    # Heartbeats are in whole seconds.
    if seconds(condition["lastHeartbeatTime"]) < int(since):
        return "no heartbeat since kubelet started"
    return None if condition["status"] == "True" else f"not Ready: {condition.get('message')}"


def seconds(text: str) -> int:
    """A time of the API, in seconds since the epoch."""
    return calendar.timegm(time.strptime(text, "%Y-%m-%dT%H:%M:%SZ"))
