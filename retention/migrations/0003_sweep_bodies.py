"""What nothing referred to at a moment; still so a day later, it goes."""

import django.db.models.deletion
from django.db import migrations, models

from accounts.rls import tenant_tables


class Migration(migrations.Migration):

    dependencies = [
        ('accounts', '0003_companies_have_a_day_and_installations_operators'),
        ('mailsync', '0014_let_surplus_mailboxes_rest'),
        ('retention', '0002_look_at_many_accounts_at_once'),
    ]

    operations = [
        migrations.CreateModel(
            name='LooseBlob',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('since', models.DateTimeField()),
                ('account', models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.PROTECT, related_name='+', to='accounts.account')),
                ('blob', models.OneToOneField(on_delete=django.db.models.deletion.CASCADE, related_name='+', to='mailsync.blob')),
            ],
            options={
                'indexes': [models.Index(fields=['account', 'since'], name='loose_since')],
            },
        ),
        tenant_tables('retention_looseblob'),
    ]
