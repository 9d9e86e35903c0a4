"""What is said of a component that does not do its part."""

from __future__ import annotations

from pathlib import Path

import pytest
from ansible_collections.kubeinstall.cluster.plugins.module_utils.hostside import verify_host
from ansible_collections.kubeinstall.cluster.plugins.module_utils.hostside.host import Host

WELL = {"LoadState": "loaded", "ActiveState": "active", "UnitFileState": "enabled", "NRestarts": "0"}
SOCKET = "/run/containerd/containerd.sock"


@pytest.mark.parametrize(
    ("state", "problems"),
    [
        ({"LoadState": "not-found"}, ["containerd is not installed"]),
        (
            {"ActiveState": "activating", "NRestarts": "7"},
            ["containerd is activating: journalctl -u containerd on this host says why (restarts by systemd: 7)"],
        ),
        (
            {"UnitFileState": "disabled"},
            [
                f"{SOCKET} does not answer: No such file or directory; journalctl -u containerd on this host says why",
                "containerd is not enabled: it will not come back when the host reboots",
            ],
        ),
    ],
    ids=["not installed", "starts again and again", "runs, and does not answer"],
)
def test_problems_of_a_component(
    state: dict[str, str], problems: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    printed = "\n".join(f"{name}={value}" for name, value in (WELL | state).items())
    program = tmp_path / "bin" / "systemctl"
    program.parent.mkdir()
    program.write_text(f"#!/bin/sh\ncat <<'EOF'\n{printed}\nEOF\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{program.parent}:/usr/bin:/bin")
    component = {"unit": "containerd", "ready": {"socket": SOCKET}}
    found = verify_host.component_problems(Host(str(tmp_path)), component)
    assert [one.replace(str(tmp_path), "") for one in found] == problems
