from __future__ import annotations

from ansible_collections.kubeinstall.cluster.plugins.module_utils.hostside import packetfilter

FILTER = """\
:INPUT ACCEPT [0:0]
:FORWARD DROP [0:0]
:OUTPUT ACCEPT [0:0]
:DOCKER-USER - [0:0]
:KUBE-FIREWALL - [0:0]
:KUBE-FORWARD - [0:0]
:FLANNEL-FWD - [0:0]
-A INPUT -p tcp -m tcp --dport 22 -j ACCEPT
-A INPUT -j KUBE-FIREWALL
-A FORWARD -j DOCKER-USER
-A FORWARD -m comment --comment "kubernetes forwarding rules" -j KUBE-FORWARD
-A FORWARD -s 10.244.0.0/16 -m comment --comment kubeinstall -j ACCEPT
-A FORWARD -m comment --comment "flanneld forward" -j FLANNEL-FWD
-A DOCKER-USER -j RETURN
-A KUBE-FIREWALL ! -s 127.0.0.0/8 -d 127.0.0.0/8 -m comment --comment "block incoming localnet connections" -j DROP
-A KUBE-FORWARD -j KUBE-FIREWALL
""".splitlines()


def test_ways_in_go_first_then_the_chains_and_nothing_else() -> None:
    assert packetfilter.removal(FILTER) == [
        "-D INPUT -j KUBE-FIREWALL",
        '-D FORWARD -m comment --comment "kubernetes forwarding rules" -j KUBE-FORWARD',
        "-D FORWARD -s 10.244.0.0/16 -m comment --comment kubeinstall -j ACCEPT",
        '-D FORWARD -m comment --comment "flanneld forward" -j FLANNEL-FWD',
        "-F KUBE-FIREWALL",
        "-F KUBE-FORWARD",
        "-F FLANNEL-FWD",
        "-X KUBE-FIREWALL",
        "-X KUBE-FORWARD",
        "-X FLANNEL-FWD",
    ]


def test_a_table_without_ours_is_left_alone() -> None:
    foreign = [line for line in FILTER if "KUBE" not in line and "FLANNEL" not in line and "kubeinstall" not in line]
    assert packetfilter.removal(foreign) == []


def test_a_rule_that_only_speaks_of_ours_stays() -> None:
    lines = [":INPUT ACCEPT [0:0]", '-A INPUT -m comment --comment "before KUBE-FIREWALL" -j ACCEPT']
    assert packetfilter.removal(lines) == []
