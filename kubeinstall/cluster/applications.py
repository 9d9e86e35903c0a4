"""Judges the applications that are to have a part of etcd to themselves."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from kubeinstall.cluster.inputs import Findings, Inputs

__all__ = ["APPLICATIONS", "check_applications"]

NAME = re.compile(r"[a-z0-9]([-a-z0-9.]{0,61}[a-z0-9])?")
PREFIX = re.compile(r"/([^/\s]+/)+")
# Our own clients of etcd, by the common names of their certificates.
CLIENTS = ("etcd-healthcheck-client", "flannel", "kube-apiserver-etcd-client", "root")
# What lies under these prefixes is the cluster's and flannel's.
TAKEN = {"/registry/": "the cluster's own keys", "/coreos.com/network/": "flannel's keys"}
APPLICATIONS = "etcd_application_users"


def check_applications(inputs: Inputs, errors: Findings) -> None:
    """Names and prefixes, each by itself and against the others."""
    setting = [host for host in inputs.hosts if isinstance(host.values.get(APPLICATIONS), dict)]
    said = setting[0].values[APPLICATIONS] if setting else {}
    names = (*CLIENTS, *(host.name for host in inputs.hosts))
    for what, remedy in (*_names(said, names), *_prefixes(said)):
        errors.add(what, remedy, hosts=setting, name=APPLICATIONS)


def _names(said: Mapping[Any, Any], taken: tuple[str, ...]) -> Iterator[tuple[str, str]]:
    for name in said:
        if not NAME.fullmatch(str(name)):
            yield (
                f"{APPLICATIONS} names {name!r}, which is no name for a user",
                "small letters, digits, - and . in between",
            )
        elif name in taken:
            yield (
                f"{APPLICATIONS} names {name}, which is the name of one of the cluster's own clients",
                "choose another",
            )


def _prefixes(said: Mapping[Any, Any]) -> Iterator[tuple[str, str]]:
    taken = dict(TAKEN)
    for name, one in said.items():
        if not isinstance(one, dict) or set(one) != {"prefix"}:
            yield f"{APPLICATIONS}: {name} is to have a prefix and nothing else", f"{name}: {{prefix: /apps/{name}/}}"
            continue
        prefix = one["prefix"]
        if not isinstance(prefix, str) or not PREFIX.fullmatch(prefix):
            remedy = f"write it as /apps/{name}/"
            yield f"{APPLICATIONS}: the prefix of {name} is {prefix!r}, which is no folder below /", remedy
            continue
        for other, whose in taken.items():
            if prefix.startswith(other) or other.startswith(prefix):
                way = "lies under" if prefix.startswith(other) else "covers"
                yield f"{APPLICATIONS}: the prefix {prefix} of {name} {way} {other}, {whose}", "choose another"
        taken[prefix] = f"the keys of {name}"
