"""The column that held SHA-256 of a body gets a name that says less, before migration 0028 fills it anew."""

from django.db import migrations, models

DOOR = """
DROP VIEW mailsync_incoming_blob;
CREATE VIEW mailsync_incoming_blob AS
    SELECT 0::bigint AS account_id, ''::bytea AS {name}, 0::bigint AS size, ''::bytea AS content WHERE false;
CREATE OR REPLACE FUNCTION mailsync_take_in_blob() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO mailsync_blob (account_id, {name}, size, content, created_at)
    VALUES (NEW.account_id, NEW.{name}, NEW.size, NEW.content, now())
    ON CONFLICT (account_id, {name}) DO NOTHING;
    RETURN NEW;
END $$;
CREATE TRIGGER mailsync_blob_comes_in INSTEAD OF INSERT ON mailsync_incoming_blob
    FOR EACH ROW EXECUTE FUNCTION mailsync_take_in_blob();
"""


class Migration(migrations.Migration):
    dependencies = [("mailsync", "0026_count_workers_that_die")]

    operations = [
        migrations.RemoveConstraint("blob", "blob_once_an_account"),
        migrations.RenameField("blob", "sha256", "digest"),
        migrations.AddConstraint(
            "blob", models.UniqueConstraint(fields=("account", "digest"), name="blob_once_an_account")
        ),
        migrations.RunSQL(DOOR.format(name="digest"), DOOR.format(name="sha256")),
    ]
