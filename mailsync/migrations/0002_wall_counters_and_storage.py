"""What the ORM cannot say: row-level security, kept folder counters, uncompressed blobs."""

from django.db import migrations

from accounts.rls import tenant_tables

TABLES = [
    "mailsync_act",
    "mailsync_attachment",
    "mailsync_blob",
    "mailsync_connectiontest",
    "mailsync_folder",
    "mailsync_mailbox",
    "mailsync_mailboxgrant",
    "mailsync_message",
    "mailsync_operation",
    "mailsync_placement",
    "mailsync_skippedmessage",
    "mailsync_tombstone",
]

# One statement trigger each, so that a batch of 500 placements costs one UPDATE a folder.
COUNTERS = """
CREATE FUNCTION mailsync_count_added() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    UPDATE mailsync_folder f SET total = f.total + n.total, unseen = f.unseen + n.unseen
    FROM (SELECT folder_id, count(*) AS total, count(*) FILTER (WHERE NOT seen) AS unseen
          FROM added GROUP BY folder_id) n
    WHERE f.id = n.folder_id;
    RETURN NULL;
END $$;
CREATE FUNCTION mailsync_count_removed() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    UPDATE mailsync_folder f SET total = f.total - n.total, unseen = f.unseen - n.unseen
    FROM (SELECT folder_id, count(*) AS total, count(*) FILTER (WHERE NOT seen) AS unseen
          FROM removed GROUP BY folder_id) n
    WHERE f.id = n.folder_id;
    RETURN NULL;
END $$;
CREATE FUNCTION mailsync_count_changed() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    UPDATE mailsync_folder f SET total = f.total + n.total, unseen = f.unseen + n.unseen
    FROM (SELECT folder_id, sum(total) AS total, sum(unseen) AS unseen FROM (
              SELECT folder_id, count(*) AS total, count(*) FILTER (WHERE NOT seen) AS unseen
              FROM added GROUP BY folder_id
              UNION ALL
              SELECT folder_id, -count(*), -count(*) FILTER (WHERE NOT seen)
              FROM removed GROUP BY folder_id) d
          GROUP BY folder_id) n
    WHERE f.id = n.folder_id AND (n.total <> 0 OR n.unseen <> 0);
    RETURN NULL;
END $$;
CREATE TRIGGER mailsync_count_placements_added AFTER INSERT ON mailsync_placement
    REFERENCING NEW TABLE AS added FOR EACH STATEMENT EXECUTE FUNCTION mailsync_count_added();
CREATE TRIGGER mailsync_count_placements_removed AFTER DELETE ON mailsync_placement
    REFERENCING OLD TABLE AS removed FOR EACH STATEMENT EXECUTE FUNCTION mailsync_count_removed();
CREATE TRIGGER mailsync_count_placements_changed AFTER UPDATE ON mailsync_placement
    REFERENCING OLD TABLE AS removed NEW TABLE AS added
    FOR EACH STATEMENT EXECUTE FUNCTION mailsync_count_changed();
"""

DROP_COUNTERS = """
DROP TRIGGER mailsync_count_placements_added ON mailsync_placement;
DROP TRIGGER mailsync_count_placements_removed ON mailsync_placement;
DROP TRIGGER mailsync_count_placements_changed ON mailsync_placement;
DROP FUNCTION mailsync_count_added();
DROP FUNCTION mailsync_count_removed();
DROP FUNCTION mailsync_count_changed();
"""

# Most bytes of mail are base64 of what is compressed already: pglz would cost more than it saves.
STORAGE = "ALTER TABLE mailsync_blob ALTER COLUMN content SET STORAGE EXTERNAL"

# COPY refuses tables with row-level security, and a detour through a temporary table writes every body twice. So
# bodies are copied into a view that shows nothing; its trigger inserts them as the caller, under the policy.
DOOR = """
CREATE VIEW mailsync_incoming_blob AS
    SELECT 0::bigint AS account_id, ''::bytea AS sha256, 0::bigint AS size, ''::bytea AS content WHERE false;
CREATE FUNCTION mailsync_take_in_blob() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO mailsync_blob (account_id, sha256, size, content, created_at)
    VALUES (NEW.account_id, NEW.sha256, NEW.size, NEW.content, now())
    ON CONFLICT (account_id, sha256) DO NOTHING;
    RETURN NEW;
END $$;
CREATE TRIGGER mailsync_blob_comes_in INSTEAD OF INSERT ON mailsync_incoming_blob
    FOR EACH ROW EXECUTE FUNCTION mailsync_take_in_blob();
"""


class Migration(migrations.Migration):
    dependencies = [
        ("mailsync", "0001_replica_and_intentions"),
        ("accounts", "0002_wall_between_tenants"),
    ]

    operations = [
        tenant_tables(*TABLES),
        migrations.RunSQL(COUNTERS, DROP_COUNTERS),
        migrations.RunSQL(
            DOOR, "DROP VIEW mailsync_incoming_blob; DROP FUNCTION mailsync_take_in_blob()"
        ),
        migrations.RunSQL(STORAGE, "ALTER TABLE mailsync_blob ALTER COLUMN content SET STORAGE EXTENDED"),
    ]
