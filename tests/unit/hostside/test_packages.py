"""A package is installed for its programs: the service that it brings is not left running beside ours."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.kubeinstall.cluster.plugins.module_utils.hostside import component

from tests.unit.hostside.test_component import a_file, spec_of
from tests.unit.hostside.test_reload import SYSTEMCTL

# A distribution in which a package is missing until it is installed; `log` holds what was done.
DPKG_QUERY = """\
#!/bin/sh
while read -r package; do echo "$package installed"; done <"$(dirname "$0")/installed"
"""
APT_GET = """\
#!/bin/sh
cd "$(dirname "$0")"
for package; do :; done
echo "install $package" >>log
echo "$package" >>installed
"""


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    programs = tmp_path / "bin"
    programs.mkdir()
    (programs / "installed").touch()
    for name, text in {"dpkg-query": DPKG_QUERY, "apt-get": APT_GET, "systemctl": SYSTEMCTL}.items():
        (programs / name).write_text(text)
        (programs / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{programs}:{os.environ['PATH']}")
    (tmp_path / "root" / "etc").mkdir(parents=True)
    (tmp_path / "root" / "etc" / "os-release").write_text("ID=debian\n")
    return tmp_path / "root"


def called(root: Path) -> list[str]:
    return (root.parent / "bin" / "log").read_text().splitlines()


def apply(root: Path, **more: Any) -> list[dict[str, Any]]:
    """What differed before."""
    spec = spec_of(root, packages={"debian": ["haproxy"], "redhat": []}, **more)
    found: list[dict[str, Any]] = component.main(spec | {"operation": "compare"})["changes"]
    component.main(spec | {"operation": "apply"})
    return found


def test_a_service_that_came_with_it_is_stopped_once(root: Path) -> None:
    unit = {"unit": "demo.service", "files": [a_file(dest="/etc/systemd/system/demo.service")]}
    changes = apply(root, **unit)
    assert ("package", "haproxy", "missing", "installed") in [tuple(change.values()) for change in changes]
    done = ["install haproxy", "disable --now --quiet haproxy.service", "start"]
    assert called(root) == done
    # One that was there before us, or that its owner started since, is theirs.
    apply(root, **unit)
    assert called(root) == done


def test_where_no_service_of_ours_takes_its_place_it_runs(root: Path) -> None:
    apply(root)
    assert called(root) == ["install haproxy"]
