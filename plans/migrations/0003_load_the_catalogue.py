"""The published tables, so that a migrated database knows its plans."""

from dataclasses import asdict

from django.db import migrations

from plans.catalogue import CATALOGUE


def load(apps, schema_editor):
    plan_limits = apps.get_model("plans", "PlanLimits").objects.using(schema_editor.connection.alias)
    for row in CATALOGUE:
        numbers = asdict(row.limits)
        plan_limits.get_or_create(
            plan=numbers.pop("plan"),
            effective_from=numbers.pop("effective_from"),
            defaults={**numbers, "source": row.source, "reading": row.reading},
        )


class Migration(migrations.Migration):
    dependencies = [("plans", "0002_wall_between_tenants")]

    operations = [migrations.RunPython(load, migrations.RunPython.noop)]
