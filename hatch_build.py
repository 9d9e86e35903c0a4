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
    "roles/*/*",
)


class CollectionHook(BuildHookInterface[Any]):
    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        if version == "editable":
            return
        for name in COLLECTION:
            for path in sorted(Path(self.root).glob(name)):
                # What proves a role stays in the checkout.
                if path.name != "molecule":
                    relative = path.relative_to(self.root)
                    build_data["force_include"][str(relative)] = f"ansible_collections/kubeinstall/cluster/{relative}"
