from __future__ import annotations

import pytest

from kubeinstall.lab.debian import Source, parse_sources, sources_for_release

DEB822 = """\
# The first mirror
Types: deb deb-src
URIs: http://mirror.example/debian
Suites: trixie trixie-updates
Components: main contrib
Signed-By:
 -----BEGIN PGP PUBLIC KEY BLOCK-----
 .
 -----END PGP PUBLIC KEY BLOCK-----

Types: deb
URIs: http://mirror.example/debian-security/
Suites: trixie-security
Components: main

Enabled: no
Types: deb
URIs: http://off.example/debian
Suites: trixie
Components: main

Types: deb-src
URIs: http://sources.example/debian
Suites: trixie
Components: main
"""

ONE_LINE = """\
# deb http://commented.example/debian bookworm main
deb cdrom:[Debian 12]/ bookworm main
deb [arch=amd64 signed-by=/k.gpg] http://mirror.example/debian bookworm main contrib # the near one
deb-src http://mirror.example/debian bookworm main
deb https://vendor.example/linux bookworm stable
"""


def test_parse_deb822() -> None:
    assert parse_sources(DEB822) == [
        Source("http://mirror.example/debian", "trixie", ("main", "contrib")),
        Source("http://mirror.example/debian", "trixie-updates", ("main", "contrib")),
        Source("http://mirror.example/debian-security/", "trixie-security", ("main",)),
    ]


def test_parse_one_line() -> None:
    parsed = parse_sources(ONE_LINE)
    assert Source("http://mirror.example/debian", "bookworm", ("main", "contrib")) in parsed
    assert not [source for source in parsed if "commented" in source.uri]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (ONE_LINE, [("http://mirror.example/debian", "bookworm")]),
        (
            DEB822,
            [
                ("http://mirror.example/debian", "bookworm"),
                ("http://mirror.example/debian", "bookworm-updates"),
                ("http://mirror.example/debian-security/", "bookworm-security"),
            ],
        ),
        (
            "deb http://archive.ubuntu.com/ubuntu noble main\n",
            [
                ("http://deb.debian.org/debian", "bookworm"),
                ("http://deb.debian.org/debian", "bookworm-updates"),
                ("http://deb.debian.org/debian-security", "bookworm-security"),
            ],
        ),
    ],
    ids=["debian-12", "another-debian", "ubuntu"],
)
def test_sources_for_the_host_image(text: str, expected: list[tuple[str, str]]) -> None:
    assert [(source.uri, source.suite) for source in sources_for_release(parse_sources(text))] == expected
