"""Everything kubeinstall raises on purpose.

    KubeinstallError            the run failed (exit 1)
    ├── InputError              what the user wrote is wrong (exit 2), nothing was touched
    ├── ComponentError          a file could not be had, or is not the file that was pinned
    │   └── UnavailableError    one source does not have it: the next is tried
    ├── PKIError                an authority is missing, altered or refuses to sign
    ├── LabError                the local Docker engine or a lab host does not do its part
    └── RunError                an Ansible run ended in failure

Each says what happened, where, and what to do about it. Only `kubeinstall.cli` turns them into exit codes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

__all__ = [
    "ComponentError",
    "InputError",
    "KubeinstallError",
    "LabError",
    "PKIError",
    "Problem",
    "RunError",
    "UnavailableError",
]


@dataclass(frozen=True, order=True)
class Problem:
    """One thing that is wrong: the place (a host, a variable, a file), what is wrong there, and the remedy."""

    where: str
    what: str
    remedy: str = ""

    def __str__(self) -> str:
        text = f"{self.where}: {self.what}" if self.where else self.what
        return f"{text} ({self.remedy})" if self.remedy else text


class KubeinstallError(Exception):
    """Base of all errors: `what` happened, `where`, and the `remedy` a user can apply."""

    exit_code = 1

    def __init__(self, what: str, *, where: str = "", remedy: str = "") -> None:
        super().__init__(str(Problem(where, what, remedy)))
        self.what, self.where, self.remedy = what, where, remedy


class InputError(KubeinstallError):
    """Wrong input. `problems` holds every one that was found, each with its place."""

    exit_code = 2

    def __init__(self, what: str, *, where: str = "", remedy: str = "", problems: Sequence[Problem] = ()) -> None:
        super().__init__(what, where=where, remedy=remedy)
        self.problems = tuple(problems) or (Problem(where, what, remedy),)


class ComponentError(KubeinstallError):
    """A component's file could not be had, or failed its digest."""


class UnavailableError(ComponentError):
    """One source does not have a component, for the reason given: the next source is tried."""


class PKIError(KubeinstallError):
    """An authority is missing, altered, or refuses to sign what was asked."""


class LabError(KubeinstallError):
    """The local Docker engine or a lab host does not do its part."""


class RunError(KubeinstallError):
    """An Ansible run ended in failure."""
