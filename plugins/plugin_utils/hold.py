"""One run at a time: a run that changes a cluster holds it, on its control planes and etcd members, while it lasts.

The hold is one of processes, not of files: kubeinstall/keeper.py beside the run, hostside/hold.py on the hosts. It is
taken once for each run, by the first task that is about to change something, and costs no host a call of its own.
"""

from __future__ import annotations

import fcntl
import getpass
import json
import multiprocessing
import os
import socket
import subprocess
import sys
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TextIO, cast

from ansible import constants
from ansible.errors import AnsibleActionFail
from ansible.plugins.action import ActionBase
from ansible_collections.kubeinstall.cluster.plugins.plugin_utils.connections import (
    command_over,
    connection_to,
    interpreter,
    streaming,
)

from kubeinstall import keeper
from kubeinstall.text import printable

NAME = "kubeinstall-run"
HOSTSIDE = Path(__file__).resolve().parent.parent / "module_utils" / "hostside" / "hold.py"
# A host forgets a run that it has not heard of for so long; the run itself stops some time before that.
FORGOTTEN_SECONDS = 30.0
LOST_SECONDS = 20.0
UNKNOWN = "inf"


def take(action: ActionBase, task_vars: Mapping[str, Any]) -> None:
    """Hold the cluster for this run. AnsibleActionFail names who holds it, if another run does."""
    state = _file("hold")
    if state.exists():
        return
    refused = state.with_name("hold-refused")
    with state.with_name("hold-lock").open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not state.exists() and not refused.exists():
            answer = _keep(_commands(action, task_vars), state)
            if "held" in answer:
                refused.write_text(_sentence(answer["held"] or {}, answer["host"]))
            elif "failed" in answer:
                refused.write_text(f"the run's hold on the cluster could not be taken: {_told(answer['failed'])}")
            elif "away" in answer:
                state.write_text(UNKNOWN)
                told = _told(answer["away"]) or "none can be asked over its connection"
                action._display.warning(f"nobody says whether another run changes this cluster: {told}")
    if refused.exists():
        raise AnsibleActionFail(refused.read_text())


def take_again(action: ActionBase, task_vars: Mapping[str, Any]) -> None:
    """Hold the cluster on the task's host too, which has rebooted and knows of no run. The other hosts have kept it."""
    state, host = _file("hold"), task_vars["inventory_hostname"]
    if not state.exists() or state.read_text() == UNKNOWN:
        return
    commands = [one for one in _commands(action, task_vars) if one["host"] == host]
    if not commands:
        return
    answer = _keep(commands, state)
    if "held" in answer:
        raise AnsibleActionFail(f"while {host} was down, {_sentence(answer['held'] or {}, host, 'Nothing more')}")


def check() -> None:
    """AnsibleActionFail if this run was killed, or has lost its hold: it must not begin anything more."""
    parent = multiprocessing.parent_process()
    if parent is not None and os.getppid() != parent.pid:
        raise AnsibleActionFail("the run that this belongs to was killed: nothing more is begun on this host")
    state = _file("hold")
    if not state.exists():
        return
    silent = time.clock_gettime(time.CLOCK_BOOTTIME) - float(state.read_text())
    if silent > LOST_SECONDS:
        raise AnsibleActionFail(
            f"this run has lost its hold on the cluster: no control plane or etcd member has answered it for"
            f" {silent:.0f} s, and another run may be at work by now. Nothing more was begun; run it again"
        )


def _file(name: str) -> Path:
    # The run's own, shared by all its workers, and gone with it.
    return Path(constants.DEFAULT_LOCAL_TMP) / name


def _commands(action: ActionBase, task_vars: Mapping[str, Any]) -> list[dict[str, Any]]:
    groups, hostvars = task_vars["groups"], task_vars["hostvars"]
    servers = dict.fromkeys([*groups.get("control_plane", ()), *groups.get("etcd", ())])
    run = {
        "who": f"{getpass.getuser()}@{socket.gethostname()}",
        "process": os.getppid(),
        "since": datetime.now(UTC).strftime("%Y-%m-%d %H:%M:%S UTC"),
    }
    argument = json.dumps({"name": NAME, "run": run, "patience": FORGOTTEN_SECONDS})
    commands = []
    for host in servers or task_vars["ansible_play_hosts_all"]:
        words = [interpreter(action, hostvars[host]), "-I", "-S", "-c", HOSTSIDE.read_text(), argument]
        connection = connection_to(action, hostvars[host])
        if connection.transport == "local":
            commands.append({"host": host, "command": words})
        elif streaming(connection):
            ssh, *arguments = [os.fsdecode(word) for word in command_over(connection, host, words)]
            # It may share Ansible's connection, but is not to become one that others share and that outlives it.
            commands.append({"host": host, "command": [ssh, "-oControlMaster=no", *arguments]})
    return commands


def _keep(commands: list[dict[str, Any]], state: Path) -> dict[str, Any]:
    """Start the keeper, and return its answer; it stays behind while this run lasts."""
    command = [sys.executable, "-I", "-S", keeper.__file__, str(os.getppid()), str(state)]
    pipe = subprocess.PIPE
    process = subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=pipe, text=True, start_new_session=True)
    stdin, stdout, stderr = (cast(TextIO, stream) for stream in (process.stdin, process.stdout, process.stderr))
    with stdin:
        stdin.write(json.dumps(commands))
    said = stdout.readline()
    if not said:
        raise AnsibleActionFail(
            f"the run's hold on the cluster could not be kept: {printable(stderr.read()).strip()[-1000:]}"
        )
    return dict(json.loads(said))


def _sentence(holder: Mapping[str, Any], host: str, nothing: str = "Nothing") -> str:
    who, process, since, there = (
        "".join(filter(str.isprintable, str(holder.get(key, "unknown"))))[:100]
        for key in ("who", "process", "since", "there")
    )
    return (
        f"another run holds this cluster: {who}, process {process}, since {since} (says {host}; on it, {there})."
        f" {nothing} was changed. Wait until that run has ended, or end it there; one whose machine died is forgotten"
        f" within {FORGOTTEN_SECONDS:.0f} s"
    )


def _told(reasons: Mapping[str, str]) -> str:
    return "; ".join(f"{host}: {printable(str(why))[:500]}" for host, why in reasons.items())
