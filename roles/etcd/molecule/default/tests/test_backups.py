"""Each member backs up etcd to its own disk, and keeps the newest."""

from __future__ import annotations

import json

from testinfra.host import Host

from tests.lab import Lab

PLACE = "/var/lib/etcd-backup"


def names(lab: Lab, host: Host) -> list[str]:
    return sorted(lab.sh(host, f"ls -A {PLACE}").split())


def test_a_timer_takes_them(lab: Lab) -> None:
    for host in lab["etcd"]:
        assert host.service("etcd-backup.timer").is_running
        assert host.service("etcd-backup.timer").is_enabled
        assert "etcd-backup.service" in lab.sh(host, "systemctl list-timers --no-legend etcd-backup.timer")


def test_what_was_taken_is_whole_private_and_restores(lab: Lab) -> None:
    host = lab["etcd"][0]
    lab.sh(host, f"rm -f {PLACE}/*; systemctl start etcd-backup")
    backup, facts = names(lab, host)
    assert lab.sh(host, f"stat -c '%a %U' {PLACE} {PLACE}/*").split() == ["700", "etcd", *["600", "etcd"] * 2]
    said = json.loads(lab.sh(host, f"cat {PLACE}/{facts}"))
    assert said["sha256"] == lab.sh(host, f"sha256sum {PLACE}/{backup}").split()[0]
    assert said["member"] == lab.name(host)
    lab.sh(host, f"etcdutl snapshot restore {PLACE}/{backup} --data-dir /tmp/trial; rm -r /tmp/trial")


def test_the_newest_are_kept(lab: Lab) -> None:
    host = lab["etcd"][1]
    old = [f"{lab.name(host)}-20200101T0000{second:02}Z.db" for second in range(9)]
    lab.sh(host, f"cd {PLACE}; rm -f *; touch mine.db {' '.join(old)} {old[0]}.json; systemctl start etcd-backup")
    kept = [name for name in names(lab, host) if not name.endswith(".json")]
    assert kept[:6] == old[3:]
    assert len(kept) == 8
    assert kept[-1] == "mine.db"
    assert f"{old[0]}.json" not in names(lab, host)


def test_one_that_fails_leaves_nothing_and_says_so(lab: Lab) -> None:
    host, *others = lab["etcd"]
    before = names(lab, host)
    for other in others:
        lab.sh(other, "systemctl stop etcd")
    try:
        assert host.run("systemctl start etcd-backup").rc != 0
    finally:
        for other in others:
            lab.sh(other, "systemctl --no-block start etcd")
        for other in others:
            lab.sh(other, "systemctl start etcd")
    assert names(lab, host) == before
    assert "health" in lab.journal(host, "etcd-backup")
