"""What deletes the rows of a company that is being deleted, and what remains of it."""

from django.db import migrations, models

# As the owner, because the application's role may delete neither from the audit log nor from the ledger. The wall
# stands all the same: rows exist only for the acting account, and only a company whose time is over is touched.
ERASE = """
CREATE FUNCTION retention_erase(wanted text, company bigint, beyond bigint, most int,
                                OUT removed bigint, OUT last bigint)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
BEGIN
    IF NOT EXISTS (SELECT FROM accounts_account WHERE id = company AND erasing_since IS NOT NULL) THEN
        RAISE EXCEPTION 'this company is not being deleted';
    END IF;
    IF NOT EXISTS (SELECT FROM pg_policies
                   WHERE schemaname = 'public' AND tablename = wanted AND policyname = 'tenant') THEN
        RAISE EXCEPTION 'no table of a tenant';
    END IF;
    -- By the primary key, each batch from where the one before ended: what other companies have is passed once.
    EXECUTE format('WITH batch AS (SELECT id FROM %1$I WHERE account_id = $1 AND id > $2 ORDER BY id LIMIT $3),
                         gone AS (DELETE FROM %1$I t USING batch WHERE t.id = batch.id RETURNING t.id)
                    SELECT count(*), max(id) FROM gone', wanted)
        INTO removed, last USING company, beyond, most;
END $$;
CREATE OR REPLACE FUNCTION mailsync_refuse_ledger_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'UPDATE' AND NEW.outgoing_id IS NULL THEN
        OLD.outgoing_id := NULL;
        IF OLD IS NOT DISTINCT FROM NEW THEN
            RETURN NEW;  -- its letter is deleted; what it counted stays
        END IF;
    END IF;
    IF TG_OP = 'DELETE' AND EXISTS (
            SELECT FROM accounts_account WHERE id = OLD.account_id AND erasing_since IS NOT NULL) THEN
        RETURN OLD;  -- its whole company is being deleted
    END IF;
    RAISE EXCEPTION 'the ledger of outgoing mail is append-only';
END $$;
"""


class Migration(migrations.Migration):

    dependencies = [
        ('accounts', '0008_let_a_company_be_deleted'),
        ('mailsync', '0013_write_and_send'),
        ('retention', '0006_remember_who_left'),
    ]

    operations = [
        migrations.CreateModel(
            name='Erasure',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('company_id', models.BigIntegerField(unique=True)),
                ('name', models.CharField(max_length=200)),
                ('founded_at', models.DateTimeField()),
                ('began_at', models.DateTimeField()),
                ('finished_at', models.DateTimeField(null=True)),
                ('counts', models.JSONField(default=dict)),
                ('files', models.BigIntegerField(default=0)),
                ('bytes', models.BigIntegerField(default=0)),
            ],
        ),
        migrations.RunSQL(ERASE, "DROP FUNCTION retention_erase(text, bigint, bigint, int)"),
    ]
