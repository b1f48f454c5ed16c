"""What the backend's commands share: settings, a connection, and errors as one sentence."""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click
from psycopg import OperationalError as ConnectError
from sqlalchemy import Connection, Engine
from sqlalchemy.exc import OperationalError, ProgrammingError

from backend import settings as configuration
from backend.db.engine import make_engine
from backend.errors import ExplainedError
from backend.identity.audit import audit_refusal
from backend.identity.errors import RefusedError
from backend.settings import BackendSettings
from estate.config import SettingsError

SYSTEM = "system:command"  # the actor of commands that nobody logged in for


class Explained(click.ClickException):
    """A failure as its one sentence on standard error."""

    def show(self, file: Any = None) -> None:
        """Print the sentence and nothing around it."""
        click.echo(self.message, err=file is None, file=file)


class WrongArguments(Explained):
    """The same, with the exit status of wrong usage."""

    exit_code = 2


class OneSentenceGroup(click.Group):
    """A group whose wrong arguments and expected errors come out as one sentence."""

    def invoke(self, ctx: click.Context) -> Any:
        """Run the sub-command; what people can do something about becomes a sentence."""
        try:
            return super().invoke(ctx)
        except click.exceptions.NoArgsIsHelpError:
            raise
        except click.UsageError as error:
            said = " ".join(error.format_message().split())
            path = error.ctx.command_path if error.ctx is not None else ctx.command_path
            raise WrongArguments(
                f"命令参数有误，用法见 {path} --help  |  Wrong arguments, see {path} --help: {said}"
            ) from error
        except ExplainedError as error:
            raise Explained(str(error)) from error
        except (ConnectError, OperationalError) as error:
            raise Explained(_database_sentence(error)) from error
        except OSError as error:
            if error.filename is None:
                raise
            raise Explained(
                f"文件 {error.filename} 无法读写：{error.strerror}；请换个位置或检查权限  |  "
                f"{error.filename} cannot be read or written ({error.strerror}): take another place"
            ) from error
        except ProgrammingError as error:
            if getattr(error.orig, "sqlstate", None) != "42P01":
                raise
            raise Explained(
                "数据库还没有建表，请先运行 estate backend migrate  |  "
                "The database has no tables yet: run `estate backend migrate` first"
            ) from error


class Tool:
    """The settings file of a command, read on first use."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._settings: BackendSettings | None = None

    @property
    def settings(self) -> BackendSettings:
        """The configuration.

        Raises:
            SettingsError: a wrong key or value.
        """
        if self._settings is None:
            self._settings = configuration.load(self.path)
        return self._settings

    @contextmanager
    def engine(self) -> Iterator[Engine]:
        """The application's engine for the length of the command."""
        engine = make_engine(self.settings.database)
        try:
            yield engine
        finally:
            engine.dispose()

    @contextmanager
    def transaction(self) -> Iterator[Connection]:
        """One transaction; a refusal is audited after it was rolled back."""
        with self.engine() as engine:
            try:
                with engine.begin() as connection:
                    yield connection
            except RefusedError as error:
                audit_refusal(engine, error, datetime.now(UTC))
                raise


pass_tool = click.make_pass_decorator(Tool)


def ensure_secret(path: Path, secret: str | None = None) -> bool:
    """Write a new secret into a file for us alone; an existing file is left as it is. Whether it is new.

    Raises:
        SettingsError: it cannot be written there.
    """
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        return False
    except OSError as error:
        raise SettingsError(
            str(path), "(file)", f"密钥文件写不了 (the secret cannot be written): {error.strerror}"
        ) from error
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write((secret if secret is not None else secrets.token_urlsafe(32)) + "\n")
    return True


def _database_sentence(error: Exception) -> str:
    said = str(getattr(error, "orig", None) or error).strip().partition("\n")[0]
    return (
        "连不上数据库，请检查它是否在运行、配置中的 url 和密码文件是否正确  |  "
        f"The database cannot be reached; check that it runs, its url and password file: {said}"
    )
