"""Debian 12 root trees out of packages, where no registry has an image to begin from."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from kubeinstall.distribution import Say, as_root, install_packages
from kubeinstall.errors import LabError

__all__ = ["Source", "parse_sources", "root_tree", "sources_for_release"]

RELEASE = "bookworm"
_SUITES = (RELEASE, f"{RELEASE}-updates", f"{RELEASE}-security")
_KEYRING = Path("/usr/share/keyrings/debian-archive-keyring.gpg")

# What of the machine's apt settings decides whether its package sources can be read at all.
_APT_OPTIONS = re.compile(r"Acquire::(https?|Check-Valid-Until|Check-Date|ForceIPv[46]|Retries|AllowInsecure)\b", re.I)

# A container is not read by people: without manuals and translations a tree is a third smaller.
_NOT_UNPACKED = ("/usr/share/man/*", "/usr/share/locale/*", "/usr/share/info/*", "/usr/share/lintian/*")


@dataclass(frozen=True)
class Source:
    """One package source: an address, one suite, and its components."""

    uri: str
    suite: str
    components: tuple[str, ...]


def parse_sources(text: str) -> list[Source]:
    """The binary package sources in a file of apt's, in the one-line or the deb822 format."""
    found: list[Source] = []
    for match in re.finditer(r"^deb\s+(?:\[[^\]]*\]\s+)?(\S+)\s+(\S+)[ \t]*(.*)$", text, re.M):
        found.append(Source(match[1], match[2], tuple(match[3].split("#")[0].split())))
    for stanza in re.split(r"\n\s*\n", text):
        lines = "\n".join(line for line in stanza.splitlines() if not line.startswith("#"))
        fields = {
            key.lower(): value.split() for key, value in re.findall(r"^([\w-]+):((?:.*)(?:\n[ \t]+.*)*)", lines, re.M)
        }
        if "deb" not in fields.get("types", ()) or fields.get("enabled", [""])[0].lower() in ("no", "false"):
            continue
        for uri in fields.get("uris", ()):
            for suite in fields.get("suites", ()):
                found.append(Source(uri, suite, tuple(fields.get("components", ()))))
    return found


def sources_for_release(machine: Iterable[Source]) -> list[Source]:
    """Where to get Debian 12 from, given the machine's own sources: its mirrors if they are Debian's, else Debian."""
    chosen: list[Source] = []
    for source in machine:
        if "main" not in source.components:
            continue
        place = source.uri.rstrip("/").rsplit("/", 1)[-1]
        suites: Sequence[str] = ()
        if source.suite in _SUITES:
            suites = (source.suite,)
        elif place == "debian":
            suites = (RELEASE, f"{RELEASE}-updates")
        elif place == "debian-security":
            suites = (f"{RELEASE}-security",)
        chosen += [Source(source.uri, suite, ("main",)) for suite in suites]
    if not any(source.suite == RELEASE for source in chosen):
        chosen = [
            Source("http://deb.debian.org/debian", RELEASE, ("main",)),
            Source("http://deb.debian.org/debian", f"{RELEASE}-updates", ("main",)),
            Source("http://deb.debian.org/debian-security", f"{RELEASE}-security", ("main",)),
        ]
    return list(dict.fromkeys(chosen))


def _machine_sources() -> list[Source]:
    folder = Path("/etc/apt")
    files = [
        folder / "sources.list",
        *sorted(folder.glob("sources.list.d/*.list")),
        *sorted(folder.glob("sources.list.d/*.sources")),
    ]
    return [source for file in files if file.is_file() for source in parse_sources(file.read_text(errors="replace"))]


def _apt_options() -> list[str]:
    try:
        dump = subprocess.run(["apt-config", "dump"], capture_output=True, text=True, check=True).stdout
    except (OSError, subprocess.CalledProcessError):
        return []
    return [line.rstrip(";") for line in dump.splitlines() if _APT_OPTIONS.match(line) and not line.endswith('"";')]


def root_tree(
    packages: Sequence[str],
    target: Path | None,
    say: Say,
    *,
    architecture: str,
    hooks: Sequence[str] = (),
) -> None:
    """Make a Debian 12 tree with `packages` from the machine's own sources, and write its tar to `target`.

    Without a target the tree is only for its hooks: shell commands run at the end, with the tree's folder as `$1`.
    Takes half a minute to a minute. Raises LabError with mmdebstrap's last lines.
    """
    if not shutil.which("mmdebstrap") or not _KEYRING.exists():
        install_packages("a maker of Debian trees", ["mmdebstrap", "debian-archive-keyring"], say)
    options = [f"--aptopt={option}" for option in _apt_options()]
    options += [f"--dpkgopt=path-exclude={pattern}" for pattern in _NOT_UNPACKED]
    options += [f"--customize-hook={hook}" for hook in hooks]
    sources = [
        f"deb [signed-by={_KEYRING}] {source.uri} {source.suite} {' '.join(source.components)}"
        for source in sources_for_release(_machine_sources())
    ]
    command = [
        "mmdebstrap",
        "--variant=minbase",
        f"--architectures={architecture}",
        f"--include={','.join(packages)}",
        f"--format={'tar' if target else 'null'}",
        *options,
        RELEASE,
        "-",
        *sources,
    ]
    privileged = as_root(command)
    if privileged is None:
        raise LabError("making a Debian tree needs root", remedy="repeat as root, or with sudo set up")
    # The tree goes through our own file descriptor, so that the file is the user's under sudo too.
    with (target or Path(os.devnull)).open("wb") as out:
        done = subprocess.run(privileged, stdout=out, stderr=subprocess.PIPE, text=True)
    if done.returncode:
        last = "; ".join(done.stderr.strip().splitlines()[-5:])
        raise LabError(f"mmdebstrap could not make a Debian tree: {last}", remedy="are the package sources reachable?")
