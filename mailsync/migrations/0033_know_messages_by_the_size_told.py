"""Some servers estimate RFC822.SIZE (H08). What they told is kept where it is not the size that was counted; of mail that is
here already it is not known, and its size goes on standing for it."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("mailsync", "0032_know_whom_an_operation_is_meant_for")]

    operations = [migrations.AddField("message", "told_size", models.BigIntegerField(null=True))]
