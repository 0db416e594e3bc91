"""Chance and time have no part in the models."""

from datetime import timedelta

import pytest

from mailsync import folderpull


@pytest.fixture(autouse=True)
def no_patience(monkeypatch: pytest.MonkeyPatch) -> None:
    """A folder that did not open is tried again in each run; where there is none, its mail goes at once."""
    monkeypatch.setattr(folderpull, "MOST_ERRORS", 1_000_000)
    monkeypatch.setattr(folderpull, "REFUSED_GRACE", timedelta(0))
