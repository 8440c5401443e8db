"""An API key goes only to hosts that the user named outside the configuration."""

from __future__ import annotations

import pytest

from tracer1.credentials import key_for, key_hint, same_origin

KEY = {"OPENAI_API_KEY": "secret"}


@pytest.mark.parametrize(
    ("url", "named", "sent"),
    [
        ("https://api.openai.com/v1", {}, True),
        ("http://api.openai.com/v1", {}, False),  # not encrypted
        ("http://evil.example/v1", {}, False),
        ("https://api.openai.com.evil.example/v1", {}, False),
        ("http://10.0.0.1:8000/v1", {"OPENAI_BASE_URL": "http://10.0.0.1:8000/v1"}, True),
        ("http://10.0.0.1:8000", {"OPENAI_BASE_URL": "http://10.0.0.1:8000/v1"}, True),
        ("http://10.0.0.1:8001/v1", {"OPENAI_BASE_URL": "http://10.0.0.1:8000/v1"}, False),
        ("https://api.openai.com/v1", {"OPENAI_BASE_URL": "http://10.0.0.1:8000/v1"}, False),
        ("http://LOCALHOST:9/v1", {"TRACER1_KEY_HOSTS": "a.example, localhost"}, True),
        ("http://localhost:9/v1", {"TRACER1_KEY_HOSTS": "localhost:8"}, False),
        ("http://localhost:9/v1", {"TRACER1_KEY_HOSTS": "localhost:9"}, True),
        ("http://[::1]:9/v1", {"TRACER1_KEY_HOSTS": "[::1]:9"}, True),
        ("https://a.example/v1", {"TRACER1_KEY_HOSTS": "a.example:443"}, True),
        ("http://a.example@evil.example/v1", {"TRACER1_KEY_HOSTS": "a.example"}, False),
        ("http://evil.example\\@a.example/v1", {"TRACER1_KEY_HOSTS": "a.example"}, False),
        ("file://localhost/etc/passwd", {"TRACER1_KEY_HOSTS": "localhost"}, False),
        ("http://localhost:99999/v1", {"TRACER1_KEY_HOSTS": "localhost"}, False),
        ("http://", {"TRACER1_KEY_HOSTS": ","}, False),
        ("", {}, False),
    ],
)
def test_the_key_goes_only_where_the_user_said(url: str, named: dict[str, str], sent: bool) -> None:
    assert key_for(url, KEY | named) == ("secret" if sent else None)
    assert key_for(url, named) is None


def test_the_environment_is_the_processs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "secret")
    monkeypatch.setenv("TRACER1_KEY_HOSTS", "a.example")
    assert key_for("http://a.example/v1") == "secret"
    assert key_for("http://b.example/v1") is None


def test_an_origin_is_scheme_host_and_port() -> None:
    assert same_origin("http://A.example/x", "http://a.example:80/y")
    assert not same_origin("http://a.example", "https://a.example")
    assert not same_origin("http://a.example", "http://a.example:81")
    assert not same_origin("nothing", "nothing")


def test_the_hint_names_the_host() -> None:
    assert key_hint("http://a.example:81/v1") == (
        "set OPENAI_API_KEY and TRACER1_KEY_HOSTS=a.example:81 in the environment"
    )
