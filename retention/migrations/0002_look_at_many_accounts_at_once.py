"""One question for a thousand accounts: behind the wall each would take a transaction of its own.

The function runs with the rights of its caller and looks into one account after the other, as tenancy.acting_for does.
"""

from django.db import migrations

OLDEST = """
CREATE FUNCTION retention_oldest(accounts bigint[], days date[])
RETURNS TABLE (account bigint, day date, plan text, oldest timestamptz) LANGUAGE plpgsql AS $$
DECLARE before text := coalesce(current_setting('app.account', true), '');
BEGIN
    FOR account, day IN SELECT * FROM unnest(accounts, days) LOOP
        PERFORM set_config('app.account', account::text, true);
        SELECT s.plan INTO plan FROM plans_subscription s
        WHERE s.account_id = account AND s.starts_on <= day AND (s.ends_on IS NULL OR s.ends_on > day);
        SELECT min(m.ages_from) INTO oldest FROM mailsync_mailbox b CROSS JOIN LATERAL (
            SELECT ages_from FROM mailsync_message WHERE mailbox_id = b.id ORDER BY ages_from LIMIT 1) m
        WHERE b.account_id = account;
        RETURN NEXT;
    END LOOP;
    PERFORM set_config('app.account', before, true);
END $$;
"""


class Migration(migrations.Migration):

    dependencies = [
        ("retention", "0001_runs_and_their_lines"),
        ("plans", "0003_load_the_catalogue"),
    ]

    operations = [migrations.RunSQL(OLDEST, "DROP FUNCTION retention_oldest(bigint[], date[])")]
