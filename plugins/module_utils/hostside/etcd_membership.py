"""Changes who is a member of etcd, asked on the host of a member: a learner comes in, is promoted, a member goes.

spec: root, operation, check, name and address (of the member in question), seconds (to catch up), endpoints (of others,
to be asked where this host's own member is a learner)
    ask       {members: [{name, address, learner}], peer_issuer: name of the CA of this member's certificate for peers}
    announce  {changes, members: {name: address}}: it may start now, as one of these
    promote   {changes}: every learner that has started is promoted once it has what the others have
    remove    {changes}: it is no member any more; refused where the others would be no quorum
`changes` are sentences; with `check` nothing is touched.
"""

from __future__ import annotations

import time
import urllib.parse
from typing import Any, Dict, List, NamedTuple, Optional

from .answers import Answer, Changes
from .errors import HostError
from .etcd import LEARNER, PKI, Member, etcdctl, members, missing, status
from .host import Host
from .waiting import pause

BEHIND = "in sync with leader"
PAUSE = 0.5
# After a member has left, etcd takes no further change of membership until it is sure of those that stay.
SETTLING = 30
UNSURE = ("unhealthy cluster", "re-configuration failed", "too many learner", "leader changed", "timed out")


class Listed(NamedTuple):
    name: str
    address: str
    learner: bool


class Asked(NamedTuple):
    members: List[Listed]
    peer_issuer: str


class Announced(NamedTuple):
    changes: List[str]
    members: Dict[str, str]


ANSWERS = {
    "ask": Answer(Asked, reads=True),
    "announce": Answer(Announced),
    "promote": Answer(Changes),
    "remove": Answer(Changes),
}


def main(spec: Dict[str, Any]) -> Dict[str, Any]:
    host = Host(spec.get("root", "/"))
    if spec["operation"] == "ask":
        return {
            "members": [
                {"name": member.name, "address": address_of(member), "learner": member.learner}
                for member in members(host)
            ],
            "peer_issuer": issuer(host, f"{PKI}/peer.crt"),
        }
    with host.acting("change the members of etcd", check=spec["check"]):
        if spec["operation"] == "announce":
            return announce(host, spec)
        return {"changes": _promote_all(host, spec) if spec["operation"] == "promote" else remove(host, spec)}


def issuer(host: Host, path: str) -> str:
    """Common name of the issuer of a certificate."""
    command = ["openssl", "x509", "-in", host.path(path), "-noout", "-issuer", "-nameopt", "multiline"]
    lines = [line.partition("=") for line in host.run(command).stdout.splitlines()]
    return next((value.strip() for name, _, value in lines if name.strip() == "commonName"), "")


def address_of(member: Member) -> str:
    return urllib.parse.urlsplit(member.peer).hostname or ""


def find(there: List[Member], name: str, address: str) -> Optional[Member]:
    """The member of that name; one that has not started has no name yet, and is known by its address."""
    return next((m for m in there if m.name == name or (not m.name and address_of(m) == address)), None)


def announce(host: Host, spec: Dict[str, Any]) -> Dict[str, Any]:
    """Make the member known as a learner. One that was announced by a run that was cut short is so already."""
    name, address = spec["name"], spec["address"]
    there = members(host)
    refuse(there, name, address)
    changes = []
    if not find(there, name, address):
        # etcd takes one learner at a time: an earlier one is let in first.
        changes = promote(host, there, spec["seconds"], check=spec["check"])
        changes.append(f"add {name} to etcd as a learner, and promote it once it has what the others have")
        if not spec["check"]:
            _patiently(host, "member", "add", name, "--learner", f"--peer-urls=https://{address}:2380")
            there = members(host)
    others = {member.name: address_of(member) for member in there if member.name and member.name != name}
    return {"changes": changes, "members": {**others, name: address}}


def refuse(there: List[Member], name: str, address: str) -> None:
    """HostError for a host without data whose name or address is that of a member that has started."""
    for member in there:
        if member.name == name:
            raise HostError(
                f"{name} is a member of etcd, and its data is not on the host. Nothing was changed: bring the data"
                f" back, or let it begin anew from the others: kubeinstall etcd replace {name}"
            )
        if member.name and address_of(member) == address:
            raise HostError(
                f"the address {address} of {name} is that of {member.name}, a member of etcd. Nothing was changed: give"
                f" {name} another address, or take {member.name} out first: kubeinstall etcd remove {member.name}"
            )


def _promote_all(host: Host, spec: Dict[str, Any]) -> List[str]:
    endpoint, others = "", list(spec["endpoints"])
    while True:
        try:
            there = members(host, endpoint)
            break
        except HostError as error:
            if spec["check"]:
                return []  # before the first run there is nothing to ask
            if not others or (not endpoint and LEARNER not in str(error)):
                raise
            endpoint = others.pop(0)
    return promote(host, there, spec["seconds"], check=spec["check"], endpoint=endpoint)


def promote(host: Host, there: List[Member], seconds: float, *, check: bool, endpoint: str = "") -> List[str]:
    """Promote the learners that have started; waits for each until it has caught up."""
    learners = [member for member in there if member.learner and member.name]
    for member in learners if not check else []:
        deadline = time.monotonic() + seconds
        while True:
            try:
                etcdctl(host, "member", "promote", member.identity, endpoints=leader(host, there, endpoint))
                break
            except HostError as error:
                if BEHIND not in str(error) and not any(words in str(error) for words in UNSURE):
                    raise
                if time.monotonic() > deadline:
                    raise HostError(
                        f"{member.name} did not catch up with the other members within {seconds:.0f} s, and stays a"
                        f" learner ({error}). See journalctl -u etcd there; the next run goes on"
                    ) from None
            pause(PAUSE)
    return [f"promote {member.name}: it is a member of etcd with a vote" for member in learners]


def leader(host: Host, there: List[Member], endpoint: str = "") -> str:
    """The client URL of etcd's leader; `endpoint` itself while there is none.

    Another member hands a promotion on to it without saying who asks, which is refused for ever where etcd has users.
    """
    identity = f"{status(host, endpoint).get('leader', 0):x}"
    return next((member.client for member in there if member.identity == identity and member.client), endpoint)


def remove(host: Host, spec: Dict[str, Any]) -> List[str]:
    """Take a member out. HostError where those that stay would be no quorum, or none would stay."""
    there = members(host)
    leaving = find(there, spec["name"], spec["address"])
    if leaving is None:
        return []
    removable(host, there, leaving)
    if not spec["check"]:
        _patiently(host, "member", "remove", leaving.identity)
    return [f"remove {spec['name']} from the members of etcd"]


def removable(host: Host, there: List[Member], leaving: Member) -> None:
    """HostError if the cluster cannot do without this member for ever."""
    if leaving.learner:
        return
    others = [member for member in there if not member.learner and member.identity != leaving.identity]
    if not others:
        raise HostError(
            f"{leaving.name} is the last member of etcd: without it the cluster's data is lost. Nothing was changed"
        )
    needed = len(others) // 2 + 1
    if away := missing(host, others, needed):
        raise HostError(
            f"without {leaving.name} etcd would have no quorum: of the {len(others)} members that stay {needed} are"
            f" needed, and {len(away)} are not healthy ({'; '.join(away)}). Nothing was changed: bring them back first"
        )


def _patiently(host: Host, *arguments: str) -> None:
    deadline = time.monotonic() + SETTLING
    while True:
        try:
            etcdctl(host, *arguments)
            return
        except HostError as error:
            if time.monotonic() > deadline or not any(words in str(error) for words in UNSURE):
                raise
        pause(PAUSE)
