"""Exports are written in parts, and go on after a worker died. What was written until now is one part."""

from django.db import migrations, models

_KEEP = """
ALTER TABLE retention_export NO FORCE ROW LEVEL SECURITY;
UPDATE retention_export SET parts = 1 WHERE state = 'done';
ALTER TABLE retention_export FORCE ROW LEVEL SECURITY;
"""


class Migration(migrations.Migration):

    dependencies = [
        ('retention', '0008_let_people_export'),
    ]

    operations = [
        migrations.AddField(
            model_name='export',
            name='began_at',
            field=models.DateTimeField(null=True),
        ),
        migrations.AddField(
            model_name='export',
            name='parts',
            field=models.PositiveSmallIntegerField(default=0),
        ),
        migrations.AddField(
            model_name='export',
            name='reached',
            field=models.JSONField(default=list),
        ),
        migrations.RunSQL(_KEEP, migrations.RunSQL.noop),
    ]
