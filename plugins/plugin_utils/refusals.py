"""The states of a host in which a component task changes nothing: each ends the task before the first change."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ansible.errors import AnsibleActionFail
from ansible_collections.kubeinstall.cluster.plugins.plugin_utils.bootstrap import REMEDY
from ansible_collections.kubeinstall.cluster.plugins.plugin_utils.spec import SharedFiles, of_another_cluster

__all__ = ["etcd_clusters", "left_in_place", "refuse_another_cluster", "refuse_pinned_images", "without_data"]

# Ways of the container runtime to a registry.
OWN_WAYS = ("container_engine_registries", "container_engine_https_proxy", "container_engine_http_proxy")


def refuse_another_cluster(changes: list[dict[str, Any]], args: Mapping[str, Any], shared: SharedFiles) -> None:
    path = of_another_cluster(changes, args)
    if path and shared.pki:
        what = "lacks the CA or key of" if shared.missing else "holds another CA or key than"
        raise AnsibleActionFail(
            f"{shared.pki.directory} {what} the cluster this host carries ({path}). Nothing was changed and no new"
            " CA was made. Restore the PKI directory, or reset the host if it is to leave its cluster. If"
            " only this file was altered on the host, remove it there and run again."
        )


def refuse_pinned_images(
    missing: Sequence[str], images: Sequence[Mapping[str, Any]], task_vars: Mapping[str, Any]
) -> None:
    """An image that is made here has another digest than the one that a reference names."""
    pinned = [item["reference"] for item in images if item["reference"] in missing and "@" in item["reference"]]
    # The runtime may reach a registry by ways of its own, where the host by itself does not.
    if pinned and not any(task_vars.get(name) for name in OWN_WAYS):
        raise AnsibleActionFail(
            f"{', '.join(pinned)} is pinned by its digest, is not on this host, and its registry does not answer."
            " Nothing was changed. Make the registry reachable, load that image (kubeinstall image load), or remove"
            " the digest: then an image of the same program is made here"
        )


def etcd_clusters(formed: Mapping[str, Any], args: Mapping[str, Any], *, check_mode: bool) -> list[str]:
    """The ids that an etcd member's cluster may have, once known. Two only while a restore is interrupted.

    Raises AnsibleActionFail where one is, outside of check mode.
    """
    if not (args["spare"] or {}).get("etcd_member"):
        return []
    restoring = formed.get("restoring", {})
    if restoring and not check_mode:
        raise AnsibleActionFail(
            "an etcd restore was interrupted, and the members can hold different data. Nothing was changed. Run"
            " kubeinstall apply, or playbooks/etcd.yml: either completes it first"
        )
    return [one["cluster_id"] for one in (formed, restoring) if "cluster_id" in one]


def without_data(missing: Sequence[str], formed: Mapping[str, Any] | None, args: Mapping[str, Any]) -> bool:
    """Whether the host lacks the data of a bootstrapped cluster (`missing`: its paths), and stays as it is for now."""
    if not formed or not missing:
        return False
    if args["without_data"] == "refuse":
        raise AnsibleActionFail(
            f"{missing[0]} is not on this host, though the cluster was formed ({formed.get('at')}):"
            f" {args['name']} without its data would begin a second, empty cluster. Nothing was changed."
            f" {REMEDY}"
        )
    return bool(args["without_data"] == "leave")


def left_in_place(replaces: Sequence[str], args: Mapping[str, Any]) -> bool:
    """Whether the host has what this component comes in place of (`replaces`), and stays as it is for now."""
    if replaces and args["replacing"] == "refuse":
        raise AnsibleActionFail(
            f"{', '.join(replaces)} is on this host still, and its pods would end with it. Nothing was"
            " changed. The whole playbook (kubeinstall apply) drains the host's node first."
        )
    return bool(replaces) and bool(args["replacing"] == "leave")
