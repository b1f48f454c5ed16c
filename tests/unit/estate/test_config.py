from pathlib import Path

import msgspec
import pytest

from estate.config import SettingsError, convert, is_loopback, load_settings, read_secret


class Door(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    host: str = "127.0.0.1"
    port: int = 1883
    hosts: tuple[str, ...] = ()
    open_for_s: float = 3.0
    faces: bool = False
    proof_file: str | None = None


class Sample(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    name: str
    door: Door = Door()
    door_group: str = "gate"


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "sample.toml"


def load(file: Path, text: str, **environment: str) -> Sample:
    file.write_text(text, encoding="utf-8")
    return load_settings(Sample, file, "ESTATE_SAMPLE", environment)


def test_a_file_becomes_the_struct_with_defaults_for_what_it_leaves_out(file: Path) -> None:
    assert load(file, 'name = "蓬江"\n[door]\nport = 8883\n') == Sample("蓬江", Door(port=8883))


def test_the_environment_overrides_the_file_key_by_key(file: Path) -> None:
    settings = load(
        file,
        'name = "a"\n[door]\nport = 1\nfaces = false',
        ESTATE_SAMPLE_NAME="b",
        ESTATE_SAMPLE_DOOR_PORT="8883",
        ESTATE_SAMPLE_DOOR_HOSTS='["x", "y"]',
        ESTATE_SAMPLE_DOOR_FACES="true",
        ESTATE_SAMPLE_DOOR_OPEN_FOR_S="2.5",
    )
    assert settings == Sample("b", Door(port=8883, hosts=("x", "y"), faces=True, open_for_s=2.5))


def test_an_override_that_is_no_toml_is_taken_as_text(file: Path) -> None:
    assert load(file, 'name = "a"', ESTATE_SAMPLE_DOOR_HOST="broker.lan").door.host == "broker.lan"


def test_an_override_makes_a_section_that_the_file_does_not_have(file: Path) -> None:
    assert load(file, 'name = "a"', ESTATE_SAMPLE_DOOR_PROOF_FILE="/run/secrets/x").door.proof_file == (
        "/run/secrets/x"
    )


def test_a_text_that_looks_like_a_number_stays_a_text(file: Path) -> None:
    assert load(file, 'name = "a"', ESTATE_SAMPLE_NAME="2024").name == "2024"


def test_a_wrong_override_names_its_variable(file: Path) -> None:
    with pytest.raises(SettingsError) as caught:
        load(file, 'name = "a"', ESTATE_SAMPLE_DOOR_PORT="many")
    assert "ESTATE_SAMPLE_DOOR_PORT" in str(caught.value)


def test_a_key_that_begins_like_a_section_is_still_found(file: Path) -> None:
    assert load(file, 'name = "a"', ESTATE_SAMPLE_DOOR_GROUP="b").door_group == "b"


def test_other_programs_variables_are_left_alone(file: Path) -> None:
    assert load(file, 'name = "a"', ESTATE_SAMPLES="x", ESTATE_OTHER_NAME="y", PATH="/bin").name == "a"


@pytest.mark.parametrize(
    ("text", "environment", "key"),
    [
        ('name = "a"\nnmae = "b"', {}, "(top level)"),
        ('name = "a"\n[door]\nprot = 1', {}, "door"),
        ("", {}, "(top level)"),
        ("name = 1", {}, "name"),
        ('name = "a"\n[door]\nport = "1883"', {}, "door.port"),
        ('name = "a"\n[door]\nhosts = ["a", 2]', {}, "door.hosts[1]"),
        ('name = "a"', {"ESTATE_SAMPLE_DOOR_PORT": "many"}, "door.port"),
        ('name = "a"', {"ESTATE_SAMPLE_DOOR_PROT": "1"}, "ESTATE_SAMPLE_DOOR_PROT"),
        ('name = "a"', {"ESTATE_SAMPLE_": "1"}, "ESTATE_SAMPLE_"),
    ],
)
def test_a_wrong_key_or_value_names_itself(
    file: Path, text: str, environment: dict[str, str], key: str
) -> None:
    with pytest.raises(SettingsError) as caught:
        load(file, text, **environment)
    assert caught.value.key == key
    assert caught.value.reason
    assert key in str(caught.value)


def test_a_wrong_value_names_the_file(file: Path) -> None:
    with pytest.raises(SettingsError, match=r"sample\.toml"):
        load(file, "name = 1")


@pytest.mark.parametrize("content", [b"name = ", b"\xff\xfe", None])
def test_a_missing_or_unreadable_file_is_one_sentence(file: Path, content: bytes | None) -> None:
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(SettingsError) as caught:
        load_settings(Sample, file, "ESTATE_SAMPLE", {})
    assert caught.value.source == str(file)
    assert "\n" not in str(caught.value)


def test_a_folder_in_the_place_of_the_file_is_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(SettingsError):
        load_settings(Sample, tmp_path, "ESTATE_SAMPLE", {})


def test_converting_names_the_source_it_was_given() -> None:
    with pytest.raises(SettingsError, match="import"):
        convert(Sample, {"name": None}, "import")


@pytest.mark.parametrize(
    ("host", "loopback"),
    [
        ("127.0.0.1", True),
        ("127.8.8.8", True),
        ("::1", True),
        ("localhost", True),
        ("0.0.0.0", False),  # noqa: S104
        ("::", False),
        ("192.168.1.2", False),
        ("broker.lan", False),
        ("localhost.evil.example", False),
        ("", False),
    ],
)
def test_only_what_never_leaves_the_machine_is_loopback(host: str, loopback: bool) -> None:
    assert is_loopback(host) is loopback


def test_a_secret_is_the_one_line_of_its_file(tmp_path: Path) -> None:
    (tmp_path / "key").write_text("a secret\n", encoding="utf-8")
    assert read_secret(tmp_path / "key", "key_file") == "a secret"


@pytest.mark.parametrize("content", [None, "", " \n"])
def test_a_missing_or_empty_secret_names_its_key_and_file(tmp_path: Path, content: str | None) -> None:
    if content is not None:
        (tmp_path / "key").write_text(content, encoding="utf-8")
    with pytest.raises(SettingsError) as caught:
        read_secret(tmp_path / "key", "door.key_file")
    assert caught.value.key == "door.key_file"
    assert caught.value.source == str(tmp_path / "key")
