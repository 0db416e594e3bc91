"""Since when a folder does not open decides when the mail that we show of it goes. And one that could not be opened when
it was met was taken for switched off: it would have stayed so once it opens."""

from django.db import migrations, models


def switch_on(apps, schema_editor):
    connection = schema_editor.connection
    with connection.cursor() as cursor:
        cursor.execute("SELECT id FROM accounts_account ORDER BY id")
        for (account,) in cursor.fetchall():
            cursor.execute("SELECT set_config('app.account', %s, true)", [str(account)])
            cursor.execute("UPDATE mailsync_folder SET syncing = true WHERE NOT selectable AND special_use = ''")


class Migration(migrations.Migration):
    dependencies = [("mailsync", "0030_write_acts_down_cheaper")]

    operations = [
        migrations.AddField("folder", "refused_since", models.DateTimeField(null=True)),
        migrations.RunPython(switch_on, migrations.RunPython.noop),
    ]
