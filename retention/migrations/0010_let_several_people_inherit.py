"""Tasks and records may have heirs of their own, and heirs are told. Of what was handed over until now nobody is told."""

import django.db.models.deletion
from django.conf import settings
from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
        ('retention', '0009_export_in_parts'),
    ]

    operations = [
        migrations.AddField(
            model_name='leaver',
            name='records_heir',
            field=models.ForeignKey(db_index=False, null=True, on_delete=django.db.models.deletion.PROTECT, related_name='+', to=settings.AUTH_USER_MODEL),
        ),
        migrations.AddField(
            model_name='leaver',
            name='tasks_heir',
            field=models.ForeignKey(db_index=False, null=True, on_delete=django.db.models.deletion.PROTECT, related_name='+', to=settings.AUTH_USER_MODEL),
        ),
        migrations.AddField(
            model_name='handedover',
            name='told',
            field=models.BooleanField(default=True),
        ),
        migrations.AlterField(
            model_name='handedover',
            name='told',
            field=models.BooleanField(default=False),
        ),
    ]
