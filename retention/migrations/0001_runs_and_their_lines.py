"""Purges and what they did to each mailbox."""

import django.db.models.deletion
import django.utils.timezone
from django.conf import settings
from django.db import migrations, models

from accounts.rls import tenant_tables


class Migration(migrations.Migration):

    initial = True

    dependencies = [
        ('accounts', '0002_wall_between_tenants'),
        ('mailsync', '0012_let_messages_age'),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.CreateModel(
            name='RetentionRun',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('at', models.DateTimeField(default=django.utils.timezone.now)),
                ('cutoff', models.DateTimeField()),
                ('plan', models.SlugField(max_length=40)),
                ('storage_days', models.PositiveIntegerField()),
                ('crm_bound_stays', models.BooleanField()),
                ('state', models.CharField(choices=[('running', 'Running'), ('waiting', 'Waiting for an admin'), ('finished', 'Finished'), ('refused', 'Stopped by an admin'), ('replaced', 'Given up: the limits changed meanwhile')], default='running', max_length=10)),
                ('copies', models.PositiveIntegerField(default=0)),
                ('expected', models.PositiveIntegerField(default=0)),
                ('decided_at', models.DateTimeField(null=True)),
                ('finished_at', models.DateTimeField(null=True)),
                ('account', models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.PROTECT, related_name='+', to='accounts.account')),
                ('decided_by', models.ForeignKey(db_index=False, null=True, on_delete=django.db.models.deletion.PROTECT, related_name='+', to=settings.AUTH_USER_MODEL)),
            ],
        ),
        migrations.CreateModel(
            name='RetentionLine',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('kind', models.CharField(choices=[('removed', 'Not bound: removed'), ('hidden', 'With a client: left Webmail, the activity stays'), ('kept_task', 'Kept for a task'), ('kept_crm', 'Kept for a client'), ('waits', 'Left alone: the mailbox waits for an answer')], max_length=10)),
                ('messages', models.PositiveBigIntegerField(default=0)),
                ('bytes', models.PositiveBigIntegerField(default=0)),
                ('account', models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.PROTECT, related_name='+', to='accounts.account')),
                ('mailbox', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='+', to='mailsync.mailbox')),
                ('run', models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.CASCADE, related_name='lines', to='retention.retentionrun')),
            ],
        ),
        migrations.AddIndex(
            model_name='retentionrun',
            index=models.Index(fields=['account', '-at'], name='run_newest'),
        ),
        migrations.AddConstraint(
            model_name='retentionrun',
            constraint=models.UniqueConstraint(condition=models.Q(('state__in', ('running', 'waiting'))), fields=('account',), name='one_open_run'),
        ),
        migrations.AddConstraint(
            model_name='retentionrun',
            constraint=models.CheckConstraint(condition=models.Q(models.Q(('finished_at', None), ('state__in', ('running', 'waiting'))), models.Q(models.Q(('state__in', ('running', 'waiting')), _negated=True), ('finished_at__isnull', False)), _connector='OR'), name='a_run_ends_once'),
        ),
        migrations.AddConstraint(
            model_name='retentionrun',
            constraint=models.CheckConstraint(condition=models.Q(('cutoff__lte', models.F('at'))), name='a_run_looks_back'),
        ),
        migrations.AddConstraint(
            model_name='retentionline',
            constraint=models.UniqueConstraint(fields=('run', 'mailbox', 'kind'), name='one_line_a_fate'),
        ),
        tenant_tables('retention_retentionrun', 'retention_retentionline'),
    ]
