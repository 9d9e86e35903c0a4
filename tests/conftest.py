"""Host-side code is imported by the name it has everywhere else: through Ansible's own loader of collections, which
knows only what it has loaded itself and so comes first; and through the path in processes that tests start.
"""

import os
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
os.environ.setdefault("ANSIBLE_CONFIG", str(ROOT / "ansible.cfg"))

from kubeinstall.cluster import inventory  # noqa: E402 after its configuration is named

inventory._initialise()
sys.path.insert(0, str(ROOT / ".collections"))


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--keep-lab", action="store_true", help="leave the tests' labs up, and take them up as they are")
