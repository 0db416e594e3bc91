"""The product's settings in an environment made for the tests: `pytest` needs nothing prepared.

Every process of a run (xdist's workers) has servers of its own below one folder; programs that a test
starts inherit the environment, and so find the same servers.
"""

import os
import secrets
import tempfile
from pathlib import Path

RUN = os.environ.get("MAILBOUND_TEST_RUN") or f"{tempfile.gettempdir()}/mailbound-{secrets.token_hex(6)}"
os.environ["MAILBOUND_TEST_RUN"] = RUN
HOME = Path(RUN) / os.environ.get("PYTEST_XDIST_WORKER", "main")
SOCKETS = HOME / "run"
os.environ.update(
    SECRET_KEY="only for tests, only for tests, only for tests, only for tests",
    MAIL_SECRET_KEYS="Zm9yIHRlc3RzIG9ubHksIDMyIGJ5dGVzIGxvbmchISE=",
    DATABASE_URL=f"postgres://mailbound_app@/test_mailbound?host={SOCKETS}",
    DATABASE_OWNER_URL=f"postgres://mailbound_owner@/test_mailbound?host={SOCKETS}",
    REDIS_URL=f"unix://{SOCKETS}/redis.sock",
    MAIL_FILES=str(HOME / "bodies"),
    MAIL_ALLOW_PRIVATE_HOSTS="1",
    MAIL_PROBE_SECONDS="0",  # else a test waits after a few failures
    LOG_LEVEL="WARNING",
    DEBUG="0",
    HTTPS="0",
)

from config.settings import *  # noqa: E402, F403 (the environment comes first)

# Signing in is tested with the real hasher where it matters; making five people must not take seconds.
PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher", *PASSWORD_HASHERS]  # noqa: F405

# Files come from the finders; the folder only has to exist, or WhiteNoise warns on a fresh clone.
STATIC_ROOT = HOME / "static"
STATIC_ROOT.mkdir(parents=True, exist_ok=True)
