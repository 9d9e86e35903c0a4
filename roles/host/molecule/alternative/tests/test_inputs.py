"""Packages and kernel settings that the user's inventory asks for, by what they do."""

from __future__ import annotations

from testinfra.host import Host

from tests.lab import Lab

LISTEN = "import socket; s = socket.socket(); s.bind(('127.0.0.1', {})); print(s.getsockname()[1])"


def listen(lab: Lab, host: Host, port: int) -> int:
    """The port that a user's program gets; any free one for 0."""
    return int(lab.sh(host, f'runuser -u nobody -- python3 -c "{LISTEN.format(port)}"'))


def check_ports(lab: Lab, host: Host) -> None:
    low = host.run(f'runuser -u nobody -- python3 -c "{LISTEN.format(8999)}"')
    assert "Permission denied" in low.stderr, "a user's program may listen below the first port that is theirs"
    assert listen(lab, host, 9000) == 9000
    given = listen(lab, host, 0)
    assert 45000 <= given < 45100, f"{given} is none of the ports that programs are to be given"


def test_the_users_package_is_installed_and_works(lab: Lab) -> None:
    (host,) = lab.all
    assert lab.sh(host, "greeting") == "hello\n"


def test_programs_get_the_ports_that_the_settings_leave_them(lab: Lab) -> None:
    (host,) = lab.all
    check_ports(lab, host)


def test_a_boot_makes_the_settings_again(lab: Lab) -> None:
    (host,) = lab.all
    lab.sh(host, "sysctl --write net.ipv4.ip_local_port_range='32768 44999' net.ipv4.ip_unprivileged_port_start=0")
    # What systemd does at each boot.
    lab.sh(host, "systemctl restart systemd-sysctl")
    check_ports(lab, host)
