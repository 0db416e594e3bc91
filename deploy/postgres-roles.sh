#!/bin/sh
# Runs once, when the official PostgreSQL image makes the cluster.
set -eu
psql -v ON_ERROR_STOP=1 --no-psqlrc -q -U "$POSTGRES_USER" -d "$POSTGRES_DB" \
    -v app=mailbound_app -v owner="$POSTGRES_USER" -v password="$POSTGRES_APP_PASSWORD" -f /roles.sql
