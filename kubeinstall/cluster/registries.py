"""Judges the registries and proxies of the container engine, and what registries said of their credentials."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import SplitResult, urlsplit

from cryptography.x509 import load_pem_x509_certificates

from kubeinstall.cluster.hosts import DOMAIN
from kubeinstall.cluster.inputs import CONTROL_PLANE, NODE, Findings, Inputs
from kubeinstall.cluster.reports import Report

__all__ = ["check_answers", "check_registries", "registry_questions"]

REGISTRIES = "container_engine_registries"
PROXIES = ("container_engine_http_proxy", "container_engine_https_proxy")
UNPROXIED = "container_engine_no_proxy"
DOCKER_HUB = "docker.io"
HUB_BY_OTHER_NAMES = ("hub.docker.com", "index.docker.io", "registry-1.docker.io", "registry.docker.io")
WITHOUT_DOCKER = "take it out, or run containerd there"
ACCEPTED, REFUSED = "accepted", "refused"
# They end up between quotes, in lines of a file.
PLAIN = re.compile(r"[!#-&(-\[\]-~]+")


def check_registries(inputs: Inputs, errors: Findings) -> None:
    """The variables by themselves; what one entry says of a mirror is in the entry of the mirror's own name."""
    for host in inputs.members(CONTROL_PLANE, NODE):
        docker = host.values.get("container_engine") == "docker"
        for what, remedy in _wrong_registries(_entries(host.values.get(REGISTRIES)), inputs.directory, docker):
            errors.add(what, remedy, hosts=[host], name=REGISTRIES)
        for name in PROXIES:
            for what, remedy in _wrong_proxy(name, host.values.get(name)):
                errors.add(what, remedy, hosts=[host], name=name)
        for what, remedy in _wrong_unproxied(host.values.get(UNPROXIED)):
            errors.add(what, remedy, hosts=[host], name=UNPROXIED)


def registry_questions(values: Mapping[str, Any], directory: Path) -> dict[str, Any]:
    """What hostside/registries.py asks, of a host's variables; without what is wrong, which is said elsewhere.

    Empty where no registry has credentials.
    """
    registries = []
    for entry in _entries(values.get(REGISTRIES)):
        if not (_wrong_name(entry) or _wrong_credentials(entry)) and entry.get("username"):
            authority, problem = _authority(entry, directory)
            if not problem:
                said = {name: str(entry[name]) for name in ("name", "username", "password")}
                registries.append({**said, "authority": authority})
    if not registries:
        return {}
    proxy, unproxied = str(values.get(PROXIES[1]) or ""), values.get(UNPROXIED)
    cluster = values.get("container_engine_cluster_networks")
    no_proxy = [str(entry) for part in (cluster, unproxied) if isinstance(part, list) for entry in part]
    return {"registries": registries, "proxy": proxy, "no_proxy": no_proxy}


def check_answers(inputs: Inputs, reports: Mapping[str, Report], errors: Findings, warnings: Findings) -> None:
    """A refusal ends a run. A registry that says nothing does not: it may be down, and the cluster lives on."""
    for host in inputs.members(CONTROL_PLANE, NODE):
        report = reports.get(host.name)
        users = {entry.get("name"): entry.get("username") for entry in _entries(host.values.get(REGISTRIES))}
        for name, answer in (report.facts.registries if report and report.facts else {}).items():
            if answer == REFUSED:
                what = f"the registry {name} refuses the user {users.get(name)} with the password that it was given"
                errors.add(what, "mend them, or take them out", hosts=[host], name=REGISTRIES)
            elif answer != ACCEPTED:
                what = f"the registry {name} could not be asked whether it takes the user {users.get(name)}: {answer}"
                warnings.add(what, "until it answers, no image of it can be pulled", hosts=[host])


def _entries(said: Any) -> list[Mapping[str, Any]]:
    """Those that are entries at all; a wrong type is said of the variable already."""
    return [entry for entry in (said if isinstance(said, list) else ()) if isinstance(entry, Mapping)]


def _wrong_registries(entries: list[Mapping[str, Any]], directory: Path, docker: bool) -> Iterator[tuple[str, str]]:
    for name, count in Counter(str(entry.get("name")) for entry in entries if "name" in entry).items():
        if count > 1:
            yield f"{REGISTRIES} has {count} entries named {name}", "make it one"
    by_name = {str(entry.get("name")): entry for entry in entries}
    for entry in entries:
        if "name" not in entry:
            continue  # judged by its type
        yield from _wrong_name(entry)
        yield from _wrong_credentials(entry)
        _, problem = _authority(entry, directory)
        if problem:
            yield problem
        yield from _wrong_mirrors(entry, by_name, docker)


def _wrong_name(entry: Mapping[str, Any]) -> list[tuple[str, str]]:
    name = _shown(str(entry.get("name")))
    what = f"{REGISTRIES}: {name!r} is no registry's name as images have it"
    if "/" in name or "@" in str(entry.get("name")):
        host = urlsplit(name if "://" in name else f"//{name}").netloc
        return [(what, f"the host alone, with its port if it has one: {host}")]
    if name in HUB_BY_OTHER_NAMES:
        return [(what, f"Docker Hub is {DOCKER_HUB}")]
    host, colon, port = name.partition(":")
    if not DOMAIN.fullmatch(host) or (colon and not (port.isdecimal() and 0 < int(port) < 65536)):
        return [(what, "write it as registry.example.org:5000, in small letters")]
    if host != "localhost" and "." not in host and not colon:
        return [(what, f"images take {name}/ for a user of Docker Hub: add its domain or port")]
    return []


def _wrong_credentials(entry: Mapping[str, Any]) -> list[tuple[str, str]]:
    name = entry.get("name")
    said = {key: str(entry[key]) for key in ("username", "password") if entry.get(key) is not None}
    if len(said) == 1:
        lacks = "password" if "username" in said else "username"
        return [(f"{REGISTRIES}: {name} has a {next(iter(said))} and no {lacks}", "give it both, or none")]
    if empty := [key for key, value in said.items() if not value]:
        return [(f"{REGISTRIES}: the {' and the '.join(empty)} of {name} is empty", "give it one, or take both out")]
    if ":" in said.get("username", ""):
        return [(f"{REGISTRIES}: the username of {name} has a colon in it, which would end it there", "")]
    return []


def _authority(entry: Mapping[str, Any], directory: Path) -> tuple[str, tuple[str, str] | None]:
    """The authority's text, or what is wrong with its file."""
    said = entry.get("authority")
    if not isinstance(said, str):
        return "", None
    where = f"{REGISTRIES}: the authority of {entry.get('name')}, {said},"
    try:
        text = (directory / said).read_text(encoding="utf-8")
        load_pem_x509_certificates(text.encode())
    except FileNotFoundError:
        remedy = "" if Path(said).is_absolute() else f"relative paths begin at {directory}"
        return "", (f"{where} is not there", remedy)
    except OSError as error:
        return "", (f"{where} cannot be read: {error.strerror}", "")
    except ValueError:
        return "", (f"{where} holds no certificate", "it begins with -----BEGIN CERTIFICATE-----")
    return text, None


def _wrong_mirrors(
    entry: Mapping[str, Any], by_name: Mapping[str, Mapping[str, Any]], docker: bool
) -> Iterator[tuple[str, str]]:
    mirrors, name = entry.get("mirrors"), entry["name"]
    urls = [str(url).rstrip("/") for url in mirrors] if isinstance(mirrors, list) else []
    if urls and docker and name != DOCKER_HUB:
        yield (
            f"{REGISTRIES}: {name} has mirrors, and Docker knows mirrors of {DOCKER_HUB} alone",
            ("take them out, or container_engine: containerd"),
        )
    for url, count in Counter(urls).items():
        where = f"{REGISTRIES}: the mirror {_shown(url)} of {name}"
        parts = _url(url)
        if parts and parts.username is not None:
            own = parts.netloc.rpartition("@")[2]
            yield f"{where} has its credentials in its URL", f"give them to an entry named {own}"
        elif parts is None or parts.query or parts.fragment or not PLAIN.fullmatch(url):
            yield f"{where} is no URL", "write it as https://mirror.example.org:5000"
        else:
            if count > 1:
                yield f"{where} is there {count} times", "once does"
            if by_name.get(parts.netloc, {}).get("username"):
                if parts.scheme == "http":
                    yield f"{where} would be sent its password for all to read", "let it be https"
                elif docker:
                    yield (
                        f"{where} asks for credentials, which Docker never sends it",
                        ("take it out, or container_engine: containerd"),
                    )


def _wrong_proxy(name: str, url: Any) -> Iterator[tuple[str, str]]:
    # Never shown: it may hold a password.
    if isinstance(url, str) and url and (_url(url) is None or not PLAIN.fullmatch(url)):
        yield f"{name} is no URL of a proxy", "write it as http://PROXY:PORT or http://USER:PASSWORD@PROXY:PORT"


def _wrong_unproxied(entries: Any) -> Iterator[tuple[str, str]]:
    for entry in entries if isinstance(entries, list) else ():
        if (isinstance(entry, str) and not re.fullmatch(r"[\w.:/*-]+", entry)) or "://" in str(entry):
            yield f"{UNPROXIED} holds {entry!r}, which is no name, address or network", "give each an entry of its own"


def _shown(url: str) -> str:
    """Without a password that somebody has written into it."""
    return re.sub(r"^(.*//)?[^/]*@", r"\1", url)


def _url(text: str) -> SplitResult | None:
    """A URL of http or https with a host; None where the text is none."""
    try:
        parts = urlsplit(text)
        host, _ = parts.hostname or "", parts.port
    except ValueError:
        return None
    return parts if parts.scheme in ("http", "https") and DOMAIN.fullmatch(host) else None
