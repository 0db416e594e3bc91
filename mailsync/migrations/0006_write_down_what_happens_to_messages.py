"""The history of messages: a table that only grows and is dropped by age."""

import django.db.models.deletion
import django.db.models.functions.datetime
from django.conf import settings
from django.db import migrations, models

from accounts.rls import tenant_tables

APPEND_ONLY = """
CREATE FUNCTION mailsync_refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'the history of messages is append-only';
END $$;
CREATE TRIGGER history_append_only BEFORE UPDATE ON mailsync_event
    FOR EACH ROW EXECUTE FUNCTION mailsync_refuse_change();
"""


class Migration(migrations.Migration):

    dependencies = [
        ('accounts', '0002_wall_between_tenants'),
        ('mailsync', '0005_let_folders_be_made_renamed_and_deleted'),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        # In two steps: of what is here already nobody knows since when.
        migrations.AddField(
            model_name='message',
            name='stored_at',
            field=models.DateTimeField(null=True),
        ),
        migrations.AlterField(
            model_name='message',
            name='stored_at',
            field=models.DateTimeField(db_default=django.db.models.functions.datetime.Now(), null=True),
        ),
        migrations.CreateModel(
            name='Event',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('at', models.DateTimeField(db_default=django.db.models.functions.datetime.Now())),
                ('kind', models.CharField(choices=[('flag', 'Flag'), ('move', 'Move'), ('expunge', 'Expunge'), ('flag sent', 'Flag Sent'), ('move sent', 'Move Sent'), ('flag refused', 'Flag Refused'), ('move refused', 'Move Refused'), ('placed', 'Placed'), ('gone', 'Gone'), ('renumbered', 'Renumbered')], max_length=20)),
                ('path', models.TextField()),
                ('uid', models.BigIntegerField(null=True)),
                ('target', models.TextField(blank=True, db_default='')),
                ('flags', models.TextField(blank=True, db_default='')),
                ('note', models.TextField(blank=True, db_default='')),
                ('account', models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.PROTECT, related_name='+', to='accounts.account')),
                ('by', models.ForeignKey(db_index=False, null=True, on_delete=django.db.models.deletion.PROTECT, related_name='+', to=settings.AUTH_USER_MODEL)),
                ('folder', models.ForeignKey(db_index=False, null=True, on_delete=django.db.models.deletion.CASCADE, related_name='events', to='mailsync.folder')),
                ('message', models.ForeignKey(db_index=False, null=True, on_delete=django.db.models.deletion.CASCADE, related_name='events', to='mailsync.message')),
            ],
            options={
                'indexes': [
                    models.Index(condition=models.Q(('message__isnull', False)), fields=['message'], name='event_of_message'),
                    models.Index(condition=models.Q(('folder__isnull', False)), fields=['folder'], name='event_of_folder'),
                    models.Index(fields=['account', 'at'], name='event_by_age'),
                ],
                'constraints': [models.CheckConstraint(condition=models.Q(models.Q(('folder__isnull', False), ('message__isnull', True)), models.Q(('folder__isnull', True), ('message__isnull', False)), _connector='OR'), name='an_event_has_one_subject')],
            },
        ),
        tenant_tables('mailsync_event'),
        migrations.RunSQL(
            APPEND_ONLY,
            "DROP TRIGGER history_append_only ON mailsync_event; DROP FUNCTION mailsync_refuse_change()",
        ),
    ]
