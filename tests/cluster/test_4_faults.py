"""Faults: killed runs, drift by hand, reboots. The next run, or none, makes it whole."""

from __future__ import annotations

import json

import pytest

from kubeinstall import lab as labs
from tests.cluster.conftest import INVENTORY
from tests.clusters import Cluster
from tests.etcd_data import boot_without_data
from tests.expired import expire
from tests.lab import eventually

# Stands before the real one on the PATH, and kills the run at the moment it is about to restart the service.
ASSASSIN = r"""#!/bin/sh
case "$*" in *"restart kube-scheduler.service"*) kill -9 $PPID; exit 1;; esac
exec /usr/bin/systemctl "$@"
"""


def test_drift_by_hand_is_seen_and_repaired(cluster: Cluster) -> None:
    name = cluster.nodes[0]
    cluster.sh(name, "echo '# by hand' >> /var/lib/kubelet/config.yaml; chmod 0666 /etc/kubernetes/pki/ca.crt")
    cluster.sh(name, "systemctl stop kube-proxy; rm /usr/local/bin/kubelet /etc/cni/net.d/*")
    foreseen = cluster.apply("--check", "--diff")
    assert "-# by hand" in foreseen
    assert "start kube-proxy.service: it is not running" in foreseen
    assert "/usr/local/bin/kubelet" in foreseen
    cluster.apply()
    assert cluster.host(name).service("kube-proxy").is_running
    cluster.changes_nothing("site", "--check")
    cluster.command("verify", "-i", INVENTORY)


def test_a_run_killed_between_a_write_and_a_restart_is_repaired_by_the_next(cluster: Cluster) -> None:
    name = cluster.control_plane[0]
    change = ("-e", json.dumps({"kube_scheduler_extra_arguments": {"v": "3"}}))
    running = "tr '\\0' ' ' < /proc/$(systemctl show -P MainPID kube-scheduler)/cmdline"
    cluster.sh(name, f"cat > /usr/local/sbin/systemctl <<'EOF'\n{ASSASSIN}EOF\nchmod +x /usr/local/sbin/systemctl")
    try:
        cluster.playbook("kube_scheduler", *change, code=2)
    finally:
        cluster.sh(name, "rm /usr/local/sbin/systemctl")
    assert "--v=3" in cluster.sh(name, "cat /etc/systemd/system/kube-scheduler.service")
    assert "--v=3" not in cluster.sh(name, running)
    # Every file is right, the service runs: that it runs from other inputs has to be found out.
    assert "restart kube-scheduler.service" in cluster.playbook("kube_scheduler", "--check", "--diff", *change)
    cluster.playbook("kube_scheduler", *change)
    assert "--v=3" in cluster.sh(name, running)
    cluster.changes_nothing("kube_scheduler", *change)
    cluster.playbook("kube_scheduler")
    assert "--v=3" not in cluster.sh(name, running)


@pytest.mark.parametrize(
    ("role", "wrong", "words"),
    [
        # Their parsers take all of these; what they mean is seen at the start.
        (
            "kube_scheduler",
            {"kube_scheduler_extra_arguments": {"leader-elect-lease-duration": "1s"}},
            "must be greater than",
        ),
        ("kube_apiserver", {"kube_apiserver_extra_arguments": {"audit-log-mode": "no-such-mode"}}, "no-such-mode"),
        (
            "kubelet",
            # Instead of the inventory's: a host with control groups of version 1 needs the second.
            {"kubelet_configuration": {"topologyManagerPolicy": "no-such-policy", "failCgroupV1": False}},
            "no-such-policy",
        ),
    ],
)
def test_a_setting_that_a_service_refuses_leaves_it_as_it_was(
    cluster: Cluster, role: str, wrong: dict[str, object], words: str
) -> None:
    unit = f"{role.replace('_', '-')}.service"
    name = cluster.control_plane[0]
    files = f"/etc/systemd/system/{unit} $(find /var/lib/kubelet/config.yaml /etc/kubernetes -type f)"
    before = cluster.sh(name, f"sha256sum {files}")
    text = cluster.playbook(role, "-e", json.dumps(wrong), code=2)
    assert words in text
    assert f"Its former configuration was restored, and {unit} runs with it." in " ".join(text.split())
    assert cluster.sh(name, f"sha256sum {files}") == before
    assert cluster.host(name).service(unit).is_running
    assert "ok" in cluster.kubectl("get", "--raw", "/readyz")
    cluster.changes_nothing(role)
    # The DNS asks an API that was away again after ever longer pauses.
    eventually(
        lambda: "does its work" in cluster.command("verify", "-i", INVENTORY, code=None),
        timeout=120,
        what="the cluster is healthy with the former configuration",
    )


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"kube_apiserver_extra_arguments": {"audit-log-maxages": 3}}, "did you mean audit-log-maxage?"),
        ({"kubelet_configuration": {"maxPodz": 50}}, "did you mean maxPods?"),
        ({"etcd_backup_schedule": "every tuesday"}, "Failed to parse calendar"),
    ],
)
def test_a_setting_that_is_wrong_is_refused_before_any_host_is_touched(
    cluster: Cluster, wrong: dict[str, object], words: str
) -> None:
    before = cluster.invocations()
    text = cluster.playbook("site", "-e", json.dumps(wrong), code=2)
    assert words in " ".join(text.split())
    assert cluster.invocations() == before


@pytest.mark.parametrize("part", ["node", "control plane"])
def test_a_host_that_reboots_comes_back_by_itself(cluster: Cluster, part: str) -> None:
    name = cluster.nodes[1] if part == "node" else cluster.control_plane[0]
    labs.reboot(name)

    def whole() -> bool:
        return all(cluster.host(name).service(unit).is_running for unit in cluster.units(name))

    eventually(whole, what=f"all services of {name} run")
    eventually(lambda: "Ready" in cluster.kubectl("get", "node", name, "--no-headers").split(), what=f"{name} is Ready")
    # Other hosts' kube-proxies ask an API that was away again after ever longer pauses, up to half a minute.
    eventually(
        lambda: "does its work" in cluster.command("verify", "-i", INVENTORY, code=None),
        timeout=120,
        what="the cluster does its work again, with nobody's help",
    )
    cluster.changes_nothing("site")


def test_the_only_member_that_boots_without_its_data_stays_down(cluster: Cluster) -> None:
    before = {pod["metadata"]["uid"] for pod in cluster.objects("pods", "--all-namespaces")}
    with boot_without_data(cluster, cluster.etcd):
        pass
    eventually(
        lambda: "does its work" in cluster.command("verify", "-i", INVENTORY, code=None),
        timeout=120,
        what="the cluster is healthy with its data",
    )
    assert before <= {pod["metadata"]["uid"] for pod in cluster.objects("pods", "--all-namespaces")}


@pytest.mark.parametrize("command", [("apply",), ("certs", "renew")], ids=" ".join)
def test_certificates_that_have_expired_are_named_and_renewed(cluster: Cluster, command: tuple[str, ...]) -> None:
    replaced = expire(cluster)
    before = cluster.invocations()
    output = " ".join(cluster.command(*command, "-i", INVENTORY).split())
    for path in {path for paths in replaced.values() for path in paths}:
        assert f"its certificate {path} expired on" in output
    # Clients that an expired API server refused try again after ever longer pauses; nothing is done for them.
    eventually(
        lambda: "does its work" in cluster.command("verify", "-i", INVENTORY, code=None),
        timeout=120,
        what="the cluster is healthy with its new certificates",
    )
    after = cluster.invocations()
    name = f"{cluster.control_plane[0]}/etcd.service"
    assert after[name] == before[name]
    cluster.changes_nothing("site")


def test_a_yearly_renewal_restarts_nothing(cluster: Cluster) -> None:
    before = cluster.invocations()
    cluster.command("certs", "renew", "-i", INVENTORY)
    assert cluster.invocations() == before
    cluster.command("verify", "-i", INVENTORY)


def test_an_authority_that_is_gone_is_never_made_anew(cluster: Cluster) -> None:
    pki = INVENTORY / ".kubeinstall" / "pki"
    aside = pki.with_name("pki-aside")
    pki.rename(aside)
    try:
        said = cluster.apply(code=None)
        assert not (pki / "kubernetes" / "ca.key").exists()
    finally:
        if pki.exists():
            pki.rename(pki.with_name("pki-wrong"))
        aside.rename(pki)
    assert "authority" in said
    cluster.changes_nothing("site")
