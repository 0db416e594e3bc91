"""All settings, read from the environment; every variable is described in .env.example.

One file, no variants: development, tests and production differ only in their environment.
"""

import sys
from pathlib import Path

import django_stubs_ext
import environ
from celery.schedules import crontab
from csp.constants import NONE, SELF
from django.contrib.messages import constants as messages
from django.core.exceptions import ImproperlyConfigured

django_stubs_ext.monkeypatch()

BASE_DIR = Path(__file__).resolve().parent.parent
env = environ.Env()
env.read_env(BASE_DIR / ".env")

DEBUG = env.bool("DEBUG", default=False)
SECRET_KEY = env.str("SECRET_KEY", default="")
# Fernet keys, newest first; an old key stays in the list until `manage.py rotate_secrets` has run.
MAIL_SECRET_KEYS = env.list("MAIL_SECRET_KEYS", default=[])
if not SECRET_KEY or not MAIL_SECRET_KEYS:
    raise ImproperlyConfigured(
        "SECRET_KEY and MAIL_SECRET_KEYS must be set (see .env.example); "
        "`./run` makes them for a trial and `python deploy/make_env.py` for a server."
    )
ALLOWED_HOSTS = env.list("ALLOWED_HOSTS", default=["localhost", "127.0.0.1", "[::1]"])
CSRF_TRUSTED_ORIGINS = env.list("CSRF_TRUSTED_ORIGINS", default=[])

INSTALLED_APPS = [
    "django.contrib.admin.apps.SimpleAdminConfig",  # the operators' pages (plans.admin)
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "django.contrib.postgres",
    "django_htmx",
    "lucide",
    "django_prose_editor",
    "template_partials",
    "allauth",
    "allauth.account",
    "allauth.mfa",
    "csp",
    "django_structlog",
    "accounts",
    "plans",
    "mailsync",
    "crm",
    "tasks",
    "retention",
    "overview",
    "demo",
]

MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "csp.middleware.CSPMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "accounts.middleware.RequestLogMiddleware",
    "django_htmx.middleware.HtmxMiddleware",
    "allauth.account.middleware.AccountMiddleware",
    "accounts.middleware.LocaleOfEmployeeMiddleware",
    # Last, because it wraps the view: one transaction with the account of the session set in it.
    "accounts.middleware.TenancyMiddleware",
]

ROOT_URLCONF = "config.urls"
WSGI_APPLICATION = "config.wsgi.application"
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [BASE_DIR / "templates"],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
                "accounts.adapter.of_sign_in",
            ],
        },
    },
]

# The application's role: owns nothing, cannot bypass row-level security.
DATABASES = {"default": env.db_url("DATABASE_URL", default="postgres:///mailbound")}
DATABASES["default"]["CONN_MAX_AGE"] = 60
DATABASES["default"]["CONN_HEALTH_CHECKS"] = True
# Whoever waits for a lock longer (a migration has the table) gives up: workers well before their lease is over.
LOCK_SECONDS = env.int("DATABASE_LOCK_SECONDS", default=25)
_options = DATABASES["default"].setdefault("OPTIONS", {})
_options["options"] = f"-c lock_timeout={LOCK_SECONDS}s {_options.get('options', '')}".strip()
# Not behind a pooler that gives each transaction another connection.
DATABASE_PREPARES = env.bool("DATABASE_PREPARES", default=True)
# The role that owns the tables: only for `manage.py migrate --database owner`.
if env.str("DATABASE_OWNER_URL", default=""):
    DATABASES["owner"] = env.db_url("DATABASE_OWNER_URL")
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

REDIS_URL = env.str("REDIS_URL", default="redis://localhost:6379/0")
CACHES = {
    "default": {
        "BACKEND": "config.cache.RedisCache",
        "LOCATION": REDIS_URL,
        "OPTIONS": {"socket_timeout": 0.5, "socket_connect_timeout": 0.5},
    }
}
# Read from Redis, kept in PostgreSQL: losing Redis signs nobody out.
SESSION_ENGINE = "django.contrib.sessions.backends.cached_db"

# Celery: clock and muscle; the truth about pending work is rows (docs/architecture.md).
CELERY_BROKER_URL = REDIS_URL.replace("unix://", "redis+socket://")
CELERY_TASK_IGNORE_RESULT = True
CELERY_TASK_SERIALIZER = "json"
CELERY_ACCEPT_CONTENT = ["json"]
CELERY_TASK_ACKS_LATE = True
CELERY_TASK_REJECT_ON_WORKER_LOST = True
CELERY_WORKER_PREFETCH_MULTIPLIER = 1
CELERY_WORKER_MAX_MEMORY_PER_CHILD = 280_000  # kB
CELERY_WORKER_HIJACK_ROOT_LOGGER = False
CELERY_TASK_SOFT_TIME_LIMIT = 280
CELERY_TASK_TIME_LIMIT = 300
CELERY_BROKER_TRANSPORT_OPTIONS = {
    "visibility_timeout": 900,
    # A click must not wait for a broker that is down: the hint is lost and the tick comes again.
    "max_retries": 1,
    "interval_start": 0,
    "interval_step": 0.1,
    "interval_max": 0.1,
    "socket_connect_timeout": 2,
}
CELERY_BROKER_CONNECTION_RETRY_ON_STARTUP = True
CELERY_TASK_DEFAULT_QUEUE = "sync"
CELERY_BEAT_SCHEDULE = {
    "tick": {
        "task": "mailsync.tick",
        "schedule": env.float("MAIL_TICK_SECONDS", default=5.0),
        "options": {"expires": 30},
    },
    "send_due": {
        "task": "mailsync.send_due",
        "schedule": 3.0,
        "options": {"queue": "interactive", "expires": 3},
    },
    # Whose turn it is by night, and what a click asked for while the broker was down.
    "hint_checks": {"task": "mailsync.hint_checks", "schedule": 15.0, "options": {"expires": 30}},
    # What a click started while the broker was down, and what a worker left lying.
    "hint_enrolments": {
        "task": "mailsync.hint_enrolments",
        "schedule": 120.0,
        "options": {"queue": "bulk", "expires": 120},
    },
    "discard_left": {
        "task": "mailsync.discard_left",
        "schedule": crontab(minute="25"),
        "options": {"queue": "bulk", "expires": 3600},
    },
    "drop_events": {
        "task": "mailsync.drop_events",
        "schedule": crontab(hour="3", minute="40"),
        "options": {"queue": "bulk"},
    },
    "drop_notes": {
        "task": "mailsync.drop_notes",
        "schedule": crontab(hour="3", minute="40"),
        "options": {"queue": "bulk"},
    },
    "forget_letters": {
        "task": "mailsync.forget_letters",
        "schedule": crontab(hour="3", minute="50"),
        "options": {"queue": "bulk"},
    },
    "forget_enrolments": {
        "task": "mailsync.forget_enrolments",
        "schedule": crontab(hour="3", minute="55"),
        "options": {"queue": "bulk"},
    },
    # Deletions whose half minute is over, reminders whose moment has come.
    "tasks": {"task": "tasks.tick", "schedule": 10.0, "options": {"queue": "interactive", "expires": 10}},
    # Four times a night, so that what a worker left lying is taken up; later ones find nothing to do.
    "purge": {
        "task": "retention.nightly",
        "schedule": crontab(hour="2-5", minute="20"),
        "options": {"queue": "purge"},
    },
    "sweep": {
        "task": "retention.sweep",
        "schedule": crontab(hour="4", minute="40"),
        "options": {"queue": "purge"},
    },
    # After the last purge of the night: what the admins' list of mailboxes says of storage.
    "count_storage": {
        "task": "retention.count_storage",
        "schedule": crontab(hour="5", minute="50"),
        "options": {"queue": "purge"},
    },
    # Companies that asked to be deleted a month ago.
    "erase": {"task": "retention.erase", "schedule": crontab(minute="50"), "options": {"queue": "purge"}},
    "exports": {"task": "retention.exports", "schedule": 600.0, "options": {"queue": "bulk", "expires": 600}},
    # Several times a day, because companies' days begin at different hours; each stage is told once.
    "tell_changes": {
        "task": "retention.tell_changes",
        "schedule": crontab(hour="*/6", minute="5"),
        "options": {"queue": "bulk"},
    },
    # A week before a leaver's mailboxes end, and when they do.
    "leavers": {
        "task": "retention.leavers",
        "schedule": crontab(hour="*/3", minute="35"),
        "options": {"queue": "bulk"},
    },
    # Matchings whose job was lost, and what has been in the bin of CRM for long enough.
    "crm": {"task": "crm.tick", "schedule": 60.0, "options": {"expires": 60}},
    "crm_bins": {
        "task": "crm.empty_bins",
        "schedule": crontab(hour="4", minute="10"),
        "options": {"queue": "bulk"},
    },
}

# Mail
MAIL_POLL_SECONDS = env.int("MAIL_POLL_SECONDS", default=60)
# How often a server that is down is tried, for all mailboxes there.
MAIL_PROBE_SECONDS = env.int("MAIL_PROBE_SECONDS", default=60)
# A worker that was killed is noticed so long after it last renewed its lease, which it does four times as often.
MAIL_LEASE_SECONDS = env.int("MAIL_LEASE_SECONDS", default=50)
# How long one letter may take on its way to the outgoing server: a worker that died is noticed after that.
MAIL_SEND_LEASE_SECONDS = env.int("MAIL_SEND_LEASE_SECONDS", default=600)
# Letters a minute from one mailbox: providers close mailboxes that send like machines.
MAIL_SEND_PER_MINUTE = env.int("MAIL_SEND_PER_MINUTE", default=30)
# Whether the admins of a company may change its plan themselves, or have to ask who runs this installation.
ADMINS_CHANGE_PLANS = env.bool("ADMINS_CHANGE_PLANS", default=True)
# Who is written to when an admin asks for another plan.
OPERATOR_EMAILS = env.list("OPERATOR_EMAILS", default=[])
# Whom lists of mail ask what leaves soon: retention, which mail may not import.
MAIL_LEAVING = "retention.soon.Soon"
# Percent of a company's monthly quota that campaigns may use.
MAIL_MARKETING_SHARE = env.int("MAIL_MARKETING_SHARE", default=90)
# Seconds for second thoughts after "Send".
MAIL_UNDO_SECONDS = env.int("MAIL_UNDO_SECONDS", default=10)
MAIL_WORKERS_PER_HOST = env.int("MAIL_WORKERS_PER_HOST", default=20)
MAIL_WORKERS_PER_LOGIN = env.int("MAIL_WORKERS_PER_LOGIN", default=2)
MAIL_ALLOW_PRIVATE_HOSTS = env.bool("MAIL_ALLOW_PRIVATE_HOSTS", default=False)
MAIL_CA_FILE = env.str("MAIL_CA_FILE", default="")
MAIL_MAX_MESSAGE_BYTES = env.int("MAIL_MAX_MESSAGE_BYTES", default=50 * 1024 * 1024)
# The largest letter that is written here, encoded; most servers take so much.
MAIL_MAX_LETTER_BYTES = env.int("MAIL_MAX_LETTER_BYTES", default=25 * 1024 * 1024)
# Bodies of at least so many bytes are files, the others rows.
MAIL_FILES_FROM = env.int("MAIL_FILES_FROM", default=64 * 1024)
# Providers at which people may consent that we read their mailbox (OAuth 2); without a client id one is not offered.
OAUTH = {
    "google": {
        "client_id": env.str("OAUTH_GOOGLE_CLIENT_ID", default=""),
        "client_secret": env.str("OAUTH_GOOGLE_CLIENT_SECRET", default=""),
        "endpoints": env.dict("OAUTH_GOOGLE_ENDPOINTS", default={}),
    },
    "microsoft": {
        "client_id": env.str("OAUTH_MICROSOFT_CLIENT_ID", default=""),
        "client_secret": env.str("OAUTH_MICROSOFT_CLIENT_SECRET", default=""),
        "endpoints": env.dict("OAUTH_MICROSOFT_ENDPOINTS", default={}),
    },
    "company": {
        "client_id": env.str("OAUTH_COMPANY_CLIENT_ID", default=""),
        "client_secret": env.str("OAUTH_COMPANY_CLIENT_SECRET", default=""),
        "endpoints": env.dict("OAUTH_COMPANY_ENDPOINTS", default={}),
        "name": env.str("OAUTH_COMPANY_NAME", default="your company"),
        "domains": env.list("OAUTH_COMPANY_DOMAINS", default=[]),
        "scopes": env.str("OAUTH_COMPANY_SCOPES", default="openid email offline_access"),
        "servers": env.dict("OAUTH_COMPANY_SERVERS", default={}),
    },
}
# Open pages that are told of news at once; each takes one of the web server's threads, the others look by themselves.
LIVE_STREAMS = env.int("LIVE_STREAMS", default=24)
# How long it is written down what happened to a message (mailsync.events).
MAIL_HISTORY_DAYS = env.int("MAIL_HISTORY_DAYS", default=90)
# A purge that would remove more than this many percent of a company's messages waits for an admin.
MAIL_PURGE_BRAKE = env.int("MAIL_PURGE_BRAKE", default=50)
# Invitations and notices go by e-mail where a server for it is named (smtp+tls://login:password@host:port).
EMAIL_URL = env.str("EMAIL_URL", default="")
if EMAIL_URL:
    vars().update(env.email_url("EMAIL_URL"))
# A server that does not answer must not hold up who waits for the page.
EMAIL_TIMEOUT = 20
DEFAULT_FROM_EMAIL = env.str("EMAIL_FROM", default="mailbound@localhost")
MAIL_DEMO_NOTE = env.str("MAIL_DEMO_NOTE", default="")

# People
AUTH_USER_MODEL = "accounts.Employee"
AUTHENTICATION_BACKENDS = ["accounts.backend.EmployeeBackend"]
PASSWORD_HASHERS = [
    "django.contrib.auth.hashers.Argon2PasswordHasher",
    "django.contrib.auth.hashers.PBKDF2PasswordHasher",
]
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": "django.contrib.auth.password_validation.MinimumLengthValidator", "OPTIONS": {"min_length": 10}},
    {"NAME": "django.contrib.auth.password_validation.CommonPasswordValidator"},
    {"NAME": "django.contrib.auth.password_validation.UserAttributeSimilarityValidator"},
]
ACCOUNT_ADAPTER = "accounts.adapter.AccountAdapter"
ACCOUNT_FORMS = {"login": "accounts.forms.LoginForm"}
ACCOUNT_LOGIN_METHODS = {"email"}
ACCOUNT_SIGNUP_FIELDS = ["email*", "password1*"]
ACCOUNT_USER_MODEL_USERNAME_FIELD = None
ACCOUNT_EMAIL_VERIFICATION = "none"
ACCOUNT_SESSION_REMEMBER = True
ACCOUNT_LOGOUT_ON_GET = False
# Whether strangers may make a company of their own here, with a trial.
SIGN_UP = env.bool("SIGN_UP", default=False)
# Failed passwords are counted by accounts.throttling: by allauth's limits one person could lock out a whole office.
ACCOUNT_RATE_LIMITS = {
    "login": "",
    "login_failed": "5/300s/key",
    "sign_up": "10/h/ip,3/h/key",
    "invite": "60/h/key",
}
MFA_ADAPTER = "accounts.two_factor.TwoFactorAdapter"
MFA_SUPPORTED_TYPES = ["totp", "webauthn", "recovery_codes"]
MFA_PASSKEY_LOGIN_ENABLED = True
MFA_FORMS = {"login_webauthn": "accounts.two_factor.PasskeyForm"}
MFA_RATE_LIMITS = {"webauthn_login": "60/m/ip"}
MFA_TOTP_ISSUER = "Mailbound"
MFA_TOTP_TOLERANCE = 1  # clocks of telephones may be half a minute off
MFA_ALLOW_UNVERIFIED_EMAIL = True  # allauth's table of addresses stays empty: it has no wall
# How many proxies of ours stand in front: the client's address of the rate limits is read behind them.
ALLAUTH_TRUSTED_PROXY_COUNT = env.int("TRUSTED_PROXIES", default=0)
LOGIN_URL = "account_login"
LOGIN_REDIRECT_URL = "/"
ACCOUNT_LOGOUT_REDIRECT_URL = "account_login"

# Pages
MESSAGE_TAGS = {messages.SUCCESS: "good", messages.WARNING: "warn", messages.ERROR: "bad"}  # banner classes
LANGUAGE_CODE = "en"
# One language, and so nothing to look up: a page asks for a hundred words. Who translates adds the language here.
LANGUAGES = [("en", "English")]
USE_I18N = len(LANGUAGES) > 1
LOCALE_PATHS = [BASE_DIR / "locale"]
TIME_ZONE = "UTC"
USE_TZ = True
FORMAT_MODULE_PATH = "config.formats"
STATIC_URL = "static/"
STATIC_ROOT = BASE_DIR / "var" / "static"
STORAGES = {
    "default": {"BACKEND": "django.core.files.storage.FileSystemStorage"},
    "mail": {
        "BACKEND": "mailsync.files.DurableFiles",
        "OPTIONS": {"location": env.str("MAIL_FILES", default=str(BASE_DIR / "var" / "bodies"))},
    },
    "staticfiles": {"BACKEND": "whitenoise.storage.CompressedManifestStaticFilesStorage"},
}
if DEBUG or "pytest" in sys.modules:
    STORAGES["staticfiles"] = {"BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"}
    WHITENOISE_USE_FINDERS = True
WHITENOISE_MANIFEST_STRICT = True

# Security
HTTPS = env.bool("HTTPS", default=False)
SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = HTTPS
SESSION_COOKIE_HTTPONLY = True
SESSION_COOKIE_SAMESITE = "Lax"
if HTTPS:
    SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")
    SECURE_HSTS_SECONDS = 31_536_000
# Not no-referrer: with it browsers send "Origin: null" on every form, which the CSRF check must refuse.
SECURE_REFERRER_POLICY = "same-origin"
SECURE_CROSS_ORIGIN_OPENER_POLICY = "same-origin"
X_FRAME_OPTIONS = "SAMEORIGIN"  # mail bodies are framed by our own pages
CONTENT_SECURITY_POLICY = {
    "DIRECTIVES": {
        "default-src": [NONE],
        "script-src": [SELF],
        "style-src": [SELF],
        "img-src": [SELF, "data:"],
        "font-src": [SELF],
        "connect-src": [SELF],
        "frame-src": [SELF],
        "form-action": [SELF],
        "base-uri": [NONE],
        "frame-ancestors": [SELF],
        "manifest-src": [SELF],
    },
}

# Not the middleware's own look at request.user, which comes before the tenant is known and would make
# everybody anonymous: accounts.middleware binds account and employee.
DJANGO_STRUCTLOG_USER_ID_FIELD = ""
LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {"json": {"()": "accounts.logs.formatter"}},
    "handlers": {"console": {"class": "logging.StreamHandler", "formatter": "json"}},
    "root": {"handlers": ["console"], "level": env.str("LOG_LEVEL", default="INFO")},
    "loggers": {"django.server": {"level": "WARNING"}},
}
