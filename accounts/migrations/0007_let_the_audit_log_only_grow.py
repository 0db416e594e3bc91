"""The audit log is found by person and by kind; the application's role may add to it and read it, nothing else."""

import django.db.models.expressions
from django.db import migrations, models

# Whatever the role is called: everybody but the owner loses what changes or empties the table.
REVOKE = """
DO $$
DECLARE each record;
BEGIN
    FOR each IN SELECT DISTINCT grantee FROM information_schema.role_table_grants
                WHERE table_schema = 'public' AND table_name = 'accounts_auditentry' AND grantee <> current_user
    LOOP
        EXECUTE format('REVOKE UPDATE, DELETE, TRUNCATE ON accounts_auditentry FROM %I', each.grantee);
    END LOOP;
END $$;
"""


class Migration(migrations.Migration):
    dependencies = [("accounts", "0006_keep_second_factors_sessions_and_notices")]

    operations = [
        migrations.AddField(
            model_name="auditentry",
            name="kind",
            field=models.GeneratedField(
                db_persist=True,
                expression=models.Func(
                    "verb", models.Value("."), models.Value(1), function="split_part"
                ),
                output_field=models.CharField(max_length=60),
            ),
        ),
        migrations.AddIndex(
            model_name="auditentry",
            index=models.Index(fields=["account", "by", "-at", "-id"], name="audit_by_person"),
        ),
        migrations.AddIndex(
            model_name="auditentry",
            index=models.Index(fields=["account", "kind", "-at", "-id"], name="audit_by_kind"),
        ),
        migrations.RunSQL(REVOKE, migrations.RunSQL.noop),
    ]
