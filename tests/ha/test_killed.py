"""Runs that are killed at any point, and runs that meet: the next one converges, and there is one at a time.

On a lab of its own, one control plane and one node: nothing here needs more. The tests run in their order, from fresh
hosts to a change of the living cluster.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
import yaml
from ansible_collections.kubeinstall.cluster.plugins.module_utils.hostside.host import LOCKS

from tests.clusters import lab_of
from tests.lab import BIN, Lab, descendants, eventually, kill, recap

ROOT = Path(__file__).resolve().parents[2]
NAME = "test-killed"
NODE = f"{NAME}-node1"
INVENTORY = ROOT / "inventory" / NAME
CHANGE = INVENTORY / "group_vars" / "all" / "of_the_test.yml"
VARIABLES = INVENTORY / "group_vars" / "all" / "user_of_the_test.yml"
MAKE_USER = """
id deploy >/dev/null 2>&1 || useradd --create-home --shell /bin/bash deploy
printf 'Defaults use_pty\\ndeploy ALL=(ALL) NOPASSWD: ALL\\n' >/etc/sudoers.d/deploy
"""
# What holds the cluster as a run does, and does nothing with it.
HOLDER = """\
- name: Take hold
  ansible.builtin.import_playbook: {preflight}
- name: Stay
  hosts: all
  gather_facts: false
  tasks:
    - name: Stay
      ansible.builtin.wait_for: {{timeout: 600}}
      delegate_to: localhost
      run_once: true
"""


@pytest.fixture(scope="module")
def lab() -> Iterator[Lab]:
    """Fresh hosts."""
    with lab_of(NAME, "--control-planes", "1", "--nodes", "1", keep=False):
        yield Lab(INVENTORY)


@pytest.fixture(scope="module")
def living(lab: Lab) -> Lab:
    """The hosts with their cluster, whichever tests ran before."""
    run("kubeinstall", "apply")
    return lab


def begin(
    program: str, *arguments: str | Path, inventory: Path = INVENTORY, **environment: str
) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [BIN / program, *arguments, "-i", inventory],
        cwd=ROOT,
        env={**os.environ, **environment},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )


def run(program: str, *arguments: str | Path, code: int = 0, inventory: Path = INVENTORY, **environment: str) -> str:
    process = begin(program, *arguments, inventory=inventory, **environment)
    text, _ = process.communicate(timeout=900)
    assert process.returncode == code, f"{program} {arguments} ended with {process.returncode}:\n{text}"
    return text


def changes(lab: Lab) -> dict[str, int]:
    """What a whole run changes now, by host."""
    text = run("ansible-playbook", ROOT / "playbooks" / "site.yml")
    return {host: counts["changed"] for host, counts in recap(text).items()}


def journal_of(process: subprocess.Popen[str], known: set[Path]) -> Path:
    """The journal of the run that has just begun."""

    def new() -> list[Path]:
        assert process.poll() is None, process.communicate()[0]
        # A run with components to get checks the hosts first: that is not the one.
        found = set(INVENTORY.glob(".kubeinstall/runs/*/journal.jsonl")) - known
        return [path for path in found if '"site"' in path.read_text()]

    return eventually(new, what="the run keeps a journal")[0]


def kill_during(task: str, *, all_of_it: bool) -> None:
    """`kubeinstall apply`, killed as soon as the task works on the hosts; with every process below it, or alone."""
    known = set(INVENTORY.glob(".kubeinstall/runs/*/journal.jsonl"))
    process = begin("kubeinstall", "apply")
    journal = journal_of(process, known)
    deadline = time.monotonic() + 600
    while not any(task in line and '"task"' in line for line in journal.read_text().splitlines()):
        assert process.poll() is None, f"it ended before `{task}`:\n{process.communicate()[0]}"
        assert time.monotonic() < deadline, f"`{task}` did not begin"
        time.sleep(0.05)
    time.sleep(0.7)
    kill(descendants(process.pid) if all_of_it else [process.pid])
    process.communicate()


def test_etcd_begins_on_all_its_members_or_not_at_all(lab: Lab, tmp_path: Path) -> None:
    name, other = f"{NAME}-cp1", f"{NAME}-node1"
    more = tmp_path / "more.yml"
    more.write_text(yaml.safe_dump({"etcd": {"hosts": {other: None}}}))
    etcd = ROOT / "playbooks" / "etcd.yml"
    for check in ([], ["--check"]):
        # Without the preflight checks, which refuse two members of a new cluster before that.
        unchecked = ("-e", "preflight_done=true", "--limit", name, *check)
        said = " ".join(run("ansible-playbook", etcd, "-i", more, *unchecked, code=2).split())
        assert f"its members begin together: {other} is not part of this run" in said
    assert lab.sh(lab.host(name), "ls -d /var/lib/etcd /etc/etcd 2>/dev/null || true") == ""


@pytest.mark.parametrize(
    ("task", "all_of_it"),
    [
        ("Run the container engine", True),
        ("Run the etcd member", True),
        ("Run the controller manager", False),
        ("Run the kubelet", True),
        ("Run flannel", False),
    ],
)
def test_an_install_that_is_killed_goes_on(lab: Lab, task: str, all_of_it: bool) -> None:
    """Each run goes on from where the one before was killed, which is one step further each time."""
    kill_during(task, all_of_it=all_of_it)


def test_the_killed_install_converges(lab: Lab) -> None:
    run("kubeinstall", "apply")
    assert set(changes(lab).values()) == {0}
    run("kubeinstall", "verify")


def test_a_change_that_is_killed_converges_and_nothing_is_lost(living: Lab) -> None:
    living.kubectl("create configmap kept --from-literal=word=held")
    before = living.sh(living["etcd"][0], "cat /var/lib/etcd/default.etcd/member/snap/db | wc -c")
    assert int(before) > 0
    more = {"v": "1"}
    CHANGE.write_text(
        yaml.safe_dump(
            {
                "etcd_extra_arguments": {"log-level": "warn"},
                "kube_apiserver_extra_arguments": more,
                "kube_controller_manager_extra_arguments": more,
                "kube_scheduler_extra_arguments": more,
                "kubelet_extra_arguments": more,
                "kube_proxy_extra_arguments": more,
            }
        )
    )
    try:
        for number, task in enumerate(
            (
                "Run the etcd member",
                "Run the API server",
                "Run the controller manager",
                "Run the kubelet",
                "Run kube-proxy",
            )
        ):
            kill_during(task, all_of_it=bool(number % 2))
        run("kubeinstall", "apply")
        assert set(changes(living).values()) == {0}
        (cp,) = living["control_plane"]
        for unit in ("etcd", "kube-apiserver", "kube-controller-manager", "kube-scheduler", "kubelet", "kube-proxy"):
            running = living.sh(cp, f"tr '\\0' ' ' < /proc/$(systemctl show -P MainPID {unit})/cmdline")
            assert ("--log-level=warn" if unit == "etcd" else "--v=1") in running
        run("kubeinstall", "verify")
        assert living.kubectl("get configmap kept -o jsonpath={.data.word}") == "held"
    finally:
        CHANGE.unlink()
        run("kubeinstall", "apply")


@pytest.fixture(params=["root", "sudo"])
def operator(living: Lab, request: pytest.FixtureRequest) -> Iterator[str]:
    """Who logs in: root, or a user whose sudo keeps a pipe of its own between ssh and the program."""
    if request.param == "root":
        yield "root"
        return
    for host in living.all:
        living.sh(host, MAKE_USER)
    VARIABLES.write_text(yaml.safe_dump({"ansible_user": "deploy"}))
    yield "deploy"
    VARIABLES.unlink()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_a_drain_ends_with_its_command(living: Lab, operator: str, number: signal.Signals) -> None:
    """The Node is neither recorded as removed nor deleted, and the next run waits for nothing."""
    name = NODE
    with ends_slowly(living, name), begun("kubeinstall", "node", "remove", name, "--yes") as process:
        eventually(lambda: ending(living), 120, "the pod is terminating")
        assert draining(living)
        process.send_signal(number)
        sent = time.monotonic()
        eventually(lambda: not draining(living), 15, "the drain has ended")
        took = time.monotonic() - sent
        output = process.communicate()[0]
        assert took < 9, took
        (node,) = living.objects(f"nodes --field-selector=metadata.name={name}")
        assert node["spec"]["unschedulable"] is True
        assert "deletionTimestamp" not in node["metadata"]
        marks = living.kubectl("get configmap -n kube-system kubeinstall-removed -o json --ignore-not-found")
        assert name not in marks
        if number != signal.SIGKILL:
            assert process.returncode == 130
            assert f"The drain of {name} has stopped. The node stays cordoned" in output
            assert f"`kubectl uncordon {name}`" in output
    living.kubectl(f"uncordon {name}")
    assert set(changes(living).values()) == {0}


def test_a_drain_ends_with_a_playbook_that_is_killed_alone(living: Lab) -> None:
    """Its worker and ssh live on; the run's hold on the hosts does not."""
    name, playbook = NODE, ROOT / "playbooks" / "node_remove.yml"
    hosts = json.dumps({"membership_hosts": [name]})
    with ends_slowly(living, name), begun("ansible-playbook", playbook, "-e", hosts) as process:
        eventually(lambda: ending(living), 120, "the pod is terminating")
        orphans = descendants(process.pid)[1:]
        process.kill()
        try:
            eventually(lambda: not draining(living), 15, "the drain has ended")
        finally:
            kill(orphans)
        assert living.objects(f"nodes --field-selector=metadata.name={name}")
    living.kubectl(f"uncordon {name}")


def draining(lab: Lab) -> bool:
    """Whether a run changes the cluster from one of the control planes."""
    return any(host.run(f"flock --nonblock {LOCKS}/lock true").rc != 0 for host in lab["control_plane"])


@contextlib.contextmanager
def begun(program: str, *arguments: str | Path) -> Iterator[subprocess.Popen[str]]:
    """A run of which nothing is left at the end, whatever the test came to."""
    with begin(program, *arguments) as process:
        try:
            yield process
        finally:
            kill(descendants(process.pid))


def ending(lab: Lab) -> bool:
    return any("deletionTimestamp" in pod["metadata"] for pod in lab.objects("pods --namespace=default"))


@contextlib.contextmanager
def ends_slowly(lab: Lab, node: str) -> Iterator[None]:
    """A pod on this node that takes ten minutes to end."""
    container = {
        "name": "pause",
        "image": "registry.k8s.io/pause:3.10.1",
        "imagePullPolicy": "IfNotPresent",
        "lifecycle": {"preStop": {"sleep": {"seconds": 600}}},
    }
    pod = {"nodeName": node, "containers": [container], "terminationGracePeriodSeconds": 660}
    metadata = {"name": "slow", "namespace": "default"}
    lab.kubectl("apply -f -", {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": pod})
    try:
        lab.kubectl("wait --for=condition=Ready pod/slow --timeout=60s")
        yield
    finally:
        lab.kubectl("delete pod/slow --force --grace-period=0 --ignore-not-found")


@pytest.fixture
def holder(living: Lab, tmp_path: Path) -> Iterator[subprocess.Popen[str]]:
    """A run that holds the cluster, by plain ansible-playbook."""
    playbook = tmp_path / "stay.yml"
    playbook.write_text(HOLDER.format(preflight=ROOT / "playbooks" / "preflight.yml"))
    process = begin("ansible-playbook", playbook)
    eventually(lambda: held(living), what="the run holds the cluster")
    yield process
    kill(descendants(process.pid))
    process.communicate()


def held(lab: Lab) -> bool:
    return "@kubeinstall-run" in lab.sh(lab["control_plane"][0], "cat /proc/net/unix")


@pytest.fixture
def elsewhere() -> Iterator[dict[str, Any]]:
    """Another controller: a home and a copy of the inventory of its own."""
    # ssh makes sockets at home, and their paths have to be short.
    with TemporaryDirectory(prefix="k") as home:
        copy = Path(home) / NAME
        shutil.copytree(INVENTORY, copy)
        cache = os.environ.get("XDG_CACHE_HOME", str(Path.home() / ".cache"))
        yield {"inventory": copy, "HOME": home, "XDG_CACHE_HOME": cache}


@pytest.mark.parametrize(
    ("program", "arguments", "code"),
    [
        ("kubeinstall", ("apply", "--limit", f"{NAME}-node1"), 1),
        ("ansible-playbook", (ROOT / "playbooks" / "site.yml",), 2),
        ("ansible-playbook", (ROOT / "playbooks" / "kube_proxy.yml", "--limit", f"{NAME}-node1"), 2),
    ],
)
def test_a_second_run_is_told_who_holds_the_cluster(
    holder: subprocess.Popen[str],
    living: Lab,
    elsewhere: dict[str, Any],
    program: str,
    arguments: tuple[str | Path, ...],
    code: int,
) -> None:
    said = " ".join(run(program, *arguments, code=code, **elsewhere).split())
    assert f"process {holder.pid}, since 20" in said.replace(" │ ", " ")
    assert "another run holds this cluster" in said
    assert holder.poll() is None
    # What changes nothing may go on beside it.
    run("kubeinstall", "apply", "--check", inventory=elsewhere["inventory"])
    run("kubeinstall", "status")


def test_after_a_killed_run_the_next_goes_on_at_once(
    holder: subprocess.Popen[str], living: Lab, elsewhere: dict[str, Any]
) -> None:
    orphans = descendants(holder.pid)[1:]
    holder.kill()
    try:
        eventually(lambda: not held(living), timeout=10, what="the killed run's hold is gone")
        run("kubeinstall", "apply", **elsewhere)
        assert not held(living)
    finally:
        kill(orphans)


def test_a_run_that_is_cut_off_loses_its_hold(holder: subprocess.Popen[str], living: Lab) -> None:
    """Its machine sleeps: the hosts forget it, another run works, and when it wakes up it begins nothing more."""
    pids = keepers(holder.pid)
    assert pids
    for pid in pids:
        os.kill(pid, signal.SIGSTOP)
    try:
        eventually(lambda: not held(living), timeout=60, what="the hosts have forgotten it")
        run("kubeinstall", "apply")
    finally:
        for pid in pids:
            os.kill(pid, signal.SIGCONT)


def keepers(run: int) -> list[int]:
    found = subprocess.run(["pgrep", "-f", rf"keeper\.py {run} "], capture_output=True, text=True, check=False)
    return [int(pid) for pid in found.stdout.split()]
