import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[3] / "tools" / "debian.sh"
NEEDED = (
    "mosquitto",
    "mosquitto-clients",
    "chromium",
    "fonts-noto-cjk",
    "docker-compose",
    "strace",
    "hledger",
)
Run = Callable[..., subprocess.CompletedProcess[str]]


def program(folder: Path, name: str, text: str) -> None:
    (folder / name).write_text(f"#!/bin/sh\n{text}\n")
    (folder / name).chmod(0o755)


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """Runs the script where the named packages are installed, for a user who may or may not install."""
    programs = tmp_path / "bin"
    programs.mkdir()
    for name in ("sh", "env", "printf", "rm", "chmod", "tee", "true", "grep"):
        found = shutil.which(name)
        assert found is not None
        (programs / name).symlink_to(found)

    def start(
        installed: tuple[str, ...], *, user: int = 0, sudo: str | None = None, apt: str = "true"
    ) -> subprocess.CompletedProcess[str]:
        (tmp_path / "log").touch()
        state = tmp_path / "installed"
        state.write_text("\n".join(installed) + "\n")
        program(programs, "dpkg-query", f'grep -qx "$4" {state} && printf installed')
        program(programs, "id", f"echo {user}")
        program(programs, "apt-get", f'echo "apt-get $*" >>{tmp_path}/log; {apt}')
        program(programs, "update-rc.d", f'echo "update-rc.d $*" >>{tmp_path}/log')
        if sudo is not None:
            program(programs, "sudo", sudo)
        return subprocess.run(
            ["sh", SCRIPT],
            env={"PATH": str(programs), "POLICY_RC_D": str(tmp_path / "policy")},
            capture_output=True,
            text=True,
            check=False,
        )

    return start


def calls(tmp_path: Path) -> list[str]:
    return (tmp_path / "log").read_text().splitlines()


def test_where_all_is_there_it_does_nothing_and_says_nothing(run: Run, tmp_path: Path) -> None:
    ended = run(NEEDED)
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, "", "")
    assert calls(tmp_path) == []


def test_it_installs_only_what_is_missing_and_says_so(run: Run, tmp_path: Path) -> None:
    ended = run(NEEDED[:-2])
    assert ended.returncode == 0, ended.stderr
    assert "strace hledger" in ended.stdout
    assert "mosquitto" not in ended.stdout
    update, install = calls(tmp_path)
    assert update.endswith(" update")
    assert install.endswith(" install --yes --no-install-recommends strace hledger")


def test_mosquittos_service_is_neither_started_nor_enabled(run: Run, tmp_path: Path) -> None:
    policy = tmp_path / "policy"
    ended = run(NEEDED[1:], apt=f"sh {policy}; echo service start: $? >>{tmp_path}/log")
    assert ended.returncode == 0, ended.stderr
    assert "service start: 101" in calls(tmp_path)
    assert calls(tmp_path)[-1] == "update-rc.d mosquitto disable"
    assert not policy.exists()


def test_a_machines_own_policy_stays(run: Run, tmp_path: Path) -> None:
    (tmp_path / "policy").write_text("#!/bin/sh\nexit 0\n")
    assert run(NEEDED[1:]).returncode == 0
    assert (tmp_path / "policy").read_text() == "#!/bin/sh\nexit 0\n"


def test_a_user_with_sudo_without_a_password_may_install(run: Run, tmp_path: Path) -> None:
    ended = run(NEEDED[:-1], user=1000, sudo='[ "$1" = -n ] && shift && exec "$@"')
    assert ended.returncode == 0, ended.stderr
    assert calls(tmp_path)[-1].endswith("hledger")


@pytest.mark.parametrize("sudo", [None, "echo 'a password is required' >&2; exit 1"])
def test_a_user_who_may_not_is_told_what_to_ask_for(run: Run, tmp_path: Path, sudo: str | None) -> None:
    ended = run(NEEDED[:-2], user=1000, sudo=sudo)
    assert ended.returncode == 1
    assert "apt-get install --no-install-recommends strace hledger" in ended.stderr
    assert len(ended.stderr.splitlines()) == 1
    assert calls(tmp_path) == []


def test_a_failed_installation_fails_and_takes_its_policy_away(run: Run, tmp_path: Path) -> None:
    ended = run(NEEDED[1:], apt="echo 'E: no network' >&2; exit 100")
    assert ended.returncode == 1
    assert "E: no network" in ended.stderr
    assert not (tmp_path / "policy").exists()
