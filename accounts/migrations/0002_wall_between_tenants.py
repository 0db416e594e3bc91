"""Row-level security for people and the audit log; the audit log can only grow."""

from django.db import migrations

from accounts.rls import tenant_tables

# Signing in happens before an account is known: the one employee whose address was typed may be read.
SIGN_IN = (
    "CREATE POLICY sign_in ON accounts_employee FOR SELECT "
    "USING (email = NULLIF(current_setting('app.sign_in', true), ''))"
)

APPEND_ONLY = """
CREATE FUNCTION accounts_refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'the audit log is append-only';
END $$;
CREATE TRIGGER audit_append_only BEFORE UPDATE OR DELETE ON accounts_auditentry
    FOR EACH ROW EXECUTE FUNCTION accounts_refuse_change();
"""


class Migration(migrations.Migration):
    dependencies = [("accounts", "0001_people_and_audit")]

    operations = [
        tenant_tables("accounts_employee", "accounts_auditentry"),
        migrations.RunSQL(SIGN_IN, "DROP POLICY sign_in ON accounts_employee"),
        migrations.RunSQL(
            APPEND_ONLY,
            "DROP TRIGGER audit_append_only ON accounts_auditentry; DROP FUNCTION accounts_refuse_change()",
        ),
    ]
