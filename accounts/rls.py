"""Row-level security as migration operations, so that a tenant table is declared tenant in one line."""

from django.db import migrations

CURRENT = "NULLIF(current_setting('app.account', true), '')::bigint"


def tenant_tables(*tables: str, column: str = "account_id") -> migrations.RunSQL:
    """Force the tenant policy on these tables: reading and writing are limited to the acting account."""
    return migrations.RunSQL(
        [statement for table in tables for statement in _policy(table, column)],
        [
            f"DROP POLICY tenant ON {table}; ALTER TABLE {table} DISABLE ROW LEVEL SECURITY"
            for table in tables
        ],
    )


def _policy(table: str, column: str) -> list[str]:
    return [
        f"ALTER TABLE {table} ENABLE ROW LEVEL SECURITY",
        f"ALTER TABLE {table} FORCE ROW LEVEL SECURITY",
        f"CREATE POLICY tenant ON {table} USING ({column} = {CURRENT}) WITH CHECK ({column} = {CURRENT})",
    ]
