"""Grants to departments; whose a message is, notes about it, and what people are told."""

import django.contrib.postgres.fields
import django.db.models.deletion
import django.utils.timezone
from django.conf import settings
from django.db import migrations, models

from accounts.rls import tenant_tables

EMPLOYEE = settings.AUTH_USER_MODEL
CASCADE, PROTECT = django.db.models.deletion.CASCADE, django.db.models.deletion.PROTECT
NOW = django.utils.timezone.now


def key(to, on_delete=PROTECT, **options):
    return models.ForeignKey(to=to, on_delete=on_delete, related_name='+', **{'db_index': False, **options})


def number():
    return models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')


class Migration(migrations.Migration):

    dependencies = [
        ('accounts', '0004_group_people_in_departments'),
        ('mailsync', '0016_send_without_counting_failures'),
        migrations.swappable_dependency(EMPLOYEE),
    ]

    operations = [
        migrations.CreateModel(
            name='Assignment',
            fields=[
                ('id', number()),
                ('at', models.DateTimeField(default=NOW)),
                ('account', key('accounts.account')),
                ('mailbox', key('mailsync.mailbox', CASCADE)),
                ('message', models.OneToOneField(on_delete=CASCADE, related_name='+', to='mailsync.message')),
                ('employee', key(EMPLOYEE)),
                ('by', key(EMPLOYEE)),
            ],
            options={'indexes': [models.Index(fields=['mailbox', 'employee'], name='assignment_of_mailbox')]},
        ),
        migrations.CreateModel(
            name='Note',
            fields=[
                ('id', number()),
                ('identity', models.BinaryField(max_length=32)),
                ('text', models.TextField()),
                ('mentions', django.contrib.postgres.fields.ArrayField(base_field=models.BigIntegerField(), default=list, size=None)),
                ('at', models.DateTimeField(default=NOW)),
                ('deleted_at', models.DateTimeField(null=True)),
                ('account', key('accounts.account')),
                ('mailbox', key('mailsync.mailbox', CASCADE)),
                ('by', key(EMPLOYEE)),
            ],
            options={
                'indexes': [
                    models.Index(fields=['mailbox', 'identity', 'at'], name='note_of_message'),
                    models.Index(fields=['account', 'at'], name='note_by_age'),
                ],
                'constraints': [models.CheckConstraint(condition=~models.Q(text=''), name='a_note_says_something')],
            },
        ),
        migrations.CreateModel(
            name='Notice',
            fields=[
                ('id', number()),
                ('kind', models.CharField(choices=[('gained', 'Gained'), ('changed', 'Changed'), ('lost', 'Lost'), ('assigned', 'Assigned'), ('mentioned', 'Mentioned')], max_length=12)),
                ('words', models.TextField(blank=True)),
                ('at', models.DateTimeField(default=NOW)),
                ('seen_at', models.DateTimeField(null=True)),
                ('account', key('accounts.account')),
                ('employee', key(EMPLOYEE, CASCADE)),
                ('mailbox', key('mailsync.mailbox', CASCADE)),
                ('message', key('mailsync.message', CASCADE, null=True, db_index=True)),
                ('by', key(EMPLOYEE, null=True)),
            ],
            options={
                'indexes': [
                    models.Index(condition=models.Q(('seen_at__isnull', True)), fields=['employee', '-id'], name='notice_unseen'),
                    models.Index(fields=['account', 'at'], name='notice_by_age'),
                ],
            },
        ),
        tenant_tables('mailsync_assignment', 'mailsync_note', 'mailsync_notice'),
        migrations.AddField(
            model_name='mailboxgrant',
            name='department',
            field=models.ForeignKey(null=True, on_delete=CASCADE, related_name='grants', to='accounts.department'),
        ),
        migrations.AlterField(
            model_name='mailboxgrant',
            name='employee',
            field=models.ForeignKey(null=True, on_delete=CASCADE, related_name='grants', to=EMPLOYEE),
        ),
        migrations.AddConstraint(
            model_name='mailboxgrant',
            constraint=models.UniqueConstraint(fields=('mailbox', 'department'), name='one_grant_a_department'),
        ),
        migrations.AddConstraint(
            model_name='mailboxgrant',
            constraint=models.CheckConstraint(condition=models.Q(models.Q(('department__isnull', True), ('employee__isnull', False)), models.Q(('department__isnull', False), ('employee__isnull', True)), _connector='OR'), name='a_grant_has_one_holder'),
        ),
        migrations.AlterField(
            model_name='event',
            name='kind',
            field=models.CharField(choices=[('flag', 'Flag'), ('move', 'Move'), ('expunge', 'Expunge'), ('flag sent', 'Flag Sent'), ('move sent', 'Move Sent'), ('flag refused', 'Flag Refused'), ('move refused', 'Move Refused'), ('placed', 'Placed'), ('gone', 'Gone'), ('assign', 'Assign'), ('renumbered', 'Renumbered')], max_length=20),
        ),
    ]
