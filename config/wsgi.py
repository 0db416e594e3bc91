"""WSGI entry point for gunicorn."""

import gc
import os

from django.core.wsgi import get_wsgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
# Before the settings are read: a page gives up soon, so that those behind it do not wait in a row.
os.environ.setdefault("DATABASE_LOCK_SECONDS", "4")
# So the database knows who makes pages: long work gives way to them (mailsync.giving_way).
os.environ.setdefault("PGAPPNAME", "mailbound-pages")
application = get_wsgi_application()
# What is loaded stays until the end: each full collection looked through all of it, while somebody waits for a page.
gc.collect()
gc.freeze()
