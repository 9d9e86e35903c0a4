"""Which changes of membership are refused by the inventory alone, and with which sentences."""

from __future__ import annotations

import pytest

from kubeinstall.cluster import Cluster
from kubeinstall.errors import InputError
from kubeinstall.membership import check_change

HOSTS = """\
all: {vars: {cluster_api_server: "https://192.0.2.12:6443"}}
etcd: {hosts: {control-1: , control-2: , control-3: , node-1: , etcd-1: {ansible_host: 192.0.2.31}}}
control_plane:
  hosts:
    control-1: {ansible_host: 192.0.2.11}
    control-2: {ansible_host: 192.0.2.12}
    control-3: {ansible_host: 192.0.2.13}
node:
  hosts: {node-1: {ansible_host: 192.0.2.21}, node-2: {ansible_host: 192.0.2.22}}
"""


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Cluster:
    folder = tmp_path_factory.mktemp("inventory")
    (folder / "hosts.yml").write_text(HOSTS)
    return Cluster.load(folder)


@pytest.mark.parametrize(
    ("verb", "kind", "names"),
    [
        ("add", "node", ["node-2", "node-1"]),
        ("add", "control_plane", ["control-2"]),
        ("remove", "node", ["node-2"]),
        ("remove", "control_plane", ["control-1", "control-3"]),
        ("remove", "etcd", ["control-2"]),
        ("replace", "etcd", ["etcd-1"]),
    ],
)
def test_a_change_that_makes_sense(cluster: Cluster, verb: str, kind: str, names: list[str]) -> None:
    check_change(cluster, verb, kind, names)


@pytest.mark.parametrize(
    ("verb", "kind", "names", "sentences"),
    [
        ("remove", "node", [], ["no host was named to remove"]),
        ("remove", "node", ["nod-2"], ["the inventory names no host nod-2 (did you mean node-2?)"]),
        ("add", "node", ["xyz"], ["the inventory names no host xyz (list it in the group node first)"]),
        ("remove", "node", ["xyz"], ["no host xyz (it has to be listed until it is removed"]),
        ("remove", "node", ["control-1"], ["it is a control plane (kubeinstall control-plane remove control-1)"]),
        ("remove", "node", ["node-1"], ["it is a member of etcd too (first: kubeinstall etcd remove node-1"]),
        (
            "remove",
            "etcd",
            ["node-2"],
            ["not in the group etcd (etcd has: control-1, control-2, control-3, node-1, etcd-1)"],
        ),
        ("add", "etcd", ["node-2"], ["it is a node, and not in the group etcd (list it in the group etcd first)"]),
        ("remove", "control_plane", ["control-2"], ["reach the API by its address, https://192.0.2.12:6443"]),
        ("remove", "control_plane", ["control-1", "control-2", "control-3"], ["has no control plane"]),
        (
            "remove",
            "etcd",
            ["control-1", "control-2", "control-3", "node-1", "etcd-1"],
            ["no member of etcd has the cluster's data"],
        ),
    ],
)
def test_a_change_that_is_refused(
    cluster: Cluster, verb: str, kind: str, names: list[str], sentences: list[str]
) -> None:
    with pytest.raises(InputError) as refused:
        check_change(cluster, verb, kind, names)
    said = "\n".join(str(problem) for problem in refused.value.problems)
    for sentence in sentences:
        assert sentence in said
