"""Waiting until a service does what it is for: ends in success, or in a failure that says why."""

from __future__ import annotations

import http.client
import os
import socket
import ssl
import time
import urllib.parse
from typing import Any, Callable, Optional

from . import units
from .host import Host

# Of the time of a unit's start: what is missing, None when it holds.
Look = Callable[[float], Optional[str]]
# Kept out of the way of those that have none of it.
ROLLING = ("node", "lease", "followers")
LARGEST = 16 << 20  # bytes; the API's table of some thousand nodes
FLAPPING = 5  # restarts by systemd during one wait after which waiting longer helps nobody


def wait(host: Host, unit: str, condition: dict[str, Any], before: str) -> str:
    """Wait until `unit` runs in another invocation than `before` and fulfils its condition; its new invocation is
    returned.

    condition: {url, ca, certificate, key, status}, {socket} or {cri: socket}, and {file}, with {timeout} in seconds
    (120), and what hostside/rolling.py has.
    """
    timeout = float(condition.get("timeout", 120))
    deadline, pause, problem = time.monotonic() + timeout, 0.03, "it did not start"
    restarts: int | None = None
    looks = _looks(host, condition, restarted=bool(before))
    while True:
        state = units.show(host, unit)
        count = int(state.get("NRestarts") or 0)
        restarts = count if restarts is None else min(restarts, count)
        if state.get("ActiveState") == "failed" or count - restarts >= FLAPPING:
            raise units.failure(host, unit, "does not stay up", exited=True)
        if units.running(state) and state.get("InvocationID") != before:
            missing = unfulfilled(host, condition) or _first(looks, state)
            # Only if it is still the same start: one that answered and died at once is not ready.
            if missing is None and units.show(host, unit).get("InvocationID") == state["InvocationID"]:
                return state["InvocationID"]
            problem = missing or "it was started again meanwhile"
        if time.monotonic() > deadline:
            raise units.failure(host, unit, f"was not ready within {timeout:.0f} s ({problem})")
        time.sleep(pause)
        pause = min(pause * 1.5, 0.3)


def _looks(host: Host, condition: dict[str, Any], *, restarted: bool) -> list[Look]:
    if not any(condition.get(key) for key in ROLLING):
        return []
    from . import rolling

    return rolling.looks(host, condition, restarted=restarted)


def _first(looks: list[Look], state: dict[str, str]) -> str | None:
    since = units.started_at(state) if looks else 0.0
    return next((problem for look in looks if (problem := look(since))), None)


def unfulfilled(host: Host, condition: dict[str, Any]) -> str | None:
    """What is still missing, None when the service is ready."""
    if "url" in condition:
        problem = _url(host, condition)
    elif "socket" in condition:
        problem = _socket(host.path(condition["socket"]))
    elif "cri" in condition:
        problem = _cri(host, condition["cri"])
    else:
        problem = None
    if problem is None and "file" in condition and not os.path.exists(host.path(condition["file"])):
        return f"{condition['file']} is not there yet"
    return problem


def _cri(host: Host, path: str) -> str | None:
    from . import cri, rolling

    return cri.problem(host.path(path), network=rolling.has_network(host))


def _socket(path: str) -> str | None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as client:
        client.settimeout(2)
        try:
            client.connect(path)
        except OSError as error:
            return f"{path} does not answer: {error.strerror or error}"
    return None


def tls(host: Host, condition: dict[str, Any]) -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=host.path(condition["ca"]) if condition.get("ca") else None)
    if not condition.get("ca"):
        # Loopback health ports of components that make a serving certificate for themselves.
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    if condition.get("certificate"):
        context.load_cert_chain(host.path(condition["certificate"]), host.path(condition["key"]))
    return context


def _url(host: Host, condition: dict[str, Any]) -> str | None:
    wanted = int(condition.get("status", 200))
    try:
        status, body = get(host, condition)
    except (OSError, http.client.HTTPException) as error:
        return f"{condition['url']} does not answer: {error}"
    if status == wanted:
        return None
    return f"{condition['url']} answers {status}: {' '.join(body[:2000].split())[-300:]}"


def get(host: Host, condition: dict[str, Any], *, accept: str = "*/*", timeout: float = 5) -> tuple[int, str]:
    """HTTP's status and body of `url`. Raises OSError and HTTPException."""
    url = urllib.parse.urlsplit(condition["url"])
    connection: http.client.HTTPConnection
    if url.scheme == "https":
        connection = http.client.HTTPSConnection(url.netloc, timeout=timeout, context=tls(host, condition))
    else:
        connection = http.client.HTTPConnection(url.netloc, timeout=timeout)
    try:
        path = f"{url.path or '/'}{'?' + url.query if url.query else ''}"
        connection.request("GET", path, headers={"Accept": accept})
        answer = connection.getresponse()
        return answer.status, answer.read(LARGEST).decode(errors="replace")
    finally:
        connection.close()
