"""The faces that this run of the tests knows, and the places that must never hold one.

Whoever makes a face for a test plants it here; `tests/conftest.py` and the database fixtures search.
"""

from __future__ import annotations

import importlib
import json
import subprocess
import sys
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import psycopg
from psycopg import sql

from tests.leaks import Marks, files_with

# The evidence store keeps what a person signed or what was broken, sealed; the only table that is left out.
EVIDENCE_TABLES = frozenset({"evidence"})
# Logs of every process, and what gateways sent up (`tests/recorded`).
WRITTEN = frozenset({".log", ".sent"})
RECORDER = Path(__file__).parent / "recorded"
# Who uses the photographs has loaded this module; a demo does so in a process of its own.
PHOTOGRAPHS = "simulators.photos"
_KNOWN = Marks()
_KNOWN.plant_any_jpeg()

# In a process of its own, for dlib holds much memory.
_ENCODE = """
import json, sys
from pathlib import Path
from gateway.matching.encoder_worker import encode_picture, load_model
from gateway.matching.quality import ENROLMENT, Reason
find, encode = load_model()
made = [encode_picture(Path(one).read_bytes(), ENROLMENT, find, encode) for one in sys.argv[1:]]
print(json.dumps([one.astype(float).tolist() for one in made if not isinstance(one, Reason)]))
"""


def plant_template(name: str, template: np.ndarray[Any, Any]) -> None:
    """A face that was invented."""
    _KNOWN.plant_template(name, template)


def plant_image(name: str, image: bytes) -> None:
    """A picture that was invented."""
    _KNOWN.plant_image(name, image)


def known() -> Marks:
    """All that is known; photographs, where the run uses them, are read and encoded at the first search."""
    if PHOTOGRAPHS in sys.modules:
        _plant_photographs()
    return _KNOWN


@cache
def _plant_photographs() -> None:
    pictures = importlib.import_module(PHOTOGRAPHS).photos()
    paths = [*pictures.a, *pictures.a_parts, pictures.b, pictures.c]
    for path in paths:
        _KNOWN.plant_image(path.stem, path.read_bytes())
    command = [sys.executable, "-W", "ignore", "-c", _ENCODE, *map(str, paths)]
    made = subprocess.run(command, capture_output=True, text=True, check=True, timeout=100).stdout
    for number, template in enumerate(json.loads(made)):
        _KNOWN.plant_template(f"template {number} of the photographs", np.array(template))


def faces_in_database(dsn: str) -> list[str]:
    """Each table that holds a known face, with its name; every row of every table that has any is read."""
    found = []
    with psycopg.connect(dsn) as connection:
        for (table,) in connection.execute(
            "SELECT relname FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relkind = 'r'"
            " AND pg_relation_size(oid) > 0"
        ).fetchall():
            if table in EVIDENCE_TABLES:
                continue
            with connection.cursor().copy(sql.SQL("COPY {} TO STDOUT").format(sql.Identifier(table))) as rows:
                content = b"".join(bytes(row) for row in rows)
            found += [f"{table}: {name}" for name in known().found_in(content)]
    return found


def recording(folder: Path) -> dict[str, str]:
    """Environment with which a gateway's process writes down in `folder` what it sends up to the city."""
    importlib.import_module(PHOTOGRAPHS)
    return {"PYTHONPATH": str(RECORDER), "TESTS_SENT_FOLDER": str(folder)}


def faces_in_files(folder: Path) -> list[str]:
    """Each log, and each record of what was sent up, that holds a known face."""
    return files_with(known(), folder, WRITTEN)
