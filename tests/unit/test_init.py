"""`kubeinstall init`: what it writes is a cluster already, apart from the hosts' addresses."""

from __future__ import annotations

from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from kubeinstall.cli_init import init, write_inventory
from kubeinstall.cluster import Cluster
from kubeinstall.errors import InputError


def test_what_it_writes_loads(tmp_path: Path) -> None:
    inventory = write_inventory("rack-7", tmp_path / "inventory")
    assert inventory == tmp_path / "inventory" / "rack-7"
    cluster = Cluster.load(inventory)
    assert cluster.name == "rack-7"
    assert len(cluster.nodes) == 5


def test_the_command_says_the_next_step(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    app = typer.Typer()
    app.command()(init)
    result = CliRunner().invoke(app, ["rack-7"])
    assert result.exit_code == 0
    assert "inventory/rack-7/hosts.yml" in result.output
    assert "kubeinstall validate -i inventory/rack-7" in result.output


def test_nothing_is_overwritten(tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    with pytest.raises(InputError, match="there is something already"):
        write_inventory("mine", tmp_path)
    assert list((tmp_path / "mine").iterdir()) == []


@pytest.mark.parametrize("name", ["", "My cluster", "-a", "a/b", "..", "a" * 64])
def test_names(tmp_path: Path, name: str) -> None:
    with pytest.raises(InputError, match="is no name for a cluster"):
        write_inventory(name, tmp_path)


def test_a_place_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "inventory").write_text("")
    with pytest.raises(InputError, match="it cannot be written: Not a directory"):
        write_inventory("a", tmp_path / "inventory")
