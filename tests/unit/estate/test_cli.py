import subprocess
import sys

import click
import pytest
from click.testing import CliRunner

from estate import cli
from estate.config import SettingsError
from estate.processes import StartFailedError


@click.command()
def sample() -> None:
    """A stand-in for a part's commands."""
    click.echo("ran")


def run(monkeypatch: pytest.MonkeyPatch, arguments: list[str]) -> int:
    monkeypatch.setattr(sys, "argv", ["estate", *arguments])
    with pytest.raises(SystemExit) as ended:
        cli.main()
    return ended.value.code if isinstance(ended.value.code, int) else -1


@pytest.fixture
def groups(monkeypatch: pytest.MonkeyPatch) -> dict[str, tuple[str, str]]:
    found = {"sample": (f"{__name__}:sample", "样例  |  a sample")}
    monkeypatch.setattr(cli, "GROUPS", found)
    return found


def test_help_lists_every_part_in_both_languages() -> None:
    shown = CliRunner().invoke(cli.estate, ["--help"])
    assert shown.exit_code == 0
    for name, (_, words) in cli.GROUPS.items():
        assert name in shown.output
        assert words.partition(" ")[0] in shown.output


def test_help_imports_no_part() -> None:
    code = (
        "import sys; from click.testing import CliRunner; from estate import cli;"
        "CliRunner().invoke(cli.estate, ['--help']);"
        "print([m for m in sys.modules if m.split('.')[0] in {'backend', 'gateway', 'simulators'}])"
    )
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert said.stdout.strip() == "[]"


def test_a_named_part_is_imported_and_run(groups: dict[str, tuple[str, str]]) -> None:
    assert CliRunner().invoke(cli.estate, ["sample"]).output == "ran\n"


def test_an_unknown_part_is_a_usage_error() -> None:
    assert CliRunner().invoke(cli.estate, ["nothing"]).exit_code == 2


def test_what_is_not_a_command_is_a_programming_error(groups: dict[str, tuple[str, str]]) -> None:
    groups["sample"] = ("estate.config:load_settings", "")
    assert isinstance(CliRunner().invoke(cli.estate, ["sample"]).exception, TypeError)


@pytest.mark.parametrize(
    "error",
    [SettingsError("a.toml", "door.port", "错"), StartFailedError("端口被占用  |  the port is taken")],
)
def test_an_expected_failure_is_one_sentence_and_status_1(
    error: Exception,
    groups: dict[str, tuple[str, str]],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def fail() -> None:
        raise error

    monkeypatch.setattr(sample, "callback", fail)
    assert run(monkeypatch, ["sample"]) == 1
    shown = capsys.readouterr()
    assert shown.err == f"{error}\n"
    assert shown.out == ""


def test_an_unexpected_failure_keeps_its_trace(
    groups: dict[str, tuple[str, str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail() -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(sample, "callback", fail)
    monkeypatch.setattr(sys, "argv", ["estate", "sample"])
    with pytest.raises(ZeroDivisionError):
        cli.main()


def test_the_version_is_the_packages() -> None:
    assert "0." in CliRunner().invoke(cli.estate, ["--version"]).output
