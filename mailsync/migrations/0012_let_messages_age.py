"""The moment from which the age of a message counts; derived by the database, so that nothing can disagree."""

import datetime
import django.db.models.functions.comparison
from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('accounts', '0002_wall_between_tenants'),
        ('mailsync', '0011_know_messages_by_the_servers_name'),
    ]

    operations = [
        migrations.AddField(
            model_name='message',
            name='ages_from',
            field=models.GeneratedField(db_persist=True, expression=models.Case(models.When(received_at__lt=models.Value(datetime.datetime(1970, 1, 3, 0, 0, tzinfo=datetime.timezone.utc)), then=django.db.models.functions.comparison.Coalesce('stored_at', 'received_at')), default=django.db.models.functions.comparison.Least(models.F('received_at'), models.F('stored_at'))), output_field=models.DateTimeField()),
        ),
        migrations.AddIndex(
            model_name='message',
            index=models.Index(fields=['mailbox', 'ages_from'], include=('id', 'account', 'size'), name='message_by_age'),
        ),
    ]
