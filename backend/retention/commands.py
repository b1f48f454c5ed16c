"""`estate backend retention …`, `erasures`, `audit`, `filing`, `person-file`, `notice`, `basis`."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from uuid import UUID

import click

from backend.access.erasures import erasure_states
from backend.cli import SYSTEM, Tool, pass_tool
from backend.identity.accounts import principal_by_login
from backend.identity.audit_chain import verify_chain
from backend.identity.principal import ALL
from backend.registry.certificates import register_vault_key
from backend.registry.consents import publish_notice
from backend.registry.facts import PURPOSES
from backend.registry.keys import MasterKey
from backend.retention.bases import record_basis
from backend.retention.evidence import LOOK_PURPOSES
from backend.retention.holds import live_holds, place_hold, release_hold
from backend.retention.obligations import count_faces, filing_pack
from backend.retention.person_file import person_file
from backend.retention.purge import Cut, last_run
from backend.retention.purge import purge as run_purge
from backend.settings import NoticeSettings
from estate.config import convert, read_toml

NEW_FILE = click.Path(dir_okay=False, path_type=Path)
OLD_FILE = click.Path(exists=True, dir_okay=False, path_type=Path)
AS = click.option("--as", "login", required=True, help="以谁的名义  |  in whose name")


@click.group()
def audit() -> None:
    """审计日志  |  the audit log."""


@audit.command("verify")
@click.option("--head", help="先前记下的链尾  |  a head that was noted earlier")
@pass_tool
def audit_verify(tool: Tool, head: str | None) -> None:
    """重新计算哈希链  |  compute the chain again; prints its length and head, to be kept elsewhere."""
    with tool.transaction() as connection:
        done = verify_chain(connection, head)
    click.echo(f"{done.links}\t{done.head}")


@click.group()
def retention() -> None:
    """保存期限、法律保留  |  clocks and legal holds."""


@retention.command("run")
@pass_tool
def retention_run(tool: Tool) -> None:
    """立即清理到期数据  |  let go of what is due, and print how much by class."""
    with tool.transaction() as connection:
        _tell(run_purge(connection, tool.settings.retention, datetime.now(UTC)))


@retention.command("report")
@pass_tool
def retention_report(tool: Tool) -> None:
    """最近一次清理的报告  |  the newest report."""
    with tool.transaction() as connection:
        _tell(last_run(connection))


@retention.command("hold")
@click.argument("person_id", type=click.UUID)
@click.option("--reason", required=True, help="案号，不写姓名  |  the case, never a name")
@AS
@pass_tool
def hold(tool: Tool, person_id: UUID, reason: str, login: str) -> None:
    """法律保留：暂停清理此人的数据  |  keep a person's data whatever the clocks say; prints its id."""
    now = datetime.now(UTC)
    with tool.transaction() as connection:
        actor = principal_by_login(connection, login, now).actor
        click.echo(str(place_hold(connection, person_id, reason, actor=actor, now=now)))


@retention.command("release")
@click.argument("hold_id", type=click.UUID)
@AS
@pass_tool
def release(tool: Tool, hold_id: UUID, login: str) -> None:
    """解除法律保留  |  end a hold."""
    now = datetime.now(UTC)
    with tool.transaction() as connection:
        actor = principal_by_login(connection, login, now).actor
        release_hold(connection, hold_id, actor=actor, now=now)
    click.echo("已解除  |  released", err=True)


@retention.command("holds")
@pass_tool
def holds(tool: Tool) -> None:
    """列出法律保留  |  list live holds."""
    with tool.transaction() as connection:
        for one in live_holds(connection):
            click.echo(f"{one.hold_id}\t{one.person_id}\t{one.placed_at:%Y-%m-%d}\t{one.reason}")


@click.command("erasures")
@click.option("--open", "open_only", is_flag=True, help="只列未完成的  |  only those not complete yet")
@pass_tool
def erasures(tool: Tool, open_only: bool) -> None:
    """人脸删除指令、证明和未确认的面板  |  orders to erase faces, and what each waits for."""
    with tool.transaction() as connection:
        for one in erasure_states(connection, ALL):
            if open_only and one.is_complete:
                continue
            order = one.order
            erased = f"{order.erased_at:%Y-%m-%dT%H:%M:%SZ}" if order.erased_at else "open"
            waits = ",".join(one.waits_for) or ("complete" if one.is_complete else "vault")
            click.echo(
                f"{order.estate_id}\t{order.person_id}\t{order.scope}\t{order.reason}\t"
                f"{order.ordered_at:%Y-%m-%dT%H:%M:%SZ}\t{erased}\t{order.certificate_id or '-'}\t{waits}"
            )


@click.command("vault-key")
@click.argument("gateway_id")
@click.argument("vault_id")
@click.argument("public_key")
@pass_tool
def vault_key(tool: Tool, gateway_id: str, vault_id: str, public_key: str) -> None:
    """登记网关人脸库的新公钥（十六进制）  |  register another key of a gateway's vault, in hex."""
    try:
        key = bytes.fromhex(public_key)
    except ValueError:
        key = b""
    if len(key) != 32:
        raise click.UsageError("公钥须为 32 字节的十六进制 (32 bytes in hex are needed)")
    with tool.transaction() as connection:
        register_vault_key(connection, gateway_id, key, vault_id, actor=SYSTEM, now=datetime.now(UTC))
    click.echo("已登记  |  registered", err=True)


@click.group()
def filing() -> None:
    """人脸人数与备案  |  how many people use their faces, and filing."""


@filing.command("count")
@pass_tool
def filing_count(tool: Tool) -> None:
    """统计人数；八万预警，十万须备案  |  count; warns at 80,000, filing is due after 100,000."""
    with tool.transaction() as connection:
        stands = count_faces(connection, datetime.now(UTC))
    click.echo(f"{stands.persons}\t{stands.state}\t{stands.due_on or '-'}")


@filing.command("pack")
@click.argument("file", type=NEW_FILE)
@AS
@pass_tool
def filing_pack_command(tool: Tool, file: Path, login: str) -> None:
    """生成备案材料（zip，不含任何个人）  |  write the filing pack, without any person."""
    now = datetime.now(UTC)
    with tool.transaction() as connection:
        actor = principal_by_login(connection, login, now).actor
        file.write_bytes(filing_pack(connection, tool.settings.retention, actor, now))
    click.echo(f"已写入 {file}  |  written to {file}", err=True)


@click.command("person-file")
@click.argument("person_id", type=click.UUID)
@click.argument("file", type=NEW_FILE)
@click.option("--purpose", required=True, type=click.Choice(LOOK_PURPOSES), help="用途  |  what for")
@AS
@pass_tool
def person_file_command(tool: Tool, person_id: UUID, file: Path, purpose: str, login: str) -> None:
    """导出本系统保存的某人全部信息（zip）  |  write everything that is held of a person."""
    master_key, now = MasterKey.from_file(tool.settings.secrets.master_key_file), datetime.now(UTC)
    with tool.transaction() as connection:
        actor = principal_by_login(connection, login, now)
        fonts = Path(tool.settings.documents.font_folder)
        held = person_file(
            connection, master_key, person_id, actor=actor, now=now, purpose=purpose, font_folder=fonts
        )
        file.write_bytes(held)
    click.echo(f"已写入 {file}  |  written to {file}", err=True)


@click.command("notice")
@click.argument("purpose", type=click.Choice(PURPOSES))
@click.argument("file", type=OLD_FILE)
@AS
@pass_tool
def notice(tool: Tool, purpose: str, file: Path, login: str) -> None:
    """发布告知书新版本（TOML），旧同意随即失效  |  publish a notice; everybody is asked again."""
    text, now = convert(NoticeSettings, read_toml(file), str(file)), datetime.now(UTC)
    with tool.transaction() as connection:
        actor = principal_by_login(connection, login, now).actor
        new = publish_notice(connection, purpose, text, actor=actor, now=now)
    click.echo("已发布  |  published" if new else "内容未变  |  unchanged", err=True)


@click.command("basis")
@click.argument("estate_id")
@click.argument("purpose", type=click.Choice(PURPOSES))
@click.option("--basis", required=True, help="法规条文和文件号  |  the rule and its paper")
@click.option("--from", "from_on", type=click.DateTime(["%Y-%m-%d"]), required=True)
@click.option("--to", "to_on", type=click.DateTime(["%Y-%m-%d"]))
@AS
@pass_tool
def basis(
    tool: Tool,
    estate_id: str,
    purpose: str,
    basis: str,
    from_on: datetime,
    to_on: datetime | None,
    login: str,
) -> None:
    """登记第二用途的法定依据  |  record why a second purpose may read door data; prints its id."""
    now = datetime.now(UTC)
    with tool.transaction() as connection:
        actor = principal_by_login(connection, login, now)
        days = from_on.date(), to_on.date() if to_on else None
        click.echo(str(record_basis(connection, estate_id, purpose, basis, *days, actor=actor, now=now)))


def _tell(cuts: list[Cut]) -> None:
    for one in cuts:
        click.echo(f"{one.name}\t{one.cutoff:%Y-%m-%d}\tpurged={one.purged}\theld={one.held}")


COMMANDS = (audit, retention, erasures, vault_key, filing, person_file_command, notice, basis)
