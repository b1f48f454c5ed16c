"""Reads one TOML file into a frozen settings struct, with overrides from the environment.

A wrong key or value stops the start and names the file, the key and the reason. Environment overrides
are `<PREFIX>_<SECTION>_<KEY>` in capitals, so `ESTATE_BACKEND_DATABASE_URL` overrides `url` under
`[database]` of `config/backend.toml`; their values are read as TOML where that works, else as text.
"""

from __future__ import annotations

import ipaddress
import os
import tomllib
from collections.abc import Mapping
from pathlib import Path
from types import UnionType
from typing import Annotated, Any, TypeVar, Union, get_args, get_origin

import msgspec

SettingsT = TypeVar("SettingsT", bound=msgspec.Struct)


class SettingsError(Exception):
    """A configuration that must not be started with."""

    def __init__(self, source: str, key: str, reason: str) -> None:
        self.source, self.key, self.reason = source, key, reason
        super().__init__(
            f"配置有误，未启动：{source} 中的 {key}：{reason}  |  "
            f"Not started, the configuration is wrong: {source}, {key}: {reason}"
        )


def load_settings(
    kind: type[SettingsT], path: Path, prefix: str, environment: Mapping[str, str] | None = None
) -> SettingsT:
    """Read `path` into `kind`, a msgspec Struct made with `forbid_unknown_fields=True`.

    Args:
        kind: the settings struct; nested structs are the file's sections.
        path: the TOML file.
        prefix: of the environment variables that may override it, such as `ESTATE_GATEWAY`.
        environment: defaults to the process's own.
    Raises:
        SettingsError: the file is missing or unreadable, or a key or value is not one of `kind`.
    """
    environment = os.environ if environment is None else environment
    values = read_toml(path)
    overridden = {}
    for name, text in sorted(environment.items()):
        if name.startswith(prefix + "_"):
            overridden[_override(values, kind, name, name.removeprefix(prefix + "_"), text)] = name
    try:
        return convert(kind, values, str(path))
    except SettingsError as error:
        if error.key in overridden:
            raise SettingsError(
                f"环境变量 (environment) {overridden[error.key]}", error.key, error.reason
            ) from error
        raise


def read_toml(path: Path) -> dict[str, Any]:
    """The file's tables as plain values; a missing or malformed file is a `SettingsError`."""
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise SettingsError(str(path), "(file)", "文件不存在 (no such file)") from None
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError(str(path), "(file)", f"无法读取 (cannot be read): {error}") from error
    except tomllib.TOMLDecodeError as error:
        raise SettingsError(str(path), "(file)", f"不是有效的 TOML (not valid TOML): {error}") from error


def convert(kind: type[SettingsT], values: dict[str, Any], source: str) -> SettingsT:
    """Plain values as a `kind`; says which key is wrong."""
    try:
        return msgspec.convert(values, kind, strict=True)
    except msgspec.ValidationError as error:
        message = str(error)
        reason, _, where = message.partition(" - at `$")
        raise SettingsError(source, where.rstrip("`").lstrip(".") or "(top level)", reason) from error


def is_loopback(host: str) -> bool:
    """Whether `host` never leaves this machine, so that plain text is allowed to it."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def read_secret(path: Path, key: str) -> str:
    """The one line of a secret's file; secrets never stand in the configuration itself."""
    try:
        secret = path.read_text(encoding="utf-8").strip()
    except OSError as error:
        raise SettingsError(
            str(path), key, f"密钥文件无法读取 (the secret's file cannot be read): {error.strerror}"
        ) from error
    if not secret:
        raise SettingsError(str(path), key, "密钥文件是空的 (the secret's file is empty)")
    return secret


def _override(values: dict[str, Any], kind: type[msgspec.Struct], name: str, rest: str, text: str) -> str:
    """Put the variable's value where it belongs; the setting's key, with its section."""
    found = _find(kind, rest)
    if found is None:
        raise SettingsError("环境变量 (environment)", name, "没有这个配置项 (there is no such setting)")
    path, is_text = found
    key = ".".join(path)
    section: Any = values
    for part in path[:-1]:
        section = section.setdefault(part, {})
        if not isinstance(section, dict):
            return key  # the file has a value where a section belongs; converting it says so
    section[path[-1]] = text if is_text else _toml_or_text(text)
    return key


def _find(kind: type[msgspec.Struct], rest: str) -> tuple[tuple[str, ...], bool] | None:
    """Sections and key of the setting that the variable's `rest` names, and whether it is a text."""
    fields = msgspec.structs.fields(kind)
    # A key may begin like a section's name, so all keys are tried before any section.
    for field in fields:
        if rest == field.encode_name.upper():
            return (field.encode_name,), str in _possible_types(field.type)
    for field in fields:
        inside = rest.removeprefix(field.encode_name.upper() + "_")
        if inside == rest:
            continue
        for section in _possible_types(field.type):
            found = _find(section, inside) if issubclass(section, msgspec.Struct) else None
            if found is not None:
                return (field.encode_name, *found[0]), found[1]
    return None


def _possible_types(annotation: Any) -> list[type]:
    """The plain types of an annotation: behind `Annotated`, and each of a union."""
    if get_origin(annotation) is Annotated:
        return _possible_types(get_args(annotation)[0])
    if get_origin(annotation) in (Union, UnionType):
        return [one for part in get_args(annotation) for one in _possible_types(part)]
    return [annotation] if isinstance(annotation, type) else []


def _toml_or_text(text: str) -> Any:
    try:
        return tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        return text
