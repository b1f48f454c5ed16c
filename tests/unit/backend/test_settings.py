"""The configuration: the repository's own file starts, and what must not start does not."""

from __future__ import annotations

from pathlib import Path

import pytest

from backend.settings import CONFIG_VARIABLE, DEFAULT_PATH, BackendSettings, load, settings_path
from estate.config import SettingsError

FILE = Path("config/backend.toml")


def load_with(**changes: str) -> BackendSettings:
    return load(FILE, {f"ESTATE_BACKEND_{key}": value for key, value in changes.items()})


def test_the_repositorys_own_file_is_accepted_and_holds_no_secret() -> None:
    settings = load_with()
    assert settings.notice is not None
    assert settings.notice.version == 1
    assert "password=" not in FILE.read_text("utf-8")


def test_the_environment_overrides_the_file() -> None:
    assert load_with(SERVE_PORT="9000").serve.port == 9000
    assert load_with(PAYMENTS_CHECKOUT_ORIGINS='["http://x"]').payments.checkout_origins == ("http://x",)
    assert settings_path({CONFIG_VARIABLE: "/etc/estate.toml"}) == Path("/etc/estate.toml")
    assert settings_path({}) == DEFAULT_PATH


@pytest.mark.parametrize(
    "url",
    [
        "host=/run/postgresql dbname=x",
        "dbname=x",
        "host=127.0.0.1",
        "postgresql://u@localhost/x",
        "host=db.example sslmode=verify-full",
        "postgresql://u@db.example/x?sslmode=require",
    ],
)
def test_a_database_is_reached_on_this_machine_or_by_tls(url: str) -> None:
    assert load_with(DATABASE_URL=url).database.url == url


@pytest.mark.parametrize("section", ["DATABASE", "OWNER", "READER"])
@pytest.mark.parametrize(
    "url",
    [
        "host=db.example",
        "postgresql://u@10.0.0.1/x",
        "host=127.0.0.1,db.example",
        "host=d sslmode=prefer",
        "x=y=z",
    ],
)
def test_plain_text_to_a_database_elsewhere_is_refused(section: str, url: str) -> None:
    with pytest.raises(SettingsError) as refused:
        load_with(**{f"{section}_URL": url})
    assert refused.value.key == f"{section.lower()}.url"


@pytest.mark.parametrize(
    ("changes", "key"),
    [
        ({"SERVE_HOST": "192.0.2.1"}, "serve.host"),
        ({"SERVE_TLS_KEY": "k"}, "serve.tls_key"),
        ({"SERVE_PORT": "0"}, "serve.port"),
        ({"SERVE_PORT": "many"}, "serve.port"),
        ({"LOG_LEVEL": "loud"}, "log_level"),
        ({"LOGIN_ATTEMPTS_BY_LOGIN": "0"}, "login.attempts_by_login"),
        ({"SERVE_DOOR": "1"}, "ESTATE_BACKEND_SERVE_DOOR"),
    ],
)
def test_a_wrong_value_names_its_key(changes: dict[str, str], key: str) -> None:
    with pytest.raises(SettingsError) as refused:
        load_with(**changes)
    assert refused.value.key == key
