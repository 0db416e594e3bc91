"""Where the outside mail lies: real messages and hostile HTML of other projects, kept out of the repository."""

import os
from pathlib import Path

import pytest

CORPUS = Path(os.environ.get("MAIL_CORPUS", Path(__file__).resolve().parents[2] / "shared" / "corpus"))
needs_corpus = pytest.mark.skipif(
    not CORPUS.is_dir(), reason="The corpus of real mail is not here; MAIL_CORPUS names its folder."
)
