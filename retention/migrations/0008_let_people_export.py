"""Exports: who asked for which file, and how far it is."""

import django.db.models.deletion
import django.utils.timezone
from django.conf import settings
from django.db import migrations, models

from accounts.rls import tenant_tables


class Migration(migrations.Migration):

    dependencies = [
        ('accounts', '0008_let_a_company_be_deleted'),
        ('retention', '0007_erase_companies'),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.CreateModel(
            name='Export',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('what', models.CharField(choices=[('mine', 'Your mail'), ('company', 'The company')], max_length=10)),
                ('state', models.CharField(choices=[('waiting', 'Waits for a worker'), ('running', 'Is being written'), ('done', 'Ready'), ('failed', 'Failed'), ('cancelled', 'Called off'), ('expired', 'Removed after a week')], default='waiting', max_length=10)),
                ('at', models.DateTimeField(default=django.utils.timezone.now)),
                ('tries', models.PositiveSmallIntegerField(default=0)),
                ('seen_at', models.DateTimeField(null=True)),
                ('finished_at', models.DateTimeField(null=True)),
                ('done', models.PositiveIntegerField(default=0)),
                ('total', models.PositiveIntegerField(default=0)),
                ('bytes', models.BigIntegerField(default=0)),
                ('account', models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.PROTECT, related_name='+', to='accounts.account')),
                ('by', models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.PROTECT, related_name='+', to=settings.AUTH_USER_MODEL)),
            ],
            options={
                'indexes': [models.Index(fields=['account', 'by', '-at'], name='exports_newest')],
                'constraints': [models.UniqueConstraint(condition=models.Q(('state__in', ['waiting', 'running'])), fields=('by',), name='one_open_export')],
            },
        ),
        tenant_tables("retention_export"),
    ]
