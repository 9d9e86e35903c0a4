"""Ways to the hosts that only true machines have: a user whose sudo asks for a password, and a jump host."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.vagrant.machines import CHANGED, Machines

PASSWORD = "a password with spaces, and 'quotes'"
ONCALL = f"""
set -e
id oncall >/dev/null 2>&1 || useradd --create-home --shell /bin/bash oncall
install -d -m 0700 -o oncall /home/oncall/.ssh
install -m 0600 -o oncall /home/vagrant/.ssh/authorized_keys /home/oncall/.ssh/
chpasswd <<'END'
oncall:{PASSWORD}
END
echo 'oncall ALL=(ALL) ALL' >/etc/sudoers.d/oncall
"""


def test_a_user_whose_sudo_asks_for_a_password(cluster: Machines, tmp_path: Path) -> None:
    for name in cluster.addresses:
        cluster.sh(name, ONCALL)
    user: dict[str, object] = {"ansible_user": "oncall"}
    silent = cluster.variant(tmp_path / "silent", dict.fromkeys(cluster.addresses, user))
    said = cluster.command("apply", "-i", silent, code=1)
    assert "sudo asks oncall for a password (give it with --ask-become-pass or ansible_become_password)" in said
    wrong = cluster.variant(
        tmp_path / "wrong", dict.fromkeys(cluster.addresses, user | {"ansible_become_password": "another"})
    )
    assert "sudo does not take the password of oncall" in cluster.command("apply", "-i", wrong, code=1)
    right = cluster.variant(
        tmp_path / "right", dict.fromkeys(cluster.addresses, user | {"ansible_become_password": PASSWORD})
    )
    cluster.command("apply", "-i", right)
    cluster.command("status", "-i", right)


def test_a_host_behind_a_jump_host(cluster: Machines, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    control_plane, node = cluster.control_plane[0], cluster.nodes[0]
    ssh = f"-o UserKnownHostsFile={cluster.inventory}/.kubeinstall/ssh/known_hosts -o IdentitiesOnly=yes"
    key = cluster.lab.variables(control_plane)["ansible_ssh_private_key_file"]
    jump = f"ssh -i {key} {ssh} -W %h:%p vagrant@{cluster.addresses[control_plane]}"
    behind = cluster.variant(tmp_path, {node: {"ansible_ssh_common_args": f'{ssh} -o ProxyCommand="{jump}"'}})
    # No connection is left over from before.
    monkeypatch.setenv("ANSIBLE_SSH_CONTROL_PATH_DIR", str(tmp_path / "cp"))
    us = cluster.addresses[node].rpartition(".")[0] + ".1"
    chain = "add chain ip around input { type filter hook input priority -10; }"
    cluster.sh_aside(
        node, f"nft 'add table ip around; {chain}; add rule ip around input ip saddr {us} tcp dport 22 drop'"
    )
    try:
        assert f"{node}: it cannot be reached" in cluster.apply(code=1)
        said = cluster.command("apply", "-i", behind)
        assert not CHANGED.search(said), said
    finally:
        cluster.sh_aside(node, "nft delete table ip around")
