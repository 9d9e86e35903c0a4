"""Makes one component of a host so: compare first, touching nothing; then apply.

The action plugin sends the same spec for `compare`, `request` (keys for certificates it will sign), `install` (these
certificates alone, under a service that goes on), `apply` and `wait` (until the service is ready):

    operation, root, name, user, packages, kernel_modules, sysctls, unit (name or None), ready, spare, one_way
    directories   [{path, owner, group, mode}]
    binaries      [{name, version, dest, digests: {architecture: sha256}}]
    certificates  [{name, certificate, key, owner, reload}]
    files         [{dest, content, owner, group, mode, secret, restart, reload, only_if_missing, after_ready,
    identity}], the unit's among them
    images        [{reference}]
For compare also `etcd_clusters`, the ids of which an etcd member's cluster has one (empty: any), and `replaces`, the
components in whose place this one comes.
For install and apply also `signed` {certificate name: PEM}, and for apply `delivered` {digest: path}, `archives`
{reference: path}, `restarts`, whether a living unit will be restarted, and `renewed`, whether it has to be for a
certificate in `signed`.
"""

from __future__ import annotations

from typing import Any, Dict, List, Literal, NamedTuple, Optional

from .answers import Answer, Nothing
from .host import Host


class Difference(NamedTuple):
    """Of a file, a directory or a program; `before` and `after` are contents, digests or words."""

    kind: str
    path: str
    name: Optional[str] = None
    version: Optional[str] = None
    before: Optional[str] = None
    after: Optional[str] = None
    content: bool = True
    before_attributes: Optional[str] = None
    after_attributes: Optional[str] = None
    other_identity: bool = False


class Certificate(NamedTuple):
    certificate: Optional[str]
    pair: bool
    attributes: bool


class Needs(NamedTuple):
    binaries: List[Difference]
    images: List[str]


class Unit(NamedTuple):
    living: bool
    enabled: bool
    why: Optional[str]
    reload: Optional[str]


class Compared(NamedTuple):
    architecture: Literal["amd64", "arm64"]
    changes: List[Difference]
    certificates: Dict[str, Certificate]
    needs: Needs
    unit: Optional[Unit]
    bootstraps: List[str]
    worked: bool
    replaces: List[str]


class Applied(NamedTuple):
    restarted: Optional[str]


# Keys: certificate signing requests as PEM by the certificates' names.
# Packages that are installed, from an index that is read again before (system.py), and the lock.
SECONDS = 2700
ANSWERS = {
    "compare": Answer(Compared),
    "request": Answer(Dict[str, str], seconds=SECONDS),
    "install": Answer(Nothing, seconds=300),
    # Images that are loaded, too, and 60 s in which another instance is waited for.
    "apply": Answer(Applied, seconds=SECONDS + 900),
    "wait": Answer(Nothing, reads=True),
}


def main(spec: dict[str, Any]) -> dict[str, Any]:
    """Do `spec["operation"]`."""
    host = Host(spec.get("root", "/"))
    # Loaded one by one: a run with nothing to do only compares, and pays for no more than that.
    if spec["operation"] == "compare":
        from .comparison import compare

        return compare(host, spec)
    from . import application

    operations = {
        "request": application.request,
        "install": application.install,
        "apply": application.apply,
        "wait": application.wait_ready,
    }
    return operations[spec["operation"]](host, spec)
