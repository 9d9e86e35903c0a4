"""Stands in for ssh: plays the hosts of tests/unit/plugins/test_far_end.py, the good ones and the bad one.

    far_end.py FOLDER OPTIONS… HOST COMMAND

FOLDER/answers.json has {host: {asked: answer}}: asked is the module, alone or with its operation or component, an
answer is a result, or a text that is printed as it is. A host without answers can't be reached. A component that has
none is not installed, and does not differ.
"""

from __future__ import annotations

import json
import re
import sys
import time
from pathlib import Path
from typing import Any

BEGIN, END = "<<<kubeinstall", "kubeinstall>>>"


def compared(spec: dict[str, Any]) -> dict[str, Any]:
    missing = {"certificate": None, "pair": False, "attributes": True}
    return {
        "architecture": "amd64",
        "changes": [],
        "certificates": {item["name"]: missing for item in spec["certificates"]},
        "needs": {"binaries": [], "images": []},
        "unit": {"living": False, "enabled": True, "why": None, "reload": None} if spec["unit"] else None,
        "bootstraps": [],
        "worked": False,
        "replaces": [],
    }


def main(folder: Path, words: list[str]) -> int:
    (host,) = {word for word in words if re.fullmatch(r"192\.0\.2\.\d+", word)}
    script = sys.stdin.read() if " -I -S -" in words[-1] else ""
    if not script:
        return 0
    module = re.search("^MODULE = '(.*)'$", script, re.MULTILINE)
    found = re.search("^SPEC = (.*)$", script, re.MULTILINE)
    if module is None or found is None:
        return 1
    spec = json.loads(eval(found[1]))  # noqa: S307 what the test's own control node has sent
    what = spec["name"] if module[1] == "component" else spec.get("operation", "")
    asked = f"{module[1]} {what}".strip()
    answers = json.loads((folder / "answers.json").read_text())[host]
    if answers is None:
        print(f"ssh: connect to host {host} port 22: No route to host", file=sys.stderr)
        return 255
    answer = answers.get(asked, answers.get(module[1], {}))
    if isinstance(answer, str):
        print(answer)
        return 0
    if module[1] == "component":
        answer = compared(spec) | answer
    if module[1] == "probe":
        answer |= {"time": time.time()}
    with (folder / "asked").open("a") as log:
        log.write(f"{host} {asked}\n")
    print(BEGIN, json.dumps({"result": answer}), END, sep="\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), sys.argv[2:]))
