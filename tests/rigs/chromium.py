"""Chromium as the system has it; Playwright's own download is not needed."""

import shutil
from typing import Any

# Without its windows it takes half of the processor time, and shows the same.
NAMES = ("chromium-headless-shell", "chromium")
FLAGS = [
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync", "--disable-dev-shm-usage",
    "--disable-features=IsolateSandboxedIframes",  # a process for each frame of a mail proves nothing here
]  # fmt: skip


def launch_arguments() -> dict[str, Any]:
    """For Playwright's `launch`."""
    found = next(filter(None, map(shutil.which, NAMES)), None)
    assert found, "Chromium is not installed; ./test names the line that installs it."
    return {"executable_path": found, "args": FLAGS}
