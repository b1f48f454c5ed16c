"""The real application on a real PostgreSQL, served over HTTP, and Debian's Chromium in front of it."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from playwright.sync_api import Browser, sync_playwright

from backend.settings import BackendSettings

HERE = Path(__file__).parent
CHROMIUM = "/usr/bin/chromium"
CHROMIUM_ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--no-first-run",
    "--disable-component-update",
    "--disable-sync",
    # A camera that shows a moving pattern.
    "--use-fake-device-for-media-stream",
]


def _module(name: str, path: Path) -> Any:
    """A file of the tests as a module; this folder is no package, so nothing else would find it."""
    known: ModuleType | None = sys.modules.get(name)
    if known is not None:
        return known
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


# The integration tests' own fixtures: one way to make a migrated database, not two.
_shared = _module("tests.integration.conftest", HERE.parents[1] / "integration" / "conftest.py")
migrated_template, database, settings = _shared.migrated_template, _shared.database, _shared.settings
_town = _module("tests.e2e.pages.town", HERE / "town.py")
_windows = _module("tests.e2e.pages.windows", HERE / "windows.py")


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """One Chromium for all tests; each test opens windows of its own."""
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=CHROMIUM, args=CHROMIUM_ARGUMENTS)
        yield chromium
        chromium.close()


@pytest.fixture
def town(settings: BackendSettings, tmp_path: Path) -> Iterator[Any]:
    """A `Town` with its people, served on loopback, with a payment channel that tells it what was paid."""
    with _town.founded(settings, tmp_path) as town:
        town.settle_in()
        yield town


@pytest.fixture
def windows(browser: Browser, town: Any) -> Iterator[Any]:
    """Opens browser windows on the town's pages; see `windows.Windows`."""
    opened = _windows.Windows(browser, town)
    yield opened
    opened.close()
