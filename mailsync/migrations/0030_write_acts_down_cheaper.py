"""An act on fifty messages writes fifty events and operations: none asks for its account where the message, the folder
or the mailbox that it refers to has done so."""

import django.db.models.deletion
from django.db import migrations, models


def _by_way_of_another(model):
    key = models.ForeignKey(
        "accounts.account",
        on_delete=django.db.models.deletion.PROTECT,
        db_constraint=False,
        db_index=False,
        related_name="+",
    )
    return migrations.AlterField(model, "account", key)


class Migration(migrations.Migration):
    dependencies = [("mailsync", "0029_take_in_mail_cheaper")]

    operations = [*map(_by_way_of_another, ["event", "operation"])]
