"""The few things of the system a component asks for: a user, packages, kernel modules, sysctls, network links."""

from __future__ import annotations

import os
from typing import Any

from .errors import HostError
from .files import read
from .host import Host


def family(host: Host) -> str:
    """`debian` or `redhat`, from os-release."""
    text = read(host.path("/etc/os-release")) or ""
    values = dict(line.split("=", 1) for line in text.splitlines() if "=" in line)
    names = (values.get("ID", "") + " " + values.get("ID_LIKE", "")).replace('"', "").split()
    for name, answer in (("debian", "debian"), ("ubuntu", "debian"), ("rhel", "redhat"), ("fedora", "redhat")):
        if name in names:
            return answer
    raise HostError(
        f"the distribution {values.get('ID', '?')} is not supported: Debian, Ubuntu and the RHEL family are"
    )


def missing_packages(host: Host, wanted: dict[str, list[str]]) -> list[str]:
    """Of `a|b` either will do, and `a` is what is missing where neither is there."""
    choices = [choice.split("|") for choice in wanted.get(family(host), [])] if wanted else []
    names = [name for choice in choices for name in choice]
    if not names:
        return []
    if family(host) == "debian":
        listed = host.run(["dpkg-query", "-W", "-f", "${Package} ${db:Status-Status}\n", *names], check=False).stdout
        installed = {line.split()[0] for line in listed.splitlines() if line.endswith(" installed")}
    else:
        listed = host.run(["rpm", "-q", "--qf", "%{NAME}\n", "--whatprovides", *names], check=False).stdout
        installed = set(listed.split())
    return [choice[0] for choice in choices if not installed & set(choice)]


def install_packages(host: Host, names: list[str], unit: str | None) -> None:
    """Install from the distribution; its index is read again only if the names are not to be had without.

    A service of theirs that our `unit` takes the place of is not started as the package has it.
    """
    held = [unit, f"{unit.rpartition('.')[0]}.socket"] if unit else []
    if held:
        host.run(["systemctl", "mask", "--runtime", "--quiet", *held], check=False)
    try:
        _install(host, names)
    finally:
        if held:
            host.run(["systemctl", "unmask", "--runtime", "--quiet", *held], check=False)


def _install(host: Host, names: list[str]) -> None:
    if family(host) == "redhat":
        host.run(["dnf", "-y", "install", *names], timeout=900)
        return
    quiet = {"DEBIAN_FRONTEND": "noninteractive"}
    # A file of ours may be one of the package's settings, as containerd's is: it stays, and nobody is asked.
    options = ["DPkg::Lock::Timeout=120", "DPkg::Options::=--force-confdef", "DPkg::Options::=--force-confold"]
    command = ["apt-get", "-y", "--no-install-recommends", *(f"-o{option}" for option in options), "install", *names]
    if host.run(command, check=False, timeout=900, environment=quiet).returncode != 0:
        host.run(["apt-get", "-o", "DPkg::Lock::Timeout=120", "update"], check=False, timeout=600)
        host.run(command, timeout=900, environment=quiet)


def disable_services(host: Host, packages: list[str]) -> None:
    """Packages are wanted for their programs: a service of the same name that came along and was started is not."""
    for name in packages:
        host.run(["systemctl", "disable", "--now", "--quiet", f"{name}.service"], check=False)


def missing_modules(host: Host, wanted: list[str]) -> list[str]:
    """Those neither loaded nor built into the kernel. One that is built in has a folder only if it has parameters."""
    absent = [name for name in wanted if not os.path.isdir(host.path(f"/sys/module/{name.replace('-', '_')}"))]
    if not absent:
        return []
    builtin = read(host.path(f"/lib/modules/{os.uname().release}/modules.builtin")) or ""
    names = {os.path.basename(line).split(".")[0].replace("-", "_") for line in builtin.splitlines()}
    return [name for name in absent if name.replace("-", "_") not in names]


def load_modules(host: Host, names: list[str]) -> None:
    for name in names:
        host.run(["modprobe", "--", name])


def sysctl_path(name: str) -> str:
    return "/proc/sys/" + name.replace(".", "/")


def read_sysctl(host: Host, name: str) -> str | None:
    value = read(host.path(sysctl_path(name)))
    return None if value is None else " ".join(value.split())


def differing_sysctls(host: Host, wanted: dict[str, str]) -> dict[str, str | None]:
    """{name: value now} of those that are not as wanted."""
    now = {name: read_sysctl(host, name) for name in wanted}
    return {name: value for name, value in now.items() if value != " ".join(str(wanted[name]).split())}


def write_sysctl(host: Host, name: str, value: str) -> None:
    try:
        with open(host.path(sysctl_path(name)), "w") as handle:
            handle.write(value)
    except OSError as error:
        raise HostError(f"the kernel setting {name} can't be set to {value}: {error.strerror}") from None


def make_user(host: Host, name: str) -> bool:
    """A system user with a group of the same name, no home and no shell. True if it was made."""
    if host.uid(name) is not None:
        return False
    command = ["useradd", "--system", "--user-group", "--no-create-home", "--home-dir", "/nonexistent"]
    host.run([*command, "--shell", "/usr/sbin/nologin", name])
    return True


def remove_user(host: Host, name: str) -> None:
    if host.uid(name) is not None:
        host.run(["userdel", name])


def remove_link(host: Host, name: str) -> bool:
    """Remove a network link of ours. True if it was there."""
    if not os.path.exists(host.path(f"/sys/class/net/{name}")):
        return False
    host.run(["ip", "link", "delete", name])
    return True


def describe(kind: str, subject: str, before: Any, after: Any) -> dict[str, Any]:
    """A difference without a file behind it, in the form shown to the user."""
    return {"kind": kind, "path": subject, "before": before, "after": after}
