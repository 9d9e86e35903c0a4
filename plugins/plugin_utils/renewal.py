"""Which certificates of a component have to be renewed, by which CA, and what a renewal costs its service."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from ansible_collections.kubeinstall.cluster.plugins.plugin_utils.spec import certificate_request

from kubeinstall.certificates import expired
from kubeinstall.pki import PKI

Item = dict[str, Any]


class Due(NamedTuple):
    """A certificate to renew. `usable`: the service can work with the one it has."""

    difference: dict[str, Any]
    usable: bool


def accepted(items: list[Item], found: Mapping[str, Any], pki: PKI | None) -> list[Item]:
    """The certificates as they are wanted; one that another accepted CA has issued stays with that CA."""
    wanted = []
    for item in items:
        pem = found[item["name"]]["certificate"]
        issuers = [name for name in item["accepts"] if pem and pki and pki.issued_by(name, pem)]
        wanted.append({**item, "authority": (issuers or [item["authority"]])[0]})
    return wanted


def due(items: list[Item], found: Mapping[str, Any], pki: PKI | None, *, all_of_them: bool) -> dict[str, Due]:
    """{name: why, as a difference} of the certificates to renew."""
    renew = {}
    for item in items:
        pem = found[item["name"]]["certificate"]
        usable = False
        if pem is None:
            reasons = ["it is missing"]
        elif not found[item["name"]]["pair"]:
            reasons = ["it does not belong to its key"]
        else:
            reasons = _problems(pem, item, pki) or (["it was asked for"] if all_of_them else [])
            usable = not expired(pem)
        if reasons:
            before = None if pem is None else "present"
            why = (
                "because " + "; ".join(reasons) if pem is None else f"because of the present one: {'; '.join(reasons)}"
            )
            after = f"issued by the {item['authority']} CA, {why}"
            difference = {"kind": "certificate", "path": item["certificate"], "before": before, "after": after}
            renew[item["name"]] = Due(difference, usable)
    return renew


def _problems(pem: str, item: Item, pki: PKI | None) -> list[str]:
    if pki is None or not pki.has(f"{item['authority']}/ca.crt"):
        return ["its CA is not here"]
    return pki.problems(pem, certificate_request(item))


def restarting(items: list[Item], renew: Mapping[str, Due]) -> bool:
    """Whether the service has to be restarted for what is renewed."""
    return any(not _reloads(item, renew[item["name"]]) for item in items if item["name"] in renew)


def reloading(items: list[Item], renew: Mapping[str, Due]) -> list[str]:
    """Those of the certificates to renew that the running service reads by itself."""
    return [item["name"] for item in items if item["name"] in renew and _reloads(item, renew[item["name"]])]


def _reloads(item: Item, one: Due) -> bool:
    """A client of the API reads a new certificate for its next connection, and keeps those it has for minutes.

    Of an expired certificate, nothing comes through them.
    """
    return bool(item["reload"] == "always" or (item["reload"] == "unless_expired" and one.usable))
