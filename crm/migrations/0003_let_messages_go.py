"""The foreign key is made at the end of the migration that makes its table, so it can be changed only here."""

from django.db import migrations

# A purge deletes messages and need not know of CRM, not even one that runs while a message is bound.
LET_GO = """
DO $$
DECLARE name text;
BEGIN
    SELECT conname INTO STRICT name FROM pg_constraint
    WHERE conrelid = 'crm_activitycopy'::regclass AND confrelid = 'mailsync_message'::regclass AND contype = 'f';
    EXECUTE format('ALTER TABLE crm_activitycopy DROP CONSTRAINT %I', name);
END $$;
ALTER TABLE crm_activitycopy ADD CONSTRAINT crm_activitycopy_message FOREIGN KEY (message_id)
    REFERENCES mailsync_message (id) ON DELETE CASCADE DEFERRABLE INITIALLY DEFERRED;
"""


class Migration(migrations.Migration):
    dependencies = [("crm", "0002_activities_and_feeds")]

    operations = [migrations.RunSQL(LET_GO, migrations.RunSQL.noop)]
