-- The two roles of Mailbound, made once by a superuser in the new database:
--   psql -v app=mailbound_app -v owner=mailbound_owner -v password=... -f deploy/roles.sql mailbound
-- The owner runs `manage.py migrate --database owner`. The app's role owns nothing and cannot bypass
-- row-level security: it is what keeps one tenant's rows from another's, whatever the code does.
SELECT format('CREATE ROLE %I LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE NOBYPASSRLS', :'app')
WHERE NOT EXISTS (SELECT FROM pg_roles WHERE rolname = :'app') \gexec
SELECT format('ALTER ROLE %I PASSWORD %L', :'app', :'password') WHERE :'password' <> '' \gexec
SELECT format('GRANT CONNECT, TEMPORARY ON DATABASE %I TO %I', current_database(), :'app') \gexec
GRANT USAGE ON SCHEMA public TO :"app";
ALTER DEFAULT PRIVILEGES FOR ROLE :"owner" IN SCHEMA public
    GRANT SELECT, INSERT, UPDATE, DELETE ON TABLES TO :"app";
ALTER DEFAULT PRIVILEGES FOR ROLE :"owner" IN SCHEMA public
    GRANT USAGE ON SEQUENCES TO :"app";
-- The audit log can only grow. The migration that makes it says so, too; this is for a role that comes later.
SELECT format('REVOKE UPDATE, DELETE, TRUNCATE ON accounts_auditentry FROM %I', :'app')
WHERE to_regclass('accounts_auditentry') IS NOT NULL \gexec
