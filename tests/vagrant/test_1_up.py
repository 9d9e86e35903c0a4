"""What `vagrant up` alone has made: a cluster on machines with kernels of their own, by the defaults of the roles."""

from __future__ import annotations

from tests.vagrant.machines import CHANGED, Machines, Seen

# overlay, br_netfilter and nf_conntrack by the role host, the rest by who needs it.
MODULES = {"overlay", "br_netfilter", "nf_conntrack"}


def test_all_machines_are_nodes_with_the_addresses_of_their_own_network(cluster: Machines, seen: Seen) -> None:
    seen.printed["kubectl get nodes -o wide"] = cluster.kubectl("get", "nodes", "-o", "wide")
    addresses = {}
    for node in cluster.objects("nodes"):
        conditions = {condition["type"]: condition["status"] for condition in node["status"]["conditions"]}
        assert conditions["Ready"] == "True", node["metadata"]["name"]
        (address,) = [item["address"] for item in node["status"]["addresses"] if item["type"] == "InternalIP"]
        addresses[node["metadata"]["name"]] = address
    assert addresses == cluster.addresses
    # Vagrant's own interface has the default route.
    for name, address in addresses.items():
        assert address not in cluster.sh(name, "ip -4 address show eth0")


def test_it_does_its_work(cluster: Machines, seen: Seen) -> None:
    with seen.timed("verify"):
        seen.printed["kubeinstall verify, before the reboot"] = cluster.command("verify", "-i", cluster.inventory)


def test_the_defaults_of_the_roles_hold(cluster: Machines) -> None:
    assert not (cluster.inventory / "group_vars").exists()
    for name in cluster.addresses:
        assert cluster.sh(name, "stat -f -c %T /sys/fs/cgroup").strip() == "cgroup2fs"
        assert "cgroupDriver: systemd" in cluster.sh(name, "cat /var/lib/kubelet/config.yaml")
        assert "SystemdCgroup = true" in cluster.sh(name, "cat /etc/containerd/config.toml")
        # Pods have slices that systemd made.
        assert "kubepods" in cluster.sh(name, "systemctl list-units --type=slice --plain --no-legend")


def test_machines_have_identities_and_kernels_of_their_own(cluster: Machines) -> None:
    for file in ("/etc/machine-id", "/proc/sys/kernel/random/boot_id"):
        assert len({cluster.sh(name, f"cat {file}") for name in cluster.addresses}) == len(cluster.addresses)
    for name in cluster.addresses:
        assert set(cluster.sh(name, "lsmod | cut -d ' ' -f 1").split()) >= MODULES


def test_a_second_vagrant_up_changes_nothing(cluster: Machines, seen: Seen) -> None:
    with seen.timed("vagrant up again"):
        said = cluster.vagrant("up")
    assert "kubeinstall apply" in said
    assert not CHANGED.search(said), said
    cluster.changes_nothing("site")


def test_network_managers_leave_the_links_of_pods_alone(cluster: Machines) -> None:
    """As far as can be seen without one: what udev tells it of them."""
    for name in cluster.addresses:
        links = set(cluster.sh(name, "ls /sys/class/net").split()) & {"cni0", "flannel.1"}
        assert links >= ({"cni0", "flannel.1"} if name in cluster.nodes else {"flannel.1"})
        for link in links:
            assert "E: NM_UNMANAGED=1" in cluster.sh(name, f"udevadm info --path=/sys/class/net/{link}")
        assert "NM_UNMANAGED" not in cluster.sh(name, "udevadm info --path=/sys/class/net/eth1")
