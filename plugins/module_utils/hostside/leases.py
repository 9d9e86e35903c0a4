"""Whether a service whose instances elect a leader has one: by the Lease that its leader renews."""

from __future__ import annotations

import calendar
import http.client
import json
import time
from typing import Any, Dict, NamedTuple

from . import ready
from .host import Host

PATH = "/apis/coordination.k8s.io/v1/namespaces/kube-system/leases"
# Seconds. A released lease is valid for one second, and another instance needs some to take it.
SHORTEST = 15
# The others look every two seconds, with some jitter, whether a lease has ended; renewals are in whole seconds here.
RETRY = 4


class Leader(NamedTuple):
    """`holder` is the instance that renewed the Lease last, `problem` why the service has no leader, or empty."""

    service: str
    holder: str
    problem: str


def leader(host: Host, api: Dict[str, Any], service: str, timeout: float) -> Dict[str, str]:
    """What the API has of the service's Lease. Raises OSError, HTTPException and ValueError where it does not answer.

    `api` as hostside/ready.py has it. Ages are by this host's clock and the leader's.
    """
    status, body = ready.get(host, {**api, "url": f"{api['url']}{PATH}/{service}"}, timeout=timeout)
    if status == http.client.NOT_FOUND:
        return {"service": service, "holder": "", "problem": f"{service} has no leader: none was ever elected"}
    if status != http.client.OK:
        raise ValueError(f"code {status}, {body[:200]}")
    try:
        spec = json.loads(body)["spec"]
        holder, renewed = spec.get("holderIdentity") or "", spec.get("renewTime") or "1970-01-01T00:00:00Z"
        age = time.time() - calendar.timegm(time.strptime(renewed.partition(".")[0].rstrip("Z"), "%Y-%m-%dT%H:%M:%S"))
        valid = max(SHORTEST, int(spec.get("leaseDurationSeconds") or 0))
    except (KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"the Lease of {service} can't be read: {error!r}") from None
    return {"service": service, "holder": holder, "problem": _problem(service, holder, age, valid)}


def _problem(service: str, holder: str, age: float, valid: int) -> str:
    if age <= valid + RETRY:
        return ""
    last = f"{holder.partition('_')[0]}, the last one, renewed" if holder else "the last one released"
    return f"{service} has no leader: {last} its lease {age:.0f} s ago, and a lease is valid for {valid} s"
