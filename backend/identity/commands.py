"""`estate backend principal …` and `gateway …`: who may log in, and which gateways may call."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import cast, get_args

import click
from sqlalchemy import Connection

from backend.cli import SYSTEM, Tool, pass_tool
from backend.identity import accounts, gateways
from backend.identity.errors import UnknownPrincipalError
from backend.identity.principal import Principal, Role
from estate.config import read_secret

ROLE = click.Choice(get_args(Role))


@click.group()
def principal() -> None:
    """登录账号  |  people who log in."""


@principal.command("add")
@click.argument("login")
@click.option("--role", type=ROLE, required=True)
@click.option("--estate", "estates", multiple=True, help="可多次；不给即全部  |  repeat it; none means all")
@click.option("--name", help="显示的名字  |  the name that is shown")
@click.option("--password-file", type=click.Path(path_type=Path), help="一行  |  one line")
@pass_tool
def principal_add(
    tool: Tool, login: str, role: str, estates: tuple[str, ...], name: str | None, password_file: Path | None
) -> None:
    """建立账号；已有的账号补上角色和密码  |  make a login, or complete one with role and password."""
    now = datetime.now(UTC)
    password = read_secret(password_file, "--password-file") if password_file is not None else None
    with tool.transaction() as connection:
        held = _ensure_login(connection, login, name or login, password, now)
        for estate_id in estates or (None,):
            if not _holds(held, cast(Role, role), estate_id):
                accounts.grant_role(
                    connection, held.principal_id, cast(Role, role), estate_id, actor=SYSTEM, now=now
                )
    click.echo(f"{login}: {role}", err=True)


@principal.command("list")
@pass_tool
def principal_list(tool: Tool) -> None:
    """列出账号和角色  |  list logins and their roles."""
    with tool.transaction() as connection:
        for one in accounts.principals(connection, datetime.now(UTC)):
            roles = " ".join(f"{grant.role}@{grant.estate_id or '*'}" for grant in one.grants)
            click.echo(f"{one.login}\t{one.principal_id}\t{roles}")


@click.group()
def gateway() -> None:
    """小区网关的凭据  |  credentials of estate gateways."""


@gateway.command("add")
@click.argument("gateway_id")
@click.option("--estate", "estates", multiple=True, required=True, help="可多次  |  repeat it")
@pass_tool
def gateway_add(tool: Tool, gateway_id: str, estates: tuple[str, ...]) -> None:
    """登记网关，凭据只显示这一次  |  register a gateway; prints its credential, once."""
    with tool.transaction() as connection:
        credential = gateways.add_gateway(
            connection, gateway_id, estates, actor=SYSTEM, now=datetime.now(UTC)
        )
    click.echo(credential)


@gateway.command("rotate")
@click.argument("gateway_id")
@click.option(
    "--old-hours", type=click.IntRange(0, 24 * 90), default=24, show_default=True,
    help="旧凭据还能用多久  |  how long the old ones live on",
)  # fmt: skip
@pass_tool
def gateway_rotate(tool: Tool, gateway_id: str, old_hours: int) -> None:
    """换新凭据，旧的过后失效  |  print a new credential; the old ones expire."""
    now = datetime.now(UTC)
    with tool.transaction() as connection:
        credential = gateways.rotate_credential(
            connection, gateway_id, actor=SYSTEM, now=now, old_expire_at=now + timedelta(hours=old_hours)
        )
    click.echo(credential)


@gateway.command("revoke")
@click.argument("gateway_id")
@click.option("--credentials", is_flag=True, help="只作废凭据，网关可再领新的  |  only its credentials")
@pass_tool
def gateway_revoke(tool: Tool, gateway_id: str, credentials: bool) -> None:
    """立即停用网关  |  end a gateway at once."""
    end = gateways.revoke_credentials if credentials else gateways.revoke_gateway
    with tool.transaction() as connection:
        end(connection, gateway_id, actor=SYSTEM, now=datetime.now(UTC))
    click.echo(f"{gateway_id} 已停用  |  {gateway_id} is revoked", err=True)


def _ensure_login(
    connection: Connection, login: str, name: str, password: str | None, now: datetime
) -> Principal:
    try:
        held = accounts.principal_by_login(connection, login, now)
    except UnknownPrincipalError:
        accounts.add_principal(connection, login, name, password, actor=SYSTEM, now=now)
        return accounts.principal_by_login(connection, login, now)
    if password is not None:
        accounts.set_password(connection, held.principal_id, password, actor=SYSTEM, now=now)
    return held


def _holds(held: Principal, role: Role, estate_id: str | None) -> bool:
    """Whether it is granted already; "all estates" is not added to a role that is held for some."""
    return held.holds(role) if estate_id is None else held.may(role, estate_id)
