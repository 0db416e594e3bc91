"""A company is deleted after a waiting time that the database itself keeps: the application cannot shorten it."""

from django.db import migrations, models

# Only the owner of the table, who migrates, is not asked.
GUARD = """
CREATE FUNCTION accounts_guard_deletion() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF (SELECT relowner FROM pg_class WHERE oid = TG_RELID) = current_user::text::regrole THEN
        IF TG_OP = 'DELETE' THEN RETURN OLD; END IF;
        RETURN NEW;
    END IF;
    IF TG_OP = 'DELETE' THEN
        IF OLD.erasing_since IS NULL THEN
            RAISE EXCEPTION 'a company is deleted only when its waiting time is over';
        END IF;
        RETURN OLD;
    END IF;
    IF NEW.deletes_at IS DISTINCT FROM OLD.deletes_at
            AND (OLD.erasing_since IS NOT NULL OR NEW.deletes_at < now() + interval '29 days') THEN
        RAISE EXCEPTION 'the waiting time before a company is deleted cannot be shortened';
    END IF;
    IF NEW.erasing_since IS DISTINCT FROM OLD.erasing_since
            AND (OLD.erasing_since IS NOT NULL OR OLD.deletes_at IS NULL OR OLD.deletes_at > now()) THEN
        RAISE EXCEPTION 'the waiting time before this company is deleted is not over';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER deletion_guarded BEFORE DELETE OR UPDATE OF deletes_at, erasing_since ON accounts_account
    FOR EACH ROW EXECUTE FUNCTION accounts_guard_deletion();
CREATE OR REPLACE FUNCTION accounts_refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'DELETE' AND EXISTS (
            SELECT FROM accounts_account WHERE id = OLD.account_id AND erasing_since IS NOT NULL) THEN
        RETURN OLD;  -- its whole company is being deleted
    END IF;
    RAISE EXCEPTION 'the audit log is append-only';
END $$;
"""
NO_GUARD = """
DROP TRIGGER deletion_guarded ON accounts_account;
DROP FUNCTION accounts_guard_deletion();
CREATE OR REPLACE FUNCTION accounts_refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'the audit log is append-only';
END $$;
"""


class Migration(migrations.Migration):

    dependencies = [
        ('accounts', '0007_let_the_audit_log_only_grow'),
    ]

    operations = [
        migrations.AddField(
            model_name='account',
            name='deletes_at',
            field=models.DateTimeField(null=True),
        ),
        migrations.AddField(
            model_name='account',
            name='erasing_since',
            field=models.DateTimeField(null=True),
        ),
        migrations.AlterField(
            model_name='personalnotice',
            name='kind',
            field=models.CharField(choices=[('two_factor_reset', 'Two Factor Reset'), ('deletion_planned', 'Deletion Planned'), ('deletion_called_off', 'Deletion Called Off')], max_length=30),
        ),
        migrations.RunSQL(GUARD, NO_GUARD),
    ]
