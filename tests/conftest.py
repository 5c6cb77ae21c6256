"""What tests of several rooms need."""

import os
import shutil
import signal

import pytest
from hypothesis import settings

from isoloss.core import consent

ARGUMENTS = [
    "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking", "--disable-component-update",
    "--disable-sync",
]  # fmt: skip


def pytest_collection_modifyitems(config, items):
    """Give workers the files with slow tests first: two that end together are done soonest."""
    if hasattr(config, "workerinput"):
        slow = {item.path for item in items if item.get_closest_marker("slow")}
        items.sort(key=lambda item: item.path not in slow)


@pytest.fixture(autouse=True)
def nothing_stays_allowed(monkeypatch):
    """Modules that a test lets run are allowed in that test alone."""
    monkeypatch.setattr(consent, "_allowed", set())


@pytest.fixture(autouse=True)
def interrupts_arrive():
    """Ctrl-C interrupts every test: a run in the background begins with it ignored, and a test may leave a handler."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before or signal.default_int_handler)


@pytest.fixture(scope="module")
def browser():
    """Chromium without a window. A developer may lack it; continuous integration may not.

    A module's, not the session's: until it is closed, its event loop would run in the tests that follow.
    """
    from playwright.sync_api import sync_playwright

    chromium = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if chromium is None:
        reason = "no Chromium on this machine: apt-get install chromium"
        if os.environ.get("CI") == "true":
            pytest.fail(reason)
        pytest.skip(reason)
    with sync_playwright() as playwright:
        launched = playwright.chromium.launch(executable_path=chromium, args=ARGUMENTS)
        yield launched
        launched.close()


# The same examples everywhere and every time: a case that fails once fails for everybody.
settings.register_profile("same", derandomize=True, deadline=None)
settings.load_profile("same")
