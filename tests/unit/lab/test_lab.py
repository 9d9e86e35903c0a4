"""The verbs over an engine in memory: what is made, what stays, and what a failure leaves behind."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml
from typer.testing import CliRunner

from kubeinstall import cli_lab, lab
from kubeinstall.errors import InputError, LabError
from kubeinstall.lab import hosts, machine, ways
from kubeinstall.lab.inventory import LabFacts
from tests.unit.lab.fake_engine import FakeEngine

REFUSES_PRIVILEGED = {"privileged": "unable to apply caps: operation not permitted"}


@pytest.fixture
def engine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FakeEngine:
    """An engine, and the lab's world set up around it: an empty working directory, nothing that waits for a host."""
    fake = FakeEngine()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(ways, "_found", {})
    monkeypatch.setattr(lab.daemon, "answering", lambda _: fake)
    monkeypatch.setattr(lab, "connect", lambda: fake)
    monkeypatch.setattr(hosts, "_machine_routes", lambda: ["0.0.0.0/0"])
    monkeypatch.setattr(hosts, "settle", lambda *_: None)
    monkeypatch.setattr(machine, "facts", lambda _, way: LabFacts(2, way is ways.RESTRICTED, False))
    monkeypatch.setattr(machine, "prepare_kernel", lambda *_: None)
    return fake


def test_up_makes_hosts_network_and_inventory(engine: FakeEngine) -> None:
    said: list[str] = []
    made = lab.up("dev", 1, 2, said.append)
    assert [(host.name, host.address, host.state) for host in made.hosts] == [
        ("dev-cp1", "10.79.0.11", "running"),
        ("dev-node1", "10.79.0.101", "running"),
        ("dev-node2", "10.79.0.102", "running"),
    ]
    assert made.inventory == Path.cwd() / "inventory" / "dev"
    assert list(yaml.safe_load((made.inventory / "hosts.yml").read_text())["all"]["hosts"]) == [
        "dev-cp1",
        "dev-node1",
        "dev-node2",
    ]
    assert made.ssh.known_hosts.read_text().splitlines()[0].startswith("dev-cp1,10.79.0.11 ssh-ed25519 AAAA")
    key, mode = engine.files["dev-node2"]["/etc/ssh/lab_authorized_keys"]
    assert key.decode().strip() == made.ssh.public_key()
    assert mode == 0o644
    assert "Making 3 hosts: dev-cp1, dev-node1, dev-node2" in said


def test_up_again_changes_nothing(engine: FakeEngine) -> None:
    first = lab.up("dev", 1, 1)
    engine.calls.clear()
    assert lab.up("dev", 1, 1) == first
    assert not [call for call in engine.calls if not call.startswith("remove kubeinstall-probe")]


def test_up_starts_what_has_stopped(engine: FakeEngine) -> None:
    lab.up("dev", 1, 1)
    engine.stop("dev-node1")
    engine.calls.clear()
    assert {host.state for host in lab.up("dev", 1, 1).hosts} == {"running"}
    assert engine.calls == ["start dev-node1"]


def test_hosts_of_etcds_own(engine: FakeEngine) -> None:
    made = lab.up("dev", 1, 1, etcd_hosts=3)
    assert [host.name for host in made.hosts] == ["dev-cp1", "dev-etcd1", "dev-etcd2", "dev-etcd3", "dev-node1"]
    assert {host.role for host in made.hosts if "etcd" in host.name} == {"etcd"}
    members = yaml.safe_load((made.inventory / "hosts.yml").read_text())["all"]["children"]["etcd"]["hosts"]
    assert list(members) == ["dev-etcd1", "dev-etcd2", "dev-etcd3"]


def test_up_larger_adds_and_smaller_says_so(engine: FakeEngine) -> None:
    lab.up("dev", 1, 1)
    larger = lab.up("dev", 3, 2)
    assert [host.name for host in larger.hosts] == ["dev-cp1", "dev-cp2", "dev-cp3", "dev-node1", "dev-node2"]
    said: list[str] = []
    assert len(lab.up("dev", 3, 1, said.append).hosts) == 5
    assert said == [
        "The lab dev has more hosts than were asked for, and they stay: dev-node2 "
        "(`kubeinstall lab down --name dev` and up again makes it smaller)"
    ]


def test_two_labs_do_not_overlap(engine: FakeEngine) -> None:
    one, two = lab.up("one", 1, 0), lab.up("two", 1, 0)
    assert [host.address for host in (*one.hosts, *two.hosts)] == ["10.79.0.11", "10.79.1.11"]
    assert lab.down("one")
    assert [found.name for found in lab.listing()] == ["two"]
    assert [net.name for net in engine.networks()] == ["bridge", "kubeinstall-two"]
    assert not (Path("inventory") / "one").exists()
    assert (two.inventory / "hosts.yml").exists()


def test_down_cleans_up_after_a_half_failed_up(engine: FakeEngine) -> None:
    engine.refuse = {"privileged": "no"}
    lab.up("probe-first", 1, 0)
    engine.refuse = {"privileged": "no", "dev-node1": "no space left on device"}
    with pytest.raises(LabError, match="no space left"):
        lab.up("dev", 1, 1)
    assert lab.down("dev")
    assert [found.name for found in lab.listing()] == ["probe-first"]
    assert "remove volumes kubeinstall.lab=dev" in engine.calls
    assert not (Path("inventory") / "dev").exists()
    assert not lab.down("dev"), "there is nothing left of it"


def test_the_ordinary_way_comes_first(engine: FakeEngine) -> None:
    lab.up("dev", 1, 0)
    assert engine.specs["dev-cp1"].privileged
    assert "kubeinstall-probe-ordinary" not in engine.specs


def test_the_restricted_way_where_privileged_is_refused(engine: FakeEngine) -> None:
    engine.refuse = REFUSES_PRIVILEGED
    said: list[str] = []
    made = lab.up("dev", 1, 0, said.append)
    spec = engine.specs["dev-cp1"]
    assert not spec.privileged
    assert (spec.cap_add, spec.cap_drop, spec.unmasked) == (("ALL",), ("SYS_RESOURCE",), True)
    assert "Hosts are containers without CAP_SYS_RESOURCE (this machine does not allow privileged ones)" in said
    assert "restrict_oom_score_adj: true" in (made.inventory / "group_vars" / "all" / "lab.yml").read_text()


def test_a_machine_that_allows_neither(engine: FakeEngine) -> None:
    engine.refuse = {"privileged": "no caps", "kubeinstall-probe-restricted": "no mounts"}
    with pytest.raises(LabError, match=r"ordinary way: no caps restricted way: no mounts"):
        lab.up("dev", 1, 0)
    assert not engine.specs


def test_both_ways_run_systemd(engine: FakeEngine) -> None:
    for refusals in ({}, REFUSES_PRIVILEGED):
        engine.refuse = refusals
        ways._found.clear()
        lab.up("dev", 1, 0)
        spec = engine.specs["dev-cp1"]
        assert spec.stop_signal == "SIGRTMIN+3"
        assert set(spec.tmpfs) == {"/run", "/run/lock"}
        assert "/var/lib/containerd" in spec.anonymous_volumes
        lab.down("dev")


def test_a_lab_made_elsewhere(engine: FakeEngine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = lab.up("dev", 1, 0)
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    monkeypatch.chdir(elsewhere)
    said: list[str] = []
    assert lab.up("dev", 1, 0, said.append).inventory == made.inventory
    assert f"The lab dev was made elsewhere: its inventory is {made.inventory}" in said
    lab.inventory.remove(made.inventory, "dev")
    with pytest.raises(LabError, match="which is gone"):
        lab.up("dev", 1, 0)
    assert lab.down("dev")


def test_a_lost_inventory_is_written_again(engine: FakeEngine) -> None:
    made = lab.up("dev", 1, 0)
    lab.inventory.remove(made.inventory, "dev")
    again = lab.up("dev", 1, 0)
    key, _ = engine.files["dev-cp1"]["/etc/ssh/lab_authorized_keys"]
    assert key.decode().strip() == again.ssh.public_key(), "the new key is let in, on a host that runs"


def test_new_hosts_do_not_inherit_an_old_clusters_state(engine: FakeEngine) -> None:
    made = lab.up("dev", 1, 0)
    authority = made.inventory / ".kubeinstall" / "pki" / "ca.key"
    authority.parent.mkdir()
    authority.write_text("of a cluster that is gone")
    lab.up("dev", 1, 1)
    assert authority.exists()
    engine.specs.clear()
    said: list[str] = []
    lab.up("dev", 1, 1, said.append)
    assert not authority.exists()
    assert said[0].startswith("The hosts of an earlier lab dev are gone")


def test_an_inventory_of_the_users_is_not_touched(engine: FakeEngine) -> None:
    Path("inventory/dev").mkdir(parents=True)
    Path("inventory/dev/hosts.yml").write_text("all: {}\n")
    with pytest.raises(InputError, match="did not write"):
        lab.up("dev", 1, 0)
    assert not engine.specs
    assert not lab.down("dev")
    assert Path("inventory/dev/hosts.yml").exists()


def test_down_without_an_engine(engine: FakeEngine, monkeypatch: pytest.MonkeyPatch) -> None:
    lab.up("dev", 1, 0)
    monkeypatch.setattr(lab, "connect", lambda: None)
    said: list[str] = []
    assert lab.down("dev", said.append)
    assert said == ["No Docker engine answers: hosts, if there are any, stay as they are"]
    assert lab.listing() == []


def test_unknown_host_names_the_known(engine: FakeEngine) -> None:
    lab.up("dev", 1, 1)
    with pytest.raises(InputError, match="there are: dev-cp1, dev-node1"):
        lab.ssh_command("dev-node9")


def test_ssh_to_a_stopped_host(engine: FakeEngine) -> None:
    lab.up("dev", 1, 0)
    engine.stop("dev-cp1")
    with pytest.raises(LabError, match="the host does not run"):
        lab.ssh_command("dev-cp1")


def test_reboot(engine: FakeEngine) -> None:
    lab.up("dev", 1, 0)
    engine.calls.clear()
    lab.reboot("dev-cp1")
    assert engine.calls == ["stop dev-cp1", "start dev-cp1"]


def test_a_host_that_was_stopped_stays_off_until_it_is_started(engine: FakeEngine) -> None:
    lab.up("dev", 1, 1)
    engine.calls.clear()
    lab.stop("dev-node1")
    assert [host.state for host in lab.listing()[0].hosts] == ["running", "exited"]
    lab.start("dev-node1")
    assert engine.calls == ["kill dev-node1", "start dev-node1"]
    lab.stop("dev-cp1")
    assert {host.state for host in lab.up("dev", 1, 1).hosts} == {"running"}


runner = CliRunner()


def invoke(*arguments: str) -> Any:
    return runner.invoke(cli_lab.app, list(arguments), catch_exceptions=True)


def test_cli_round(engine: FakeEngine) -> None:
    result = invoke("up", "--name", "dev", "--nodes", "1")
    assert result.exit_code == 0, result.output
    assert "2 hosts answer over SSH; the inventory is inventory/dev" in result.stdout
    assert "kubeinstall apply -i inventory/dev" in result.stdout
    listed = invoke("list").stdout
    assert "dev-node1" in listed
    assert "10.79.0.101" in listed
    assert "is back" in invoke("reboot", "dev-node1").stdout
    assert "is off" in invoke("stop", "dev-node1").stdout
    assert "is on" in invoke("start", "dev-node1").stdout
    assert "The lab dev is gone" in invoke("down", "--name", "dev").stdout
    assert "nothing was done" in invoke("down", "--name", "dev").stdout
    assert "There is no lab" in invoke("list").stdout


def test_cli_knows_the_default_name() -> None:
    assert cli_lab._DEFAULT_NAME == lab.DEFAULT_NAME


def test_cli_passes_errors_on(engine: FakeEngine) -> None:
    assert isinstance(invoke("up", "--control-planes", "0").exception, InputError)
    assert isinstance(invoke("ssh", "nobody").exception, InputError)


def test_cli_ssh_becomes_ssh(engine: FakeEngine, monkeypatch: pytest.MonkeyPatch) -> None:
    lab.up("dev", 1, 0)
    seen: list[list[str]] = []
    monkeypatch.setattr("os.execvp", lambda _, argv: seen.append(argv))
    assert invoke("ssh", "dev-cp1", "--", "journalctl", "-u", "kubelet").exit_code == 0
    assert seen[0][-4:] == ["root@10.79.0.11", "journalctl", "-u", "kubelet"]


@pytest.mark.parametrize("command", ["up", "down", "list", "ssh", "reboot", "stop", "start", "engine-stop"])
def test_every_help_has_an_example(command: str) -> None:
    assert f"Example: kubeinstall lab {command}" in " ".join(invoke(command, "--help").stdout.split())
