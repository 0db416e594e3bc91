"""Who may know whom, and that every table has one owner."""

import subprocess
import sys
from pathlib import Path

from django.apps import apps
from django.db import models

from accounts.models import Account

ROOT = Path(__file__).resolve().parent.parent
GLOBAL = {"accounts.Account", "plans.PlanLimits", "mailsync.Outage", "mailsync.Schedule", "retention.Erasure"}
OURS = ["accounts", "plans", "mailsync", "crm", "tasks", "retention", "overview", "demo"]


def test_the_layers_hold() -> None:
    """The contracts stand in pyproject.toml; what they say of a break is the message of this test."""
    checker = Path(sys.executable).with_name("lint-imports")
    done = subprocess.run([checker, "--no-cache"], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout


def test_every_app_of_ours_stands_in_the_contracts() -> None:
    found = {config.name for config in apps.get_app_configs() if (ROOT / config.name).is_dir()}
    assert found == set(OURS)


def test_every_table_belongs_to_an_account_or_is_known_to_be_everybodys() -> None:
    without = {model._meta.label for model in models_of_ours() if not has_account(model)}
    assert without <= GLOBAL
    assert {model._meta.label for model in models_of_ours()} >= GLOBAL


def test_the_account_of_a_row_cannot_be_missing_or_deleted_from_under_it() -> None:
    for model in filter(has_account, models_of_ours()):
        account = model._meta.get_field("account")
        assert isinstance(account, models.ForeignKey)
        assert not account.null, model
        assert account.remote_field.on_delete is models.PROTECT, model
        assert account.related_model is Account, model


def models_of_ours() -> list[type[models.Model]]:
    return [model for label in OURS for model in apps.get_app_config(label).get_models()]


def has_account(model: type[models.Model]) -> bool:
    return any(field.column == "account_id" for field in model._meta.concrete_fields)
