"""`estate gateway vault …`: erase a person, change the key, back up and restore, report."""

from __future__ import annotations

import base64
import os
from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime
from pathlib import Path

import click
import msgspec

from estate.config import SettingsError
from gateway.assembly import ROSTER_FILE
from gateway.duplicates import Finding, NoSuchCaseError
from gateway.faces import VAULT_FILE, face_yardstick, open_vault, read_vault_key
from gateway.gallery_report import own_report
from gateway.matching.yardstick import NoCalibrationError
from gateway.roster_store import RosterStore
from gateway.sealing import KEY_BYTES, new_key
from gateway.settings import Settings, read_settings
from gateway.telling import CONFIG, told_plainly
from gateway.vault import ErasureUnfinishedError, Vault, VaultKeyError
from gateway.vault_backup import VaultExistsError, back_up, restore

_EXPECTED = (ErasureUnfinishedError, VaultKeyError, VaultExistsError, NoCalibrationError, NoSuchCaseError)


@click.group()
def vault() -> None:
    """人脸库  |  The vault of face templates."""


@vault.command()
@CONFIG
@click.option("--person", required=True, help="人员编号  |  the person's id")
@click.option("--estate", default=None, help="只在此小区  |  only in this estate")
@click.option("--reason", required=True, help="写入删除证明  |  stands on the certificate")
def erase(config: Path, person: str, estate: str | None, reason: str) -> None:
    """删除一个人的人脸，输出删除证明  |  Erase a person's face and print the certificate."""
    with _opened(config) as (_, opened):
        certificate = opened.erase(person, reason=reason, now=datetime.now(UTC), estate_id=estate)
        click.echo(msgspec.json.encode(certificate))


@vault.command()
@CONFIG
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
@CONFIG
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
@CONFIG
@click.option("--rows", required=True, type=click.Path(path_type=Path, exists=True, dir_okay=False))
@click.option("--keys", required=True, type=click.Path(path_type=Path, exists=True, dir_okay=False))
def restore_command(config: Path, rows: Path, keys: Path) -> None:
    """从备份恢复，仅限仍有有效同意的人  |  Restore from a backup, only people whose consent is live."""
    settings = read_settings(config)
    key = _vault_key(settings, config)
    with told_plainly(settings.state_folder, *_EXPECTED):
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
@CONFIG
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


@vault.command()
@CONFIG
def cases(config: Path) -> None:
    """一张脸登记在两人名下的案件，待核实的在前  |  One face under two names: cases, open ones first."""
    with _opened(config) as (_, opened):
        for case in opened.duplicates.all():
            state = f"{case.decision} ({case.settled_by}: {case.reason})" if case.decision else "open"
            found = case.found_at.astimezone().isoformat(" ", "minutes")
            click.echo(
                f"{case.case_id}\t{found}\t{case.estate_id}\t{case.person_id} = {case.resembles}?\t{state}"
            )


@vault.command()
@CONFIG
@click.argument("case_id")
@click.option(
    "--as",
    "decision",
    required=True,
    type=click.Choice(["different", "same"]),
    help="different：确是两人（如双胞胎），可登记；same：同一人，须先更正名册  |  "
    "different: two people indeed, such as twins, both may be enrolled; same: the register is wrong",
)
@click.option("--by", required=True, help="谁核实的  |  who looked at both")
@click.option("--reason", required=True, help="依据  |  how that was found")
def settle(config: Path, case_id: str, decision: Finding, by: str, reason: str) -> None:
    """核实一个案件  |  Write down what a human found about a case."""
    with _opened(config) as (_, opened):
        opened.duplicates.settle(case_id, decision, by, reason, datetime.now(UTC))
    click.echo("已记录  |  noted")


@contextmanager
def _opened(config: Path) -> Iterator[tuple[Settings, Vault]]:
    settings = read_settings(config)
    key = _vault_key(settings, config)
    with told_plainly(settings.state_folder, *_EXPECTED), closing(open_vault(settings, key)) as opened:
        yield settings, opened


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
