"""Certificates that have expired, as the hosts report them: named before a run, which renews them."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime

from kubeinstall.cluster.inputs import Findings, Inputs
from kubeinstall.cluster.reports import Report

__all__ = ["check_expired"]


def check_expired(inputs: Inputs, reports: Mapping[str, Report], warnings: Findings) -> None:
    """Never an error: the run that would be ended by it is the one that heals the cluster."""
    for host in inputs.hosts:
        report = reports.get(host.name)
        for one in report.facts.expired if report and report.facts else ():
            what = f"its certificate {one.path} expired on {datetime.fromtimestamp(one.until, UTC):%Y-%m-%d}"
            warnings.add(what, "kubeinstall apply renews it", hosts=[host])
