"""Read and unread of each person's own, as a setting of a mailbox: rows of what somebody has not read."""

import django.db.models.deletion
from django.conf import settings
from django.db import migrations, models

from accounts.rls import tenant_tables

CASCADE, PROTECT = django.db.models.deletion.CASCADE, django.db.models.deletion.PROTECT


def key(to, on_delete=CASCADE):
    return models.ForeignKey(to=to, on_delete=on_delete, related_name='+', db_index=False)


class Migration(migrations.Migration):

    dependencies = [
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
        ('mailsync', '0022_find_the_last_event_of_a_message'),
    ]

    operations = [
        migrations.AddField(
            model_name='mailbox', name='read_apart_since', field=models.DateTimeField(null=True),
        ),
        migrations.AddField(
            model_name='mailbox', name='read_apart_until', field=models.DateTimeField(null=True),
        ),
        migrations.CreateModel(
            name='Unread',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('received_at', models.DateTimeField()),
                ('account', key('accounts.account', PROTECT)),
                ('employee', key(settings.AUTH_USER_MODEL)),
                ('mailbox', key('mailsync.mailbox')),
                ('message', key('mailsync.message')),
            ],
            options={
                'indexes': [models.Index(fields=['employee', 'mailbox', '-received_at'], include=('message', 'account'), name='unread_list')],
                'constraints': [models.UniqueConstraint(fields=('message', 'employee'), name='unread_once_each')],
            },
        ),
        tenant_tables('mailsync_unread'),
    ]
