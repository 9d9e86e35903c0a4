"""The change of a component's certificate from one CA to another, which all its hosts have to do in step.

First each host trusts both CAs, then each gets its certificate of the new one, then each trusts that one alone. How far
a host is, its files tell.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ansible.errors import AnsibleActionFail

from kubeinstall.pki import PKI


def stage(args: Mapping[str, Any], found: Mapping[str, Any], pki: PKI | None) -> str:
    """How far the host is once the task has done its part of `args["ca_change"]`.

    "former": its certificate is one of the former CA. "own": of the new one, and both CAs are trusted still. Empty: the
    change is complete, or there is no data that other hosts could know this one by. Raises AnsibleActionFail where the
    change is not to be begun.
    """
    change = args["ca_change"]
    if not change or pki is None or found["bootstraps"] or change["state"] == "finish":
        return ""
    pem = found["certificates"][change["certificate"]]["certificate"]
    former = pem is not None and not pki.issued_by(change["authority"], pem)
    if change["state"] == "trust":
        return "former" if former else "own"
    if change["state"] == "issue":
        return "own"
    if not former and not {one["path"] for one in found["changes"]} & set(change["files"]):
        return ""
    if change["state"] == "refuse":
        raise AnsibleActionFail(
            f"{args['name']} changes to the CA {change['authority']}, which its hosts have to do together. Nothing was"
            " changed. Run the whole playbook (kubeinstall apply)."
        )
    return "former" if former else "own"
