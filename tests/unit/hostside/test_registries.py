"""What registries answer that are asked whether they take their credentials."""

from __future__ import annotations

import base64
import socket
import ssl

import pytest
from ansible_collections.kubeinstall.cluster.plugins.module_utils.hostside import registries

from tests.unit.hostside.registry import PASSWORD, USER, Proxy, authority_in, registry, serving


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, ssl.SSLContext]:
    return authority_in(tmp_path_factory.mktemp("authority"))


def ask(name: str, authority: str, password: str = PASSWORD, proxy: str = "", no_proxy: tuple[str, ...] = ()) -> str:
    entry = {"name": name, "username": USER, "password": password, "authority": authority}
    found: dict[str, str] = registries.ask({"registries": [entry], "proxy": proxy, "no_proxy": list(no_proxy)})
    return found[name]


def test_a_registry_with_users(authority: tuple[str, ssl.SSLContext]) -> None:
    text, context = authority
    with registry(context) as (name, _):
        assert ask(name, text) == "accepted"
        assert ask(name, text, "another") == "refused"
    with registry(context, status=503) as (name, _):
        assert ask(name, text) == "it answers with the status 503"


@pytest.mark.parametrize("refusal", [401, 403])
def test_a_registry_with_tokens(authority: tuple[str, ssl.SSLContext], refusal: int) -> None:
    text, context = authority
    with registry(context, refusal=refusal) as (name, server):
        server.tokens = f"https://{name}"
        assert ask(name, text) == "accepted"
        assert ask(name, text, "another") == "refused"
        assert server.asked == ["service=here%2C+or+there&account=kube"] * 2
        server.tokens = f"http://{name}"
        assert ask(name, text) == "it sends credentials to an address that is not https"


def test_a_registry_that_is_not_trusted_or_not_there(authority: tuple[str, ssl.SSLContext]) -> None:
    text, context = authority
    with registry(context) as (name, _):
        assert ask(name, "").startswith("its certificate is not believed: ")
        assert ask(name, text) == "accepted"
    assert ask(name, text) == "Connection refused"
    assert ask("registry.invalid", text) in ("Name or service not known", "Temporary failure in name resolution")


def test_one_that_says_nothing_is_not_waited_for_nor_keeps_another(
    authority: tuple[str, ssl.SSLContext], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(registries, "SECONDS", 1)
    text, context = authority
    with socket.create_server(("127.0.0.1", 0)) as silent, registry(context) as (name, _):
        mute = f"127.0.0.1:{silent.getsockname()[1]}"
        both = [{"name": one, "username": USER, "password": PASSWORD, "authority": text} for one in (mute, name)]
        found = registries.ask({"registries": both, "proxy": "", "no_proxy": []})
    assert found[name] == "accepted"
    assert found[mute] == "nothing within 1 s"


def test_by_a_proxy(authority: tuple[str, ssl.SSLContext], monkeypatch: pytest.MonkeyPatch) -> None:
    # Loopback is never asked for by a proxy, by the rule that is under test below.
    monkeypatch.setattr(registries, "unproxied", lambda *said: "127.0.0.0/8" in said[-1])
    text, context = authority
    with registry(context) as (name, _), serving(Proxy) as proxy:
        port = proxy.server_address[1]
        assert ask(name, text, proxy=f"http://127.0.0.1:{port}") == "accepted"
        assert ask(name, text, "another", proxy=f"http://a:b%40c@127.0.0.1:{port}") == "refused"
        said = "Basic " + base64.b64encode(b"a:b@c").decode()
        assert proxy.asked == [(name, ""), (name, said)]
        assert ask(name, text, proxy=f"http://127.0.0.1:{port}", no_proxy=("127.0.0.0/8",)) == "accepted"
        assert len(proxy.asked) == 2
        assert "speaks TLS" in ask(name, text, proxy=f"https://127.0.0.1:{port}")


@pytest.mark.parametrize(
    ("host", "entry", "without"),
    [
        ("registry.example.org", "example.org", True),
        ("example.org", "example.org", True),
        ("example.org", ".example.org", False),
        ("registry.example.org", ".example.org", True),
        ("registry.example.org", "*.example.org", True),
        ("registryexample.org", "example.org", False),
        ("registry.example.org", "Example.org:443", True),
        ("registry.example.org", "example.org:5000", False),
        ("registry.example.org", "*", True),
        ("192.0.2.7", "192.0.2.0/24", True),
        ("192.0.2.7", "192.0.2.7", True),
        ("192.0.2.7", "192.0.2.7:5000", False),
        ("192.0.2.7", "example.org", False),
        ("registry.example.org", "192.0.2.0/24", False),
        ("localhost", "example.org", True),
        ("127.0.0.1", "example.org", True),
    ],
)
def test_who_is_reached_without_a_proxy(host: str, entry: str, without: bool) -> None:
    assert registries.unproxied(host, 443, [entry]) is without
