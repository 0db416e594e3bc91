"""Mail whose date was still to come when we saw it: its age counts from another moment than its date."""

from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('accounts', '0008_let_a_company_be_deleted'),
        ('mailsync', '0023_keep_read_and_unread_for_each_person'),
    ]

    operations = [
        migrations.AddIndex(
            model_name='message',
            index=models.Index(condition=models.Q(('received_at__gt', models.F('stored_at'))), fields=['mailbox', 'ages_from'], include=('account', 'received_at'), name='message_postdated'),
        ),
    ]
