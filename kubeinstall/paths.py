"""Where things lie: the collection (a checkout's root, or inside an installed wheel) and a cluster's state."""

from __future__ import annotations

from pathlib import Path

from kubeinstall.errors import KubeinstallError

__all__ = ["collection_root", "playbook", "state_directory", "world_writable"]


def collection_root() -> Path:
    """The folder that holds playbooks, roles and plugins: the checkout's root, or the wheel's copy in site-packages."""
    site = Path(__file__).resolve().parents[1]
    for root in (site, site / "ansible_collections" / "kubeinstall" / "cluster"):
        if (root / "galaxy.yml").is_file():
            return root
    raise KubeinstallError(
        "the playbooks and roles that belong to this command are missing",
        where=str(site),
        remedy="install kubeinstall again",
    )


def playbook(name: str) -> Path:
    """The path of a playbook of ours by its name without `.yml`; raises KubeinstallError when there is none."""
    path = collection_root() / "playbooks" / f"{name}.yml"
    if not path.is_file():
        what = f"there is no playbook {name}"
        raise KubeinstallError(what, where=str(path.parent), remedy="install kubeinstall again")
    return path


def state_directory(inventory: Path) -> Path:
    """The cluster's own folder on the controller (PKI, journals, kubeconfig): .kubeinstall beside the hosts file."""
    inventory = inventory.absolute()
    return (inventory if inventory.is_dir() else inventory.parent) / ".kubeinstall"


def world_writable() -> Path | None:
    """The collection's folder when everyone on this machine may write to it, else None."""
    root = collection_root()
    return root if root.stat().st_mode & 0o002 else None
