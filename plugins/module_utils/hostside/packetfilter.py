"""The packet filter rules that kube-proxy, kubelet, flannel and the CNI plugins leave: found by name, and removed.

What belongs to anybody else stays, rule by rule: the connection that carries us depends on it.
"""

from __future__ import annotations

import os
import shlex
import shutil
import tempfile

from .host import Host

CHAINS = ("KUBE-", "FLANNEL-", "CNI-")
# Rules of ours in chains of others carry this comment.
COMMENT = "kubeinstall"
TABLES = ("kube-proxy", "flannel-ipv4", "flannel-ipv6", "cni_hostport")


def clean(host: Host, *, check: bool) -> list[str]:
    """Remove them all; [what]. With `check` nothing is touched."""
    removed = []
    for family, table in _nft_tables(host):
        if table in TABLES:
            removed.append(f"nftables table {family} {table}")
            if not check:
                host.run(["nft", "delete", "table", family, table])
    for program, family in (("iptables", "ip"), ("ip6tables", "ip6")):
        for table, lines in _saved(host, program).items():
            commands = removal(lines)
            if not commands:
                continue
            removed.append(f"{program} table {table}: {_count(commands)}")
            if not check:
                _restore(host, program, table, commands)
                _drop_empty(host, program, family, table)
    return removed


def _nft_tables(host: Host) -> list[tuple[str, str]]:
    if not shutil.which("nft", path=_path()):
        return []
    lines = host.run(["nft", "list", "tables"], check=False).stdout.splitlines()
    return [(fields[1], fields[2]) for fields in map(str.split, lines) if len(fields) == 3 and fields[0] == "table"]


def _path() -> str:
    return os.environ.get("PATH", "") + ":/usr/sbin:/sbin:/usr/bin:/bin"


def _saved(host: Host, program: str) -> dict[str, list[str]]:
    """{table: its lines in the form of iptables-save}."""
    if not shutil.which(f"{program}-save", path=_path()):
        return {}
    tables: dict[str, list[str]] = {}
    current: list[str] = []
    for line in host.run([f"{program}-save"], check=False).stdout.splitlines():
        if line.startswith("*"):
            current = tables.setdefault(line[1:].strip(), [])
        elif line.startswith((":", "-A ")):
            current.append(line)
    return tables


def removal(lines: list[str]) -> list[str]:
    """Commands, in iptables-restore's form, that take ours out of a table: first the ways in, then the chains."""
    chains = [line[1:].split()[0] for line in lines if line.startswith(":")]
    ours = [chain for chain in chains if chain.startswith(CHAINS)]
    commands = []
    for line in lines:
        if line.startswith("-A "):
            words = shlex.split(line)
            if words[1] not in ours and (_target(words) in ours or _comment(words) == COMMENT):
                commands.append("-D" + line[2:])
    return commands + [f"-F {chain}" for chain in ours] + [f"-X {chain}" for chain in ours]


def _after(words: list[str], option: str) -> str:
    return words[words.index(option) + 1] if option in words[:-1] else ""


def _target(words: list[str]) -> str:
    return _after(words, "-j") or _after(words, "-g")


def _comment(words: list[str]) -> str:
    return _after(words, "--comment")


def _count(commands: list[str]) -> str:
    rules = sum(command.startswith("-D") for command in commands)
    return f"{rules} rules, {sum(command.startswith('-X') for command in commands)} chains"


def _restore(host: Host, program: str, table: str, commands: list[str]) -> None:
    """All of a table in one step, which the kernel takes whole or not at all."""
    with tempfile.NamedTemporaryFile("w", prefix="kubeinstall-", suffix=".rules") as handle:
        handle.write("\n".join([f"*{table}", *commands, "COMMIT", ""]))
        handle.flush()
        host.run([f"{program}-restore", "--wait", "30", "--noflush", handle.name])


def _drop_empty(host: Host, program: str, family: str, table: str) -> None:
    """iptables on nftables made this table when it was first needed; as long as nothing is in it, nobody misses it."""
    lines = _saved(host, program).get(table, [])
    untouched = all(line.startswith(":") and line.split()[1] == "ACCEPT" for line in lines)
    if lines and untouched and (family, table) in _nft_tables(host):
        host.run(["nft", "delete", "table", family, table], check=False)
