"""The account in the index of a message's events: the wall asks for it, and the planner then needs no other."""

from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('mailsync', '0021_connect_mailboxes_for_others'),
    ]

    operations = [
        migrations.RemoveIndex(
            model_name='event',
            name='event_of_message',
        ),
        migrations.AddIndex(
            model_name='event',
            index=models.Index(condition=models.Q(('message__isnull', False)), fields=['message', 'account', 'id'], name='event_in_order'),
        ),
    ]
