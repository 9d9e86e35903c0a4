"""Puts the collection (playbooks, roles, plugins, components) into the wheel; an editable install has the checkout."""

from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

COLLECTION = (
    "ansible.cfg",
    "components",
    "examples",
    "galaxy.yml",
    "inventory/example",
    "meta",
    "playbooks",
    "plugins",
    "roles",
)


class CollectionHook(BuildHookInterface[Any]):
    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        if version == "editable":
            return
        for name in COLLECTION:
            if (Path(self.root) / name).exists():
                build_data["force_include"][name] = f"ansible_collections/kubeinstall/cluster/{name}"
