"""etcd as the host of a member sees it: who the members are, who of them is healthy, whether one can be spared."""

from __future__ import annotations

import glob
import json
import re
import time
from typing import Any, Callable, Dict, List, NamedTuple, Optional

from .errors import HostError
from .host import Host

PKI = "/etc/etcd/pki"
CLIENT = f"{PKI}/healthcheck-client"
LOCAL = "https://127.0.0.1:2379"
# For an endpoint that is off: a member that answers at all does so in milliseconds.
SECONDS = 5
# Between two looks at members that are not healthy yet.
PAUSE = 1
# One of etcd's errors: an alarm with its member.
ALARM = re.compile(r"memberID:(\d+) alarm:(\w+)")
# What a learner answers to most that is asked of it.
LEARNER = "not supported for learner"


class Member(NamedTuple):
    """A member as all know it. `name` is empty until it has started once; `identity` is etcd's, in hexadecimal."""

    identity: str
    name: str
    peer: str
    client: str
    learner: bool


class Alarm(NamedTuple):
    member: str
    alarm: str


class OwnMember(NamedTuple):
    """`identity` is empty and `problem` says why where the member does not answer. `leader`: it knows one."""

    identity: str
    leader: bool
    learner: bool
    alarms: List[Alarm]
    problem: str


def etcdctl(host: Host, *arguments: str, endpoints: str = "", timeout: float = 30) -> Dict[str, Any]:
    """What `etcdctl ARGUMENTS` answers, as the health check's client. Raises HostError with etcd's own words."""
    return dict(json.loads(told(host, *arguments, "--write-out=json", endpoints=endpoints, timeout=timeout) or "{}"))


def told(
    host: Host,
    *arguments: str,
    endpoints: str = "",
    timeout: float = 30,
    command_timeout: float = SECONDS,
    dial_timeout: float = SECONDS,
    client: str = CLIENT,
) -> str:
    """The same as text, for commands that answer with something else than an object. `client`: whose .crt and .key."""
    done = host.run(
        [
            "etcdctl",
            f"--endpoints={endpoints or LOCAL}",
            f"--cacert={host.path(PKI)}/ca.crt",
            f"--cert={host.path(client)}.crt",
            f"--key={host.path(client)}.key",
            f"--dial-timeout={dial_timeout}s",
            f"--command-timeout={command_timeout}s",
            *arguments,
        ],
        check=False,
        timeout=timeout,
    )
    if done.returncode:
        said = [line for line in done.stderr.splitlines() if line.strip() and not line.startswith("{")]
        raise HostError(
            f"etcdctl {' '.join(arguments)}: {said[-1] if said else 'it ended with ' + str(done.returncode)}"
        )
    return done.stdout


def status(host: Host, endpoint: str = "", seconds: float = SECONDS, timeout: float = 30) -> Dict[str, Any]:
    """What one member says of itself and of who leads, as etcd's StatusResponse has it; it takes no quorum."""
    limits = {"command_timeout": seconds, "dial_timeout": seconds, "timeout": timeout}
    (answer,) = json.loads(told(host, "endpoint", "status", "--write-out=json", endpoints=endpoint, **limits))
    return dict(answer["Status"])


def own_member(host: Host, seconds: float) -> Dict[str, Any]:
    """This host's member of etcd, as it answers by itself: without a quorum, too."""
    silent = {"identity": "", "leader": False, "learner": False, "alarms": []}
    try:
        # etcdctl has been seen to wait for longer than it is told.
        found = status(host, seconds=seconds, timeout=seconds + 1)
        alarms = [match.groups() for text in found.get("errors") or [] for match in ALARM.finditer(text)]
        return {
            "identity": f"{found['header']['member_id']:x}",
            "leader": bool(found.get("leader")),
            "learner": bool(found.get("isLearner")),
            "alarms": [{"member": f"{int(identity):x}", "alarm": alarm} for identity, alarm in alarms],
            "problem": "",
        }
    except HostError as error:
        late = "did not end within" in str(error) or "deadline exceeded" in str(error)
        return {**silent, "problem": f"no answer within {seconds:.0f} s" if late else str(error)}
    except (ValueError, KeyError, TypeError) as error:
        return {**silent, "problem": f"the answer of etcd can't be read: {error!r}"}


def members(host: Host, endpoints: str = "") -> List[Member]:
    """All members, learners too, as the cluster knows them; HostError where no quorum answers."""
    return [
        Member(
            identity=f"{item['ID']:x}",
            name=item.get("name", ""),
            peer=(item.get("peerURLs") or [""])[0],
            client=(item.get("clientURLs") or [""])[0],
            learner=bool(item.get("isLearner")),
        )
        for item in etcdctl(host, "member", "list", endpoints=endpoints)["members"]
    ]


def refuse_another(host: Host, wanted: List[str]) -> None:
    """HostError if this host's member answers, and belongs to another cluster than one of the ids `wanted`."""
    try:
        # Of its own data alone: it has to be known without a quorum, too.
        answer = etcdctl(host, "get", "health", "--keys-only", "--consistency=s")
    except HostError:
        return
    found = f"{answer['header']['cluster_id']:x}"
    if found not in wanted:
        restored = glob.glob(host.path("/var/lib/etcd/before-restore-*.etcd"))
        since = "was restored" if restored else "was restored or bootstrapped"
        raise HostError(
            f"etcd on this host belongs to the cluster {found}, and formed.json in the PKI directory has"
            f" {' or '.join(wanted)}. Both have the same CA: the cluster {since} with another copy of that"
            " directory. Nothing was changed. Copy formed.json from the control node that did it. If no copy has it,"
            f" and {found} is the cluster that you mean, set cluster_id in formed.json to it"
        )


def problem(host: Host, member: Member) -> str:
    """Why a member does not do its part, in its own words or etcdctl's; empty when it does."""
    if not member.client:
        return "it has not started yet"
    try:
        # Reads through the quorum: a member that lost the others answers, and is not healthy.
        etcdctl(host, "get", "health", "--keys-only", endpoints=member.client)
    except HostError as error:
        return str(error)
    return ""


def missing(host: Host, those: List[Member], needed: int) -> List[str]:
    """Who of these members is not healthy, each with why, where fewer than `needed` are; nobody otherwise."""
    problems = [f"{member.name or member.peer}: {why}" for member in those if (why := problem(host, member))]
    return sorted(problems) if len(those) - len(problems) < needed else []


def spare(host: Host, name: str, ready: Callable[[], bool], seconds: float) -> None:
    """HostError if the cluster cannot do without this member for a while: too few of the others are healthy.

    One member or two have no redundancy, so nothing is checked there. `ready` is the
    member's own word that it serves. A member that neither is ready nor answers reads of its own data is no loss; one
    that answers them is, also while there is no quorum. The others are given `seconds`.
    """
    deadline = time.monotonic() + seconds
    while problem := _why_needed(host, name):
        if not problem.quorum and not ready() and not answers(host):
            return
        if time.monotonic() > deadline:
            raise HostError(problem.text)
        time.sleep(PAUSE)


class _Problem(NamedTuple):
    """Why the cluster needs a member; `quorum`: a majority of the members answered."""

    text: str
    quorum: bool


def _why_needed(host: Host, name: str) -> Optional[_Problem]:
    """One look; None where the others have a quorum without the member."""
    try:
        voters = [member for member in members(host) if not member.learner]
    except HostError as error:
        if LEARNER in str(error):
            return None  # it has no vote yet: nothing is lost without it
        refuse_expired(host)
        text = (
            f"etcd has no quorum, and {name} has data that counts for one ({error}). Bring the other members back"
            f" first. If they are lost, stop etcd on {name}, and run the same command again"
        )
        return _Problem(text, quorum=False)
    others = [member for member in voters if member.name != name]
    if len(voters) < 3 or len(others) == len(voters):
        return None
    needed = len(voters) // 2 + 1
    away = missing(host, others, needed)
    if not away:
        return None
    text = (
        f"without {name} etcd would have no quorum: of its {len(voters)} members {needed} are needed, and"
        f" {len(away)} of the others are not healthy ({'; '.join(away)}). Bring them back first"
    )
    return _Problem(text, quorum=True)


def answers(host: Host) -> bool:
    """Whether this host's member answers reads of its own data, which takes no quorum."""
    try:
        etcdctl(host, "get", "health", "--keys-only", "--consistency=s")
    except HostError:
        return False
    return True


def refuse_expired(host: Host) -> None:
    """HostError where this host can't ask any member: its own certificate for it has expired."""
    path = f"{CLIENT}.crt"
    done = host.run(["openssl", "x509", "-in", host.path(path), "-noout", "-checkend", "0"], check=False)
    if done.returncode:
        raise HostError(
            f"{path} has expired or can't be read, so the health of etcd is unknown. Nothing was restarted. Renew it:"
            " kubeinstall certs renew"
        )
