"""`estate gateway vault …`: erase a person, change the key, back up and restore, report."""

from __future__ import annotations

import base64
import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime
from pathlib import Path

import click
import msgspec

from estate.config import SettingsError
from estate.processes import StartFailedError
from gateway.assembly import ROSTER_FILE
from gateway.faces import VAULT_FILE, face_yardstick, open_vault, read_vault_key
from gateway.gallery_report import own_report
from gateway.matching.yardstick import NoCalibrationError
from gateway.roster_store import RosterStore
from gateway.sealing import KEY_BYTES, new_key
from gateway.settings import Settings, read_settings
from gateway.vault import ErasureUnfinishedError, Vault, VaultKeyError
from gateway.vault_backup import VaultExistsError, back_up, restore

_CONFIG = click.option(
    "--config",
    type=click.Path(path_type=Path, dir_okay=False),
    default=Path("config/gateway.toml"),
    show_default=True,
    help="配置文件  |  the configuration",
)
_EXPECTED = (ErasureUnfinishedError, VaultKeyError, VaultExistsError, NoCalibrationError)


@click.group()
def vault() -> None:
    """人脸库  |  The vault of face templates."""


@vault.command()
@_CONFIG
@click.option("--person", required=True, help="人员编号  |  the person's id")
@click.option("--estate", default=None, help="只在此小区  |  only in this estate")
@click.option("--reason", required=True, help="写入删除证明  |  stands on the certificate")
def erase(config: Path, person: str, estate: str | None, reason: str) -> None:
    """删除一个人的人脸，输出删除证明  |  Erase a person's face and print the certificate."""
    with _opened(config) as (_, opened):
        certificate = opened.erase(person, reason=reason, now=datetime.now(UTC), estate_id=estate)
        click.echo(msgspec.json.encode(certificate))


@vault.command()
@_CONFIG
@click.option(
    "--new-key-file",
    required=True,
    type=click.Path(path_type=Path, dir_okay=False),
    help="新密钥文件，不存在则生成  |  the new key's file; made if it is not there",
)
def rotate(config: Path, new_key_file: Path) -> None:
    """换密钥  |  Change the vault's key."""
    with _opened(config) as (_, opened):
        left = opened.rotate(_key_in(new_key_file))
    click.echo(
        f"已换密钥。把 faces.vault_key_file 改为 {new_key_file} 并重启网关，再销毁旧密钥  |  "
        f"The key is changed. Set faces.vault_key_file to {new_key_file}, restart the gateway, "
        "then destroy the old key"
    )
    if left:
        click.echo(f"{left} 行无法打开，未改动  |  {left} rows did not open and were left as they are")


@vault.command("back-up")
@_CONFIG
@click.option(
    "--folder",
    required=True,
    type=click.Path(path_type=Path, file_okay=False, exists=True),
    help="目标文件夹  |  where the two files go",
)
def back_up_command(config: Path, folder: Path) -> None:
    """备份为两个文件，请分开保管  |  Back up into two files, to be kept apart."""
    with _opened(config) as (settings, _):
        rows, keys = back_up(settings.state_folder / VAULT_FILE, folder)
    click.echo(
        f"{rows}（模板）与 {keys}（数据密钥）请分开保管，后者只留最新一份  |  "
        f"keep {rows} (templates) and {keys} (data keys) apart, and of the latter only the newest"
    )


@vault.command("restore")
@_CONFIG
@click.option("--rows", required=True, type=click.Path(path_type=Path, exists=True, dir_okay=False))
@click.option("--keys", required=True, type=click.Path(path_type=Path, exists=True, dir_okay=False))
def restore_command(config: Path, rows: Path, keys: Path) -> None:
    """从备份恢复，仅限仍有有效同意的人  |  Restore from a backup, only people whose consent is live."""
    settings = read_settings(config)
    key = _vault_key(settings, config)
    with _told_plainly(settings):
        with closing(RosterStore(settings.state_folder / ROSTER_FILE)) as store:
            people = [
                (estate, person)
                for estate in settings.gateway.estates
                for person in store.load(estate).people.values()
            ]
        live = {(estate, person.person_id) for estate, person in people if person.face_consent}
        photographed = {(estate, person.person_id) for estate, person in people if person.panel_consent}
        made = restore(settings.state_folder / VAULT_FILE, key, rows, keys, live, photographed)
    click.echo(
        f"恢复 {len(made.kept)} 人；无有效同意未恢复 {len(made.dropped)} 人；"
        f"已删除或损坏 {len(made.unreadable)} 人  |  "
        f"{len(made.kept)} people restored; {len(made.dropped)} left out without a live consent; "
        f"{len(made.unreadable)} erased since, or damaged"
    )


@vault.command()
@_CONFIG
@click.option("--estate", required=True, help="小区  |  the estate")
def report(config: Path, estate: str) -> None:
    """人脸库识别报告，不含姓名  |  How well this estate's own people are recognised, without names."""
    with _opened(config) as (settings, opened):
        with closing(RosterStore(settings.state_folder / ROSTER_FILE)) as store:
            fpir = store.load(estate).fpir
        yardstick = face_yardstick(settings)
        people = opened.templates(estate)
        for line in own_report(people, fpir if fpir is not None else settings.faces.fpir, yardstick):
            click.echo(line)


@contextmanager
def _opened(config: Path) -> Iterator[tuple[Settings, Vault]]:
    settings = read_settings(config)
    key = _vault_key(settings, config)
    with _told_plainly(settings), closing(open_vault(settings, key)) as opened:
        yield settings, opened


@contextmanager
def _told_plainly(settings: Settings) -> Iterator[None]:
    try:
        yield
    except _EXPECTED as error:
        raise StartFailedError(str(error)) from error
    except (sqlite3.Error, OSError) as error:
        place = getattr(error, "filename", None) or settings.state_folder
        raise StartFailedError(
            f"{place} 无法读写（{error}）；请检查磁盘空间和权限  |  "
            f"{place} cannot be read or written ({error}): check the disk's space and rights"
        ) from error


def _vault_key(settings: Settings, config: Path) -> bytes:
    key = read_vault_key(settings)
    if key is None:
        raise SettingsError(str(config), "faces.vault_key_file", "没有人脸库密钥 (there is no vault key)")
    return key


def _key_in(path: Path) -> bytes:
    """The key in a file; a new one, on disk before it is used, if the file is not there."""
    try:
        descriptor = os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600)
    except FileExistsError:
        key = base64.b64decode(path.read_text("ascii").strip())
        if len(key) != KEY_BYTES:
            reason = "应为 base64 编码的 32 字节 (expected 32 bytes in base64)"
            raise SettingsError(str(path), "--new-key-file", reason) from None
        return key
    with os.fdopen(descriptor, "wb") as file:
        key = new_key()
        file.write(base64.b64encode(key) + b"\n")
        file.flush()
        os.fsync(file.fileno())
    return key
