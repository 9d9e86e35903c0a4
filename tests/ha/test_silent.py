"""A host goes silent during a run: its network is cut, or it is frozen, or its disk does not answer any more.

Each command notices it within half a minute, names it and ends; those that only look, and a removal, go on without it.
"""

from __future__ import annotations

import os
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.clusters import ROOT, Cluster
from tests.ha.state import cordoned, whole
from tests.lab import BIN, eventually

# From the silence to the end of the run: 20 s until it is noticed, what follows of the step, and a loaded machine.
NOTICED_SECONDS = 60
RULES = (("INPUT", "-i"), ("OUTPUT", "-o"))
# Of a lab host, made for a test; the kernel's number for devices that are files.
DISK, LOOP_DEVICES = "/dev/stalled", 7


@dataclass
class Ended:
    """How a command ended: the seconds are those since the host went silent, or its own."""

    code: int
    text: str
    seconds: float


def _docker(*arguments: str) -> str:
    return subprocess.run(["docker", *arguments], check=True, capture_output=True, text=True).stdout.strip()


@contextmanager
def cut_off(name: str) -> Iterator[float]:
    """Nothing comes from the host any more, and nothing gets there; since when (time.monotonic)."""
    inside = ["nsenter", "--net", f"--target={_docker('inspect', '--format={{.State.Pid}}', name)}", "iptables"]
    for chain, option in RULES:
        subprocess.run([*inside, "-I", chain, option, "eth0", "-j", "DROP"], check=True)
    try:
        yield time.monotonic()
    finally:
        for chain, option in RULES:
            subprocess.run([*inside, "-D", chain, option, "eth0", "-j", "DROP"], check=True)


@contextmanager
def frozen(name: str) -> Iterator[float]:
    """Its kernel still answers, and no process on it does; since when (time.monotonic)."""
    _docker("pause", name)
    try:
        yield time.monotonic()
    finally:
        _docker("unpause", name)


def command(cluster: Cluster, *words: str) -> Ended:
    began = time.monotonic()
    done = cluster._run([BIN / "kubeinstall", *words, "-i", cluster.inventory])
    ended = Ended(done.code, done.text, time.monotonic() - began)
    print(f"{' '.join(words)}: {ended.seconds:.1f} s, exit code {ended.code}\n{ended.text}")
    return ended


class Apply:
    """An apply that goes on meanwhile."""

    def __init__(self, cluster: Cluster) -> None:
        words = [str(part) for part in (BIN / "kubeinstall", "apply", "-i", cluster.inventory)]
        self.lines: list[str] = []
        self.ended = 0.0
        self.process = subprocess.Popen(words, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        self.thread = threading.Thread(target=self._read)
        self.thread.start()

    def _read(self) -> None:
        with self.process:
            assert self.process.stdout
            for line in self.process.stdout:
                self.lines.append(line)
        self.ended = time.monotonic()

    def wait(self, since: float) -> Ended:
        self.thread.join(300)
        assert self.ended, f"it has not ended:\n{''.join(self.lines)}"
        return Ended(self.process.returncode, "".join(self.lines), self.ended - since)


def test_a_node_is_cut_off_during_an_apply(cluster: Cluster) -> None:
    name = cluster.nodes[-1]
    run = Apply(cluster)
    # Some plays into it.
    eventually(lambda: len(run.lines) > 3, 60, "the run has begun")
    with cut_off(name) as since:
        # Over the connection that the run keeps.
        status = command(cluster, "status")
        applied = run.wait(since)
        print(f"apply: ended {applied.seconds:.1f} s after the cut, exit code {applied.code}\n{applied.text}")
        assert applied.code == 1
        assert applied.seconds < NOTICED_SECONDS
        assert f"waiting for {name} (" in applied.text
        assert f"unreachable {name} " in applied.text
        assert (status.code, status.seconds < NOTICED_SECONDS) == (1, True)
        assert f"{name}: unreachable over SSH" in status.text
        status = command(cluster, "status")
        assert (status.code, status.seconds < 20) == (1, True)
        assert f"{name}: unreachable over SSH" in status.text
        verified = command(cluster, "verify")
        assert verified.code == 1
        assert f"{name}: unreachable over SSH" in verified.text
        assert verified.seconds < 2 * NOTICED_SECONDS
        planned = command(cluster, "apply", "--check")
        assert planned.code == 1
        assert planned.seconds < 2 * NOTICED_SECONDS
        assert "The plan leaves this host out" in planned.text
    whole(cluster)


@pytest.mark.parametrize("way", ["cut off", "frozen"])
def test_a_silent_node_is_not_rebooted(cluster: Cluster, way: str) -> None:
    name = cluster.nodes[-1]
    # A connection to it is kept for the next command.
    command(cluster, "status")
    with (cut_off if way == "cut off" else frozen)(name):
        done = command(cluster, "reboot", name, "--yes")
        assert (done.code, done.seconds < NOTICED_SECONDS) == (1, True)
        assert f"{name}: unreachable over SSH" in done.text or f"unreachable {name} " in done.text
        assert cordoned(cluster) == set()


def test_a_frozen_node_is_removed_and_added_again(cluster: Cluster) -> None:
    name = cluster.nodes[-1]
    command(cluster, "status")
    with frozen(name):
        done = command(cluster, "node", "remove", name, "--yes")
        assert done.code == 0
        assert done.seconds < 3 * NOTICED_SECONDS
        assert f"{name} did not answer, and still carries its part" in done.text
    cluster.command("node", "add", name, "-i", cluster.inventory)
    whole(cluster)


def test_the_disk_of_a_node_does_not_answer(cluster: Cluster, tmp_path: Path) -> None:
    name = cluster.nodes[-1]
    process = _docker("inspect", "--format={{.State.Pid}}", name)

    def there(script: str) -> None:
        # In the host's files, with this machine's rights to its devices.
        subprocess.run(["nsenter", "--mount", "--pid", f"--target={process}", "sh", "-ec", script], check=True)

    with ExitStack() as undo, (tmp_path / "disk.img").open("wb") as image:
        image.truncate(64 << 20)
        try:
            subprocess.run(["mke2fs", "-q", "-t", "ext4", image.name], check=True, capture_output=True)
            device = subprocess.run(
                ["losetup", "--find", "--show", image.name], check=True, capture_output=True, text=True
            ).stdout.strip()
        except (OSError, subprocess.CalledProcessError) as error:
            pytest.skip(f"this machine makes no disk of a file: {error}")
        undo.callback(subprocess.run, ["losetup", "--detach", device], check=True)
        number = os.minor(Path(device).stat().st_rdev)
        there(f"mknod {DISK} b {LOOP_DEVICES} {number}; mount {DISK} /mnt; cp -a /etc/kubernetes/. /mnt; umount /mnt")
        undo.callback(there, f"rm {DISK}")
        there(f"mount {DISK} /etc/kubernetes")
        # What was ended has a file of it open for a moment more.
        undo.callback(there, "umount --lazy /etc/kubernetes")
        cluster.sh(name, "rm /etc/kubernetes/kubelet.conf")
        there("fsfreeze --freeze /etc/kubernetes")
        try:
            done = command(cluster, "apply")
        finally:
            there("fsfreeze --unfreeze /etc/kubernetes")
        assert (done.code, done.seconds < 2 * NOTICED_SECONDS) == (1, True)
        assert f"unreachable {name} " in done.text
        assert "has been blocked in the kernel for 2" in done.text
    whole(cluster)
