"""How this package tells what it is doing: it never prints."""

from __future__ import annotations

from typing import Protocol

__all__ = ["Progress", "Silent"]


class Progress(Protocol):
    """Receives what a run says. Calls come from one thread, in order."""

    def said(self, text: str) -> None:
        """A sentence the user should read: a fallback and its reason, a corrupt file, a wait for another run."""

    def step(self, label: str, done: int, total: int | None, unit: str) -> None:
        """`done` of `total` (None: not known) in `unit`: "bytes" of a download, "packages" or "modules" of a build.

        One label is one bar: it comes again with a growing `done`, and last with `done` equal to `total`.
        """


class Silent:
    """The Progress of who does not look."""

    def said(self, text: str) -> None: ...

    def step(self, label: str, done: int, total: int | None, unit: str) -> None: ...
