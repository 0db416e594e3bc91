"""Second factors are allauth's rows: they get an account, filled in by the one that acts, and the wall of every table."""

import django.db.models.deletion
import django.utils.timezone
from django.conf import settings
from django.db import migrations, models

from accounts.rls import CURRENT, tenant_tables

# allauth's own model does not know the column, so the database fills it in; without an acting account there is no row.
ACCOUNT_OF_FACTOR = f"""
ALTER TABLE mfa_authenticator ADD COLUMN account_id bigint NOT NULL DEFAULT {CURRENT}
    REFERENCES accounts_account (id) DEFERRABLE INITIALLY DEFERRED
"""


class Migration(migrations.Migration):

    dependencies = [
        ('accounts', '0005_invite_people_by_link'),
        ('mfa', '0003_authenticator_type_uniq'),
    ]

    operations = [
        migrations.AddField(
            model_name='account',
            name='two_factor_demanded',
            field=models.BooleanField(default=False),
        ),
        migrations.CreateModel(
            name='BrowserSession',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('key', models.CharField(max_length=40)),
                ('address', models.CharField(max_length=45)),
                ('agent', models.CharField(blank=True, max_length=300)),
                ('began_at', models.DateTimeField(default=django.utils.timezone.now)),
                ('seen_at', models.DateTimeField(default=django.utils.timezone.now)),
                ('account', models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.PROTECT, related_name='+', to='accounts.account')),
                ('employee', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='browser_sessions', to=settings.AUTH_USER_MODEL)),
            ],
        ),
        migrations.CreateModel(
            name='PersonalNotice',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('kind', models.CharField(choices=[('two_factor_reset', 'Two Factor Reset')], max_length=30)),
                ('details', models.JSONField(default=dict)),
                ('at', models.DateTimeField(default=django.utils.timezone.now)),
                ('seen_at', models.DateTimeField(null=True)),
                ('mailed_at', models.DateTimeField(null=True)),
                ('account', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='+', to='accounts.account')),
                ('employee', models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.CASCADE, related_name='+', to=settings.AUTH_USER_MODEL)),
            ],
            options={
                'indexes': [models.Index(condition=models.Q(('seen_at__isnull', True)), fields=['employee'], name='personal_notice_unseen')],
            },
        ),
        migrations.RunSQL(ACCOUNT_OF_FACTOR, "ALTER TABLE mfa_authenticator DROP COLUMN account_id"),
        tenant_tables("accounts_browsersession", "accounts_personalnotice", "mfa_authenticator"),
    ]
