"""The repository's own promises: what is written beside the code agrees with it."""

import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from django.core.management import call_command

ROOT = Path(__file__).resolve().parent.parent


@pytest.mark.parametrize("lock", ["requirements.lock", "requirements-dev.lock"])
def test_a_lock_names_versions_and_hashes_and_no_address(lock):
    text = (ROOT / lock).read_text()
    assert "://" not in text
    assert text.count("==") <= text.count("--hash=sha256:")


def test_what_a_trial_needs_is_locked_for_development_in_the_same_version():
    versions = [
        dict(re.findall(r"^([a-z0-9.\[\]_-]+)==(\S+)", (ROOT / lock).read_text(), re.MULTILINE))
        for lock in ("requirements.lock", "requirements-dev.lock")
    ]
    assert versions[0].items() <= versions[1].items()


@pytest.mark.parametrize(("lock", "extras"), [("requirements.lock", []), ("requirements-dev.lock", ["dev"])])
def test_every_dependency_is_locked(lock, extras):
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    wanted = [
        *project["dependencies"],
        *(line for extra in extras for line in project["optional-dependencies"][extra]),
    ]
    names = {re.split(r"[\[<>=~ ]", line)[0].lower() for line in wanted}
    locked = set(re.findall(r"^([a-z0-9._-]+)(?:\[[a-z,]+\])?==", (ROOT / lock).read_text(), re.MULTILINE))
    assert names - locked == set()


def test_every_setting_is_explained_to_operators():
    read = set(re.findall(r'env\.\w+\(\s*"([A-Z_]+)"', (ROOT / "config" / "settings.py").read_text()))
    explained = set(re.findall(r"^#?([A-Z_]+)=", (ROOT / ".env.example").read_text(), re.MULTILINE))
    assert read - explained == set()
    assert explained - read == {"POSTGRES_OWNER_PASSWORD", "POSTGRES_APP_PASSWORD", "WEB_PORT"}


@pytest.mark.django_db
def test_no_change_of_a_model_waits_for_its_migration():
    call_command("makemigrations", check=True, dry_run=True, verbosity=0)


def test_docker_understands_the_compose_file():
    checker = Path(sys.executable).with_name("check-jsonschema")
    done = subprocess.run(
        [checker, "--builtin-schema", "vendor.compose-spec", ROOT / "docker-compose.yml"],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout


def test_fresh_keys_are_different_each_time_and_complete():
    made = [
        subprocess.run(
            [sys.executable, ROOT / "deploy" / "make_env.py"], capture_output=True, text=True
        ).stdout
        for _ in range(2)
    ]
    keys = [dict(re.findall(r"^([A-Z_]+)=(.+)$", text, re.MULTILINE)) for text in made]
    for name in ("SECRET_KEY", "MAIL_SECRET_KEYS", "POSTGRES_OWNER_PASSWORD", "POSTGRES_APP_PASSWORD"):
        assert keys[0][name] != keys[1][name]
        assert len(keys[0][name]) >= 30


LOADED = {
    "web": "import config.wsgi",
    "worker": "from config.celery import app; from celery.signals import celeryd_after_setup as ready; "
    "import django; django.setup(); ready.send(sender='w', instance=None, conf=None)",
}


@pytest.mark.parametrize("program", LOADED)
def test_what_a_program_has_loaded_is_collected_no_more(program):
    """A full collection that walks through all of Django takes a tenth of a second, of a page or of a run."""
    told = subprocess.run(
        [sys.executable, "-c", f"{LOADED[program]}; import gc; print(gc.get_freeze_count())"],
        cwd=ROOT,
        env={**os.environ, "DJANGO_SETTINGS_MODULE": "tests.settings"},
        capture_output=True,
        check=True,
        text=True,
    )
    assert int(told.stdout.split()[-1]) > 100_000
