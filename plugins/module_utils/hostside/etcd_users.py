"""etcd's users, known by the common names of their certificates, and its authentication, which binds every client.

spec: root, operation, check, endpoints (of all members: one that answers is asked), users {name: prefix}, where an
empty prefix is all rights, belongings {name: prefix}, which go when that user goes, and
    make      the users named are so, and those of ours that are not named are gone
    enable    the same, and etcd lets nobody in but its users
    disable   etcd lets everybody in who has a certificate
    remove    the same, and no user of ours is left
Returns {changes, turned_on}: sentences, and whether authentication was off and is on; with `check` nothing is touched.
A user of ours has a role named after it, with our own prefix: users and roles that others made are left alone.
Or root, operation prove, seconds, and each null where this host has none of it
    member    endpoint of its member of etcd
    api       {server, authority, certificate, key} of its API server
    flannel   {client (path of its certificate and key without their ends), prefix}
HostError where one of them is not let in any more, or flannel is let in further than to its prefix; {} otherwise.
"""

from __future__ import annotations

import base64
import contextlib
import json
import time
from typing import Any, Callable, Dict, List, NamedTuple, Set, Tuple

from .answers import Answer, Nothing
from .api import API, RefusedError, UnreachableError
from .errors import HostError
from .etcd import etcdctl, told
from .host import Host
from .ready import unfulfilled

OURS = "kubeinstall-"
ROOT = "root"
READWRITE = 2
# A change of users or roles makes requests fail that were under way meanwhile.
AGAIN = ("revision in header is old", "leader changed", "timed out")
DENIED = "permission denied"
PATIENCE = 20
PAUSE = 0.3

Etcdctl = Callable[..., Dict[str, Any]]
Prefixes = Dict[str, str]
Step = Tuple[str, List[List[str]]]


class There(NamedTuple):
    """What there is: the names of all users and roles, and whether authentication is on."""

    users: Set[str]
    roles: Set[str]
    enabled: bool


class Done(NamedTuple):
    changes: List[str]
    turned_on: bool


ANSWERS = {
    **dict.fromkeys(("make", "enable", "disable", "remove"), Answer(Done, seconds=600)),
    "prove": Answer(Nothing, reads=True),
}


def main(spec: Dict[str, Any]) -> Dict[str, Any]:
    host = Host(spec.get("root", "/"))
    if spec["operation"] == "prove":
        return prove(host, spec)

    def ask(*arguments: str) -> Dict[str, Any]:
        return dict(json.loads(_patiently(host, spec["endpoints"], *arguments, "--write-out=json")))

    try:
        there = look(ask)
    except HostError:
        if not spec["check"]:
            raise
        there = There(set(), set(), False)  # before the first run there is nobody to ask
    operation = {"make": make, "enable": enable, "disable": disable, "remove": remove}[spec["operation"]]
    steps = operation(ask, there, spec["users"], spec["belongings"])
    if not spec["check"]:
        with host.acting("change etcd's users", check=False):
            for command in (command for _, commands in steps for command in commands):
                _patiently(host, spec["endpoints"], *command)
    turned_on = operation is enable and not there.enabled
    return {"changes": [sentence for sentence, _ in steps], "turned_on": turned_on}


def look(ask: Etcdctl) -> There:
    users, roles = ask("user", "list").get("users") or [], ask("role", "list").get("roles") or []
    return There(set(users), set(roles), bool(ask("auth", "status").get("enabled")))


def make(ask: Etcdctl, there: There, users: Prefixes, belongings: Prefixes) -> List[Step]:
    steps = [step for name, prefix in users.items() for step in _user(ask, there, name, prefix)]
    return steps + _without(there, sorted(_ours(there) - set(users)), belongings)


def enable(ask: Etcdctl, there: There, users: Prefixes, belongings: Prefixes) -> List[Step]:
    steps = make(ask, there, users, belongings)
    if not there.enabled:
        steps.append(("enable etcd's authentication: it lets nobody in but its users", [["auth", "enable"]]))
    return steps


def disable(_ask: Etcdctl, there: There, _users: Prefixes, _belongings: Prefixes) -> List[Step]:
    return [("disable etcd's authentication: it lets everybody in", [["auth", "disable"]])] if there.enabled else []


def remove(ask: Etcdctl, there: There, users: Prefixes, belongings: Prefixes) -> List[Step]:
    steps, ours = disable(ask, there, users, belongings), _ours(there)
    steps += _without(there, sorted(ours), belongings)
    # Its role is nobody's in particular: it goes where we made the only users that have it.
    if ours and ROOT in there.roles and not any(ROOT in _roles(ask, name) for name in there.users - ours):
        steps.append(("take away the etcd role root", [["role", "delete", ROOT]]))
    return steps


def _ours(there: There) -> Set[str]:
    """The names of users that we made, also of those whose making or removal was cut short."""
    return {role[len(OURS) :] for role in there.roles if role.startswith(OURS)}


def _user(ask: Etcdctl, there: There, name: str, prefix: str) -> List[Step]:
    role, commands, missing = OURS + name, [], False
    has = _roles(ask, name) if name in there.users else set()
    if has and role not in has:
        if not prefix and ROOT in has:
            return []  # somebody else's, and as good
        raise HostError(
            f"the etcd user {name} is there already, and was not made by kubeinstall: its rights are not ours to say."
            f" Nothing was changed: take it away (etcdctl user delete {name}), or choose another name"
        )
    if role not in there.roles:
        commands.append(["role", "add", role])
    if prefix:
        commands += _permissions(ask, role, prefix, role in there.roles)
    elif ROOT not in there.roles:
        # Made by whichever of the users comes first.
        there.roles.add(ROOT)
        commands.append(["role", "add", ROOT])
    if name not in there.users:
        missing = True
        commands.append(["user", "add", name, "--no-password"])
    for one in [role] if prefix else [role, ROOT]:
        if one not in has:
            commands.append(["user", "grant-role", name, one])
    if not commands:
        return []
    rights = f"limited to {prefix}" if prefix else "with all rights"
    return [(f"{'make' if missing else 'change'} the etcd user {name}, {rights}", commands)]


def _roles(ask: Etcdctl, name: str) -> Set[str]:
    return set(ask("user", "get", name).get("roles") or [])


def _permissions(ask: Etcdctl, role: str, prefix: str, there: bool) -> List[List[str]]:
    """What gives the role all below the prefix, and takes from it all else."""
    wanted = (READWRITE, prefix, _end(prefix))
    found = [
        (one.get("permType", 0), _text(one.get("key", "")), _text(one.get("range_end", "")))
        for one in (ask("role", "get", role).get("perm") or [] if there else [])
    ]
    commands = [] if wanted in found else [["role", "grant-permission", role, "readwrite", prefix, "--prefix"]]
    other = [[key, end] if end else [key] for kind, key, end in found if (key, end) != wanted[1:]]
    return commands + [["role", "revoke-permission", role, *keys] for keys in other]


def _end(prefix: str) -> str:
    """Where the keys that begin so end, as etcd has it."""
    return prefix[:-1] + chr(ord(prefix[-1]) + 1)


def _text(encoded: str) -> str:
    return base64.b64decode(encoded).decode(errors="replace")


def _without(there: There, names: List[str], belongings: Prefixes) -> List[Step]:
    steps: List[Step] = []
    for name in names:
        # The role goes last: by it the next run finds what one that was cut short has left.
        commands = [["del", belongings[name], "--prefix"]] if name in belongings else []
        commands += [["user", "delete", name]] if name in there.users else []
        all_of_it = f", and all under {belongings[name]}" if name in belongings else ""
        steps.append((f"take away the etcd user {name}{all_of_it}", [*commands, ["role", "delete", OURS + name]]))
    return steps


def _patiently(host: Host, endpoints: str, *arguments: str) -> str:
    deadline = time.monotonic() + PATIENCE
    while True:
        try:
            return told(host, *arguments, endpoints=endpoints)
        except HostError as error:
            if time.monotonic() > deadline or not any(words in str(error) for words in AGAIN):
                raise
        time.sleep(PAUSE)


# The proof


def prove(host: Host, spec: Dict[str, Any]) -> Dict[str, Any]:
    deadline = time.monotonic() + spec["seconds"]
    while True:
        problems = [
            problem
            for problem in (
                _member(host, spec["member"]) if spec["member"] else "",
                _api_server(spec["api"]) if spec["api"] else "",
                _flannel(host, spec["flannel"]) if spec["flannel"] else "",
            )
            if problem
        ]
        if not problems:
            return {}
        if time.monotonic() > deadline:
            raise HostError(f"with etcd's users this host's clients of etcd do not work: {'; '.join(problems)}")
        time.sleep(PAUSE)


def _member(host: Host, endpoint: str) -> str:
    try:
        found = etcdctl(host, "get", "/registry/", "--prefix", "--keys-only", "--limit=1", endpoints=endpoint)
    except HostError as error:
        return str(error)
    return "" if found.get("kvs") else "the health check's client reads nothing of the cluster"


def _api_server(access: Dict[str, str]) -> str:
    """Its readiness asks etcd for its health; what it is asked for besides has to come from there."""
    problem = unfulfilled(Host(), {"url": f"{access['server']}/readyz", "ca": access["authority"]})
    if problem:
        return problem
    try:
        with contextlib.closing(API(**access, patience=5)) as api:
            api.request("GET", "/api/v1/namespaces/kube-system")
    except (RefusedError, UnreachableError) as error:
        return f"the API server reads nothing: {error}"
    return ""


def _flannel(host: Host, flannel: Dict[str, str]) -> str:
    try:
        told(host, "get", flannel["prefix"], "--prefix", "--keys-only", client=flannel["client"])
    except HostError as error:
        return f"flannel does not reach its network: {error}"
    try:
        told(host, "get", "/registry/secrets/", "--prefix", "--keys-only", "--limit=1", client=flannel["client"])
    except HostError as error:
        return "" if DENIED in str(error) else str(error)
    return "flannel's certificate reads the cluster's Secrets"
