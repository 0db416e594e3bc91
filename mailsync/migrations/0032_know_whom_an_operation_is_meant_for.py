"""A server that was restored from a backup may give an operation's UID to another message under the same UIDVALIDITY: date
and header tell them apart. Those that wait already are sent as they are."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("mailsync", "0031_know_since_when_a_folder_is_refused")]

    operations = [
        migrations.AddField("operation", "received_at", models.DateTimeField(null=True)),
        migrations.AddField("operation", "header_hash", models.BinaryField(max_length=32, null=True)),
    ]
