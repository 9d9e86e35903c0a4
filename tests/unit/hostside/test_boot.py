"""Which boot a host is in, whether it can be spared, and when all of it is back."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.kubeinstall.cluster.plugins.module_utils.hostside import boot
from ansible_collections.kubeinstall.cluster.plugins.module_utils.hostside.errors import HostError
from ansible_collections.kubeinstall.cluster.plugins.module_utils.hostside.host import Host

from tests.unit.hostside.test_spare import peer

SYSTEMCTL = """#!/bin/sh
[ -e {root}/ready ] && state=active || state=activating
printf '%s\\n' LoadState=loaded "ActiveState=$state" UnitFileState=enabled ExecMainStartTimestampMonotonic=1000000
"""
COMPONENT = {"check": "kubelet", "unit": "kubelet.service", "ready": {}}


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A host in its first boot, whose kubelet is on its way up until a file says otherwise."""
    start(tmp_path, "aaaa", 17)
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin/systemctl").write_text(SYSTEMCTL.format(root=tmp_path))
    (tmp_path / "bin/systemctl").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:/usr/bin:/bin")
    return tmp_path


def start(root: Path, machine: str, ticks: int) -> None:
    for path, text in {
        "proc/sys/kernel/random/boot_id": f"{machine}\n",
        "proc/1/stat": f"1 (an ) odd (name) S {' '.join(['0'] * 18)} {ticks} 0 0\n",
    }.items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text(text)


def run(root: Path, operation: str, **more: Any) -> dict[str, Any]:
    spec = {"root": str(root), "operation": operation, "before": "", "services": [], "components": [], "seconds": 0}
    return dict(boot.main(spec | {"kubelet": None} | more))


def test_a_machine_and_a_container_are_in_another_boot_after_each(root: Path) -> None:
    found = {boot.boot(Host(str(root)))}
    for machine, ticks in (("bbbb", 17), ("bbbb", 1200)):
        start(root, machine, ticks)
        found.add(boot.boot(Host(str(root))))
    assert found == {"aaaa 17", "bbbb 17", "bbbb 1200"}
    # This machine has one, too.
    assert boot.boot(Host()) == boot.boot(Host())


def test_a_host_whose_work_nobody_would_do_is_refused(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(boot, "SPARE_SECONDS", 0)
    with peer() as url:
        service = {"ready": {"url": f"{url}/readyz"}, "spare": {"peers": [f"{url}/not-ready"]}}
        with pytest.raises(HostError, match="nobody would do its work"):
            run(root, "foresee", services=[service])
        # One that an earlier run has rebooted is only waited for.
        found = run(root, "foresee", services=[service], before="0000 1")
        assert (found["before"], found["rebooted"]) == ("0000 1", True)
    found = run(root, "foresee")
    assert (found["before"], found["rebooted"], found["machine_id"]) == ("aaaa 17", False, "")


def test_a_host_that_has_not_rebooted_is_not_back(root: Path) -> None:
    before = run(root, "foresee")["before"]
    with pytest.raises(HostError, match="it answers, and has not rebooted"):
        run(root, "settle", before=before)
    start(root, "aaaa", 1200)
    assert run(root, "settle", before=before)["since"] is None


def test_it_is_back_when_all_its_components_are(root: Path) -> None:
    with pytest.raises(
        HostError, match=r"after 0 s this host does not do its work: kubelet: kubelet.service is activating"
    ):
        run(root, "settle", before="0000 1", components=[COMPONENT])
    (root / "ready").touch()
    since = run(root, "settle", before="0000 1", components=[COMPONENT], kubelet="kubelet.service")["since"]
    uptime = float(Path("/proc/uptime").read_text().split()[0])
    assert since == pytest.approx(time.time() - uptime + 1, abs=5)
