from pathlib import Path

import pytest

from estate.config import SettingsError
from simulators.doors.fleet import read_fleet_file


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ("{", "truncated"),
        ('{"devices": []}', "broker"),
        ('{"broker": {"host": "127.0.0.1", "port": "x"}, "devices": []}', "int"),
        ('{"broker": {"host": "127.0.0.1", "port": 1, "pot": 2}, "devices": []}', "pot"),
    ],
)
def test_a_wrong_fleet_file_is_named_with_its_reason(tmp_path: Path, content: str, reason: str) -> None:
    path = tmp_path / "doors.json"
    path.write_text(content)
    with pytest.raises(SettingsError, match=reason) as caught:
        read_fleet_file(path)
    assert str(path) in str(caught.value)


def test_a_missing_fleet_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"none\.json"):
        read_fleet_file(tmp_path / "none.json")
