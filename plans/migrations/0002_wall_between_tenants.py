"""Row-level security for subscriptions; plans themselves are the same for everybody."""

from django.db import migrations

from accounts.rls import tenant_tables


class Migration(migrations.Migration):
    dependencies = [
        ("plans", "0001_dated_limits_and_subscriptions"),
        ("accounts", "0002_wall_between_tenants"),
    ]

    operations = [tenant_tables("plans_subscription")]
