"""`manage.py load_plans`: the shipped rows of the plans, as far as they are missing."""

from typing import Any

from django.core.management.base import BaseCommand

from plans.loading import load_catalogue


class Command(BaseCommand):
    help = (
        "Adds the published plan limits that are missing; says where an existing row differs, and keeps it."
    )

    def handle(self, *args: Any, **options: Any) -> None:  # noqa: ARG002 (Django's signature)
        loaded = load_catalogue()
        for difference in loaded.differing:
            self.stderr.write(f"left as it is: {difference}")
        self.stdout.write(f"{loaded.added} rows added, {loaded.kept} were there")
