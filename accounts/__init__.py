"""Who works here: accounts (tenants), employees, the audit log, and the wall between tenants."""
