"""How a host's components answer, whether what they serve is what their clients will believe, and its certificates.

spec: components [{check, unit, ready, lease, alarms}] with `ready` as hostside/ready.py has it; of a service with a
                 leader, `lease` is the name of its Lease; of etcd, `alarms` is true
      api        {url, ca, certificate, key} of the API that has the Leases
      serving    [{check, address, port, authority, certificate, key}]: TLS ports; the certificate is a client's or null
      directories where certificates are
Returns {checks: [{check, problems, detail}], certificates: {path: {pem, pair}}}, authorities among them without a pair.
"""

from __future__ import annotations

import glob
import http.client
import os
import socket
import ssl
from typing import Any, Dict, List, NamedTuple, Optional

from . import certificates, etcd, leases, ready, units
from .answers import Answer
from .host import Host

# How long the API and etcd have for an answer.
SECONDS = 5


class Check(NamedTuple):
    check: str
    problems: List[str]
    detail: str


class Certificate(NamedTuple):
    pem: Optional[str]
    pair: Optional[bool]


class Found(NamedTuple):
    checks: List[Check]
    certificates: Dict[str, Certificate]


ANSWERS = {"main": Answer(Found, reads=True)}


def main(spec: dict[str, Any]) -> dict[str, Any]:
    host = Host(spec.get("root", "/"))
    checks = [
        {
            "check": one["check"],
            "problems": component_problems(host, one) or work_problems(host, one, spec.get("api")),
            "detail": "",
        }
        for one in spec["components"]
    ]
    for one in spec["serving"]:
        checks.append({"check": one["check"], "problems": serving_problems(one), "detail": ""})
    return {"checks": checks, "certificates": found_certificates(host, spec["directories"])}


def component_problems(host: Host, component: dict[str, Any]) -> list[str]:
    """Why a component does not do its part: its unit's state, then its own health check."""
    unit = component["unit"]
    state = units.show(host, unit)
    if state.get("LoadState") != "loaded":
        return [f"{unit} is not installed"]
    problems = []
    if not units.running(state):
        words = units.last_words(host, unit) if state.get("ActiveState") == "failed" else ""
        problems.append(f"{unit} is {state.get('ActiveState')}: {words or _where_it_says_why(unit, state)}")
    else:
        missing = ready.unfulfilled(host, component["ready"])
        problems += [f"{missing}; {_where_it_says_why(unit, state)}"] if missing else []
        service = units.started_by(unit)
        if service != unit and units.show(host, service).get("ActiveState") == "failed":
            problems.append(f"{service} failed: {units.last_words(host, service) or 'its journal is empty'}")
    if state.get("UnitFileState") != "enabled":
        problems.append(f"{unit} is not enabled: it will not come back when the host reboots")
    return problems


def work_problems(host: Host, component: dict[str, Any], api: dict[str, Any] | None) -> list[str]:
    """Why a component whose unit runs and answers does nothing for the cluster."""
    unit, problems = component["unit"], []
    if loop := units.restart_loop(host, unit, units.show(host, unit)):
        problems.append(loop)
    if component.get("lease"):
        try:
            found = leases.leader(host, api or {}, component["lease"], SECONDS)["problem"]
        except (OSError, http.client.HTTPException, ValueError, KeyError) as error:
            found = f"whether it has a leader is unknown: {error}"
        problems += [found] if found else []
    if component.get("alarms"):
        member = etcd.own_member(host, SECONDS)
        own = [one["alarm"] for one in member["alarms"] if one["member"] == member["identity"]]
        problems += [member["problem"]] if member["problem"] else [f"etcd alarm {alarm}" for alarm in own]
    return problems


def _where_it_says_why(unit: str, state: dict[str, str]) -> str:
    restarts = int(state.get("NRestarts") or 0)
    return f"journalctl -u {unit} on this host says why{f' (restarts by systemd: {restarts})' if restarts else ''}"


def serving_problems(port: dict[str, Any]) -> list[str]:
    """Whether a client that knows the authority believes the certificate that is served at the host's address now."""
    where = f"{port['address']}:{port['port']}"
    missing = [
        path for path in (port["authority"], port["certificate"], port["key"]) if path and not os.path.exists(path)
    ]
    if missing:
        return [f"{where} can't be tried without {', '.join(missing)}: missing on this host"]
    try:
        context = ssl.create_default_context(cafile=port["authority"])
        if port["certificate"]:
            context.load_cert_chain(port["certificate"], port["key"])
        with socket.create_connection((port["address"], port["port"]), timeout=5) as plain:
            context.wrap_socket(plain, server_hostname=port["address"]).close()
    except ssl.SSLCertVerificationError as error:
        return [f"the certificate served at {where} does not do: {error.verify_message}"]
    except OSError as error:
        return [f"{where} takes no TLS connection: {error}"]
    return []


def found_certificates(host: Host, directories: list[str]) -> dict[str, Any]:
    found = {}
    for directory in directories:
        for full in sorted(glob.glob(host.path(f"{directory}/*.crt"))):
            path = f"{directory}/{os.path.basename(full)}"
            item = {"certificate": path, "key": path[: -len(".crt")] + ".key", "owner": "root"}
            looked = certificates.look(host, item)
            has_key = os.path.exists(host.path(item["key"]))
            found[path] = {"pem": looked["certificate"], "pair": looked["pair"] if has_key else None}
    return found
