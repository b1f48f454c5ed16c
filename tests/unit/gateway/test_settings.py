"""A configuration that must not run is refused with its file, key and reason."""

from __future__ import annotations

from pathlib import Path

import pytest

from estate.config import SettingsError
from gateway.settings import backend_credential, broker_address, read_settings

SHIPPED = Path(__file__).resolve().parents[3] / "config/gateway.toml"
BACKEND = {
    "ESTATE_GATEWAY_BACKEND_URL": "https://city.example",
    "ESTATE_GATEWAY_BACKEND_CREDENTIAL_FILE": "credential",
    "ESTATE_GATEWAY_FACES_VAULT_KEY_FILE": "key",
}


def test_the_shipped_configuration_is_valid_and_holds_no_secret() -> None:
    settings = read_settings(SHIPPED, environment={})
    assert settings.gateway.estates == ["pengjiang-1"]
    assert settings.backend.url == ""
    assert (settings.rules.answer_wait_s, settings.rules.event_age_s_max) == (0.01, 10.0)
    address = broker_address(settings)
    assert (address.username, address.password, address.client_id) == (None, None, "gateway-pengjiang-1")


@pytest.mark.parametrize(
    ("environment", "key"),
    [
        ({"ESTATE_GATEWAY_BROKER_HOST": "10.0.0.2"}, "broker.tls_ca_file"),
        ({"ESTATE_GATEWAY_BROKER_PASSWORD_FILE": "secret"}, "broker.username"),
        ({"ESTATE_GATEWAY_BROKER_TOPIC_ROOT": "estate/#"}, "broker.topic_root"),
        ({"ESTATE_GATEWAY_BROKER_PORT": "0"}, "broker.port"),
        ({"ESTATE_GATEWAY_BROKER_PORTS": "1883"}, "ESTATE_GATEWAY_BROKER_PORTS"),
        ({"ESTATE_GATEWAY_GATEWAY_ESTATES": "[]"}, "gateway.estates"),
        ({"ESTATE_GATEWAY_GATEWAY_ESTATES": '["a", "a"]'}, "gateway.estates"),
        ({"ESTATE_GATEWAY_GATEWAY_ESTATES": '["+"]'}, "gateway.estates"),
        ({"ESTATE_GATEWAY_GATEWAY_ID": "A b"}, "gateway.id"),
        ({"ESTATE_GATEWAY_JOURNAL_HOURS": "0"}, "journal.hours"),
        ({"ESTATE_GATEWAY_JOURNAL_ANSWER_WAIT_MS": "soon"}, "journal.answer_wait_ms"),
        ({"ESTATE_GATEWAY_FACES_FPIR": "1.5"}, "faces.fpir"),
        ({**BACKEND, "ESTATE_GATEWAY_BACKEND_URL": "http://city.example"}, "backend.url"),
        ({**BACKEND, "ESTATE_GATEWAY_BACKEND_URL": "city.example"}, "backend.url"),
        ({**BACKEND, "ESTATE_GATEWAY_BACKEND_CREDENTIAL_FILE": ""}, "backend.credential_file"),
        ({**BACKEND, "ESTATE_GATEWAY_FACES_VAULT_KEY_FILE": ""}, "faces.vault_key_file"),
    ],
)
def test_a_wrong_value_is_named(environment: dict[str, str], key: str) -> None:
    with pytest.raises(SettingsError) as caught:
        read_settings(SHIPPED, environment=environment)
    assert caught.value.key == key


@pytest.mark.parametrize("url", ["http://127.0.0.1:8000", "http://localhost", "https://city.example"])
def test_plain_text_stays_on_this_machine(url: str) -> None:
    settings = read_settings(SHIPPED, environment={**BACKEND, "ESTATE_GATEWAY_BACKEND_URL": url})
    assert settings.backend.url == url


def test_a_gateway_can_be_told_to_serve_some_of_its_estates() -> None:
    environment = {"ESTATE_GATEWAY_GATEWAY_ESTATES": '["a", "b", "c"]'}
    assert read_settings(SHIPPED, ["b"], environment).gateway.estates == ["b"]
    for estates in (["d"], []):
        with pytest.raises(SettingsError) as caught:
            read_settings(SHIPPED, estates, environment)
        assert caught.value.key == "--estates"


def test_another_gateways_credential_is_refused(tmp_path: Path) -> None:
    credential = tmp_path / "credential"
    environment = {**BACKEND, "ESTATE_GATEWAY_BACKEND_CREDENTIAL_FILE": str(credential)}
    settings = read_settings(SHIPPED, environment=environment)
    credential.write_text("pengjiang-1.secret\n")
    assert backend_credential(settings) == "pengjiang-1.secret"
    for content in ("pengjiang-2.secret", "secret", ""):
        credential.write_text(content)
        with pytest.raises(SettingsError):
            backend_credential(settings)
