"""What a first synchronisation of much mail costs the database: bodies come in by the batch and not one by one, what
fits into half a page is neither compressed nor laid aside, and a row does not ask for its account where a row that it
refers to has done so."""

import django.db.models.deletion
from django.db import migrations, models

# A statement for each body took longer than its bytes. Digests have 32 bytes each; a body that is a file has no place
# in `contents`, whose bodies lie one after the other.
BATCHES = """
DROP VIEW mailsync_incoming_blob;
DROP FUNCTION mailsync_take_in_blob();
CREATE VIEW mailsync_incoming_blobs AS
    SELECT 0::bigint AS account_id, ''::bytea AS digests, '{}'::bigint[] AS sizes, '{}'::bigint[] AS places,
           ''::bytea AS contents WHERE false;
CREATE FUNCTION mailsync_take_in_blobs() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO mailsync_blob (account_id, digest, size, content, created_at)
    SELECT NEW.account_id, substr(NEW.digests, (b.n::int - 1) * 32 + 1, 32), b.size,
           CASE WHEN b.place >= 0 THEN substr(NEW.contents, b.place::int + 1, b.size::int) END, now()
    FROM unnest(NEW.sizes, NEW.places) WITH ORDINALITY AS b(size, place, n)
    ON CONFLICT (account_id, digest) DO NOTHING;
    RETURN NEW;
END $$;
CREATE TRIGGER mailsync_blobs_come_in INSTEAD OF INSERT ON mailsync_incoming_blobs
    FOR EACH ROW EXECUTE FUNCTION mailsync_take_in_blobs();
"""
ONE_BY_ONE = """
DROP VIEW mailsync_incoming_blobs;
DROP FUNCTION mailsync_take_in_blobs();
CREATE VIEW mailsync_incoming_blob AS
    SELECT 0::bigint AS account_id, ''::bytea AS digest, 0::bigint AS size, ''::bytea AS content WHERE false;
CREATE FUNCTION mailsync_take_in_blob() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO mailsync_blob (account_id, digest, size, content, created_at)
    VALUES (NEW.account_id, NEW.digest, NEW.size, NEW.content, now())
    ON CONFLICT (account_id, digest) DO NOTHING;
    RETURN NEW;
END $$;
CREATE TRIGGER mailsync_blob_comes_in INSTEAD OF INSERT ON mailsync_incoming_blob
    FOR EACH ROW EXECUTE FUNCTION mailsync_take_in_blob();
"""
# Half a page: nearly all headers of mail with their row, and the bodies of short letters.
ROOM = """
ALTER TABLE mailsync_message SET (toast_tuple_target = 4080);
ALTER TABLE mailsync_blob SET (toast_tuple_target = 4080);
"""
USUAL_ROOM = """
ALTER TABLE mailsync_message RESET (toast_tuple_target);
ALTER TABLE mailsync_blob RESET (toast_tuple_target);
"""


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
    dependencies = [("mailsync", "0028_know_bodies_by_blake3")]

    operations = [
        migrations.RunSQL(BATCHES, ONE_BY_ONE),
        migrations.RunSQL(ROOM, USUAL_ROOM),
        *map(_by_way_of_another, ["message", "attachment", "placement"]),
    ]
