"""The one exception that carries a sentence for the user from a host to the screen."""

from __future__ import annotations


class HostError(Exception):
    """Something on the host that was foreseen: the message says what, where, and what to do."""
