#!/usr/bin/env python3
"""Writes fresh keys: `python deploy/make_env.py > .env`, once per installation. Needs nothing but Python.

With --trial only what `./run` needs. Keep the file: without MAIL_SECRET_KEYS no mailbox password can be read.
"""

import base64
import secrets
import sys

SERVER = """
# Your address, as people type it; see .env.example for everything else.
ALLOWED_HOSTS=mail.example.com
CSRF_TRUSTED_ORIGINS=https://mail.example.com
HTTPS=1

# Read by docker-compose.yml; outside of it set DATABASE_URL, DATABASE_OWNER_URL and REDIS_URL instead.
POSTGRES_OWNER_PASSWORD={owner}
POSTGRES_APP_PASSWORD={app}
"""


def fernet_key() -> str:
    return base64.urlsafe_b64encode(secrets.token_bytes(32)).decode()


def main() -> None:
    print(f"SECRET_KEY={secrets.token_urlsafe(50)}")
    print(f"MAIL_SECRET_KEYS={fernet_key()}")
    if "--trial" in sys.argv:
        print(f"DEMO_PASSWORD={secrets.token_hex(2)}-{secrets.token_hex(2)}-{secrets.token_hex(2)}")
    else:
        print(SERVER.format(owner=secrets.token_urlsafe(24), app=secrets.token_urlsafe(24)), end="")


if __name__ == "__main__":
    main()
