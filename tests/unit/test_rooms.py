"""The walls of docs/architecture.md, held by the imports themselves."""

import ast
import re
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PARTS = ("estate", "gateway", "backend", "simulators")

# Who may import whom among the parts; everybody may import estate, which imports none of them.
ALLOWED_PARTS = {"estate": {"estate"}, "gateway": {"gateway", "estate"}, "backend": {"backend", "estate"}}
ALLOWED_PARTS["simulators"] = {"simulators", "estate"}

# The floors of the backend: each capability imports only from what its row names.
BACKEND_MAY_IMPORT = {
    "db": {"db"},
    "documents": {"documents"},
    "messaging": {"messaging", "db"},
    "identity": {"identity", "db"},
    "approvals": {"approvals", "identity", "db"},
    "registry": {"registry", "documents", "identity", "db"},
    "ledger": {"ledger", "approvals", "registry", "identity", "db"},
    "access": {"access", "registry", "identity", "db"},
    "retention": {"retention", "access", "registry", "documents", "identity", "db"},
    "rent": {"rent", "messaging", "approvals", "documents", "ledger", "registry", "identity", "db"},
}
BACKEND_MAY_IMPORT["payments"] = {"payments"} | BACKEND_MAY_IMPORT["rent"]
BACKEND_MAY_IMPORT["reconciliation"] = {"reconciliation"} | BACKEND_MAY_IMPORT["payments"]
BACKEND_MAY_IMPORT["closing"] = {"closing"} | BACKEND_MAY_IMPORT["reconciliation"]

# Foreign packages with one home, so that their objects become our own values at one border.
ONE_HOME = {
    "paho": ("gateway/mqtt.py", "simulators/doors/", "simulators/panels/"),
    "stripe": ("backend/payments/stripe_",),
    "face_recognition": ("gateway/matching/encoder.py", "gateway/matching/encoder_worker.py"),
    "dlib": ("gateway/matching/",),
    "onnxruntime": ("gateway/matching/",),
    "wechatpayv3": ("backend/payments/",),
    "typst": ("backend/documents/",),
    "openpyxl": ("backend/documents/",),
    "xlsxwriter": ("backend/documents/",),
    # Programs, run from outside: their licence stays with them, and a check stays independent.
    "beancount": (),
    "fava": (),
}


def sources(folder: str) -> list[Path]:
    return sorted((ROOT / folder).rglob("*.py"))


@cache
def imported_by(path: Path) -> frozenset[str]:
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            found.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            assert node.level == 0, f"{path}: relative import"
            found.add(node.module)
            found.update(f"{node.module}.{alias.name}" for alias in node.names)
    return frozenset(found)


@pytest.mark.parametrize("part", PARTS)
def test_a_part_imports_no_other_part(part: str) -> None:
    wrong = {
        (str(path.relative_to(ROOT)), name)
        for path in sources(part)
        # The command loads its groups by name and by name alone.
        for name in imported_by(path)
        if name.split(".")[0] in set(PARTS) - ALLOWED_PARTS[part]
    }
    assert not wrong


@pytest.mark.parametrize("capability", sorted(BACKEND_MAY_IMPORT))
def test_a_capability_of_the_backend_imports_only_what_stands_below_it(capability: str) -> None:
    wrong = {
        (str(path.relative_to(ROOT)), name)
        for path in sources(f"backend/{capability}")
        for name in imported_by(path)
        if name.startswith("backend.") and (ROOT / "backend" / name.split(".")[1]).is_dir()
        if name.split(".")[1] not in BACKEND_MAY_IMPORT[capability]
    }
    assert not wrong


@pytest.mark.parametrize("package", sorted(ONE_HOME))
def test_a_foreign_package_with_one_home_is_imported_only_there(package: str) -> None:
    users = {
        str(path.relative_to(ROOT))
        for part in PARTS
        for path in sources(part)
        if any(name.split(".")[0] == package for name in imported_by(path))
    }
    assert all(user.startswith(ONE_HOME[package]) for user in users), users


def test_the_migrations_stand_in_one_line() -> None:
    found: dict[str, str] = {}
    for path in sorted((ROOT / "backend/db/migrations/versions").glob("0*.py")):
        text = path.read_text("utf-8")
        revision = re.search(r'^revision = "(\d+)"$', text, re.MULTILINE)
        before = re.search(r'^down_revision = (?:"(\d+)"|None)$', text, re.MULTILINE)
        assert revision is not None, path
        assert before is not None, path
        assert path.name.startswith(f"{revision[1]}_"), path
        assert revision[1] not in found, f"{path.name}: another migration has this number"
        found[revision[1]] = before[1] or ""
    numbers = sorted(found)
    assert [found[number] for number in numbers] == ["", *numbers[:-1]]
