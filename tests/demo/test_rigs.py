"""The servers under the tests are what they claim to be."""

import imaplib
import ssl

import psycopg2
import pytest
from django.db import connection, transaction

from accounts import tenancy
from accounts.models import Account, Employee
from tests.rigs.mailserver import MailServer


@pytest.mark.django_db
def test_the_product_works_as_a_role_that_cannot_bypass_the_wall():
    with connection.cursor() as cursor:
        cursor.execute("SELECT rolname, rolsuper, rolbypassrls FROM pg_roles WHERE rolname = current_user")
        assert cursor.fetchone() == ("mailbound_app", False, False)
        cursor.execute("SELECT count(*) FROM pg_class WHERE relowner = 'mailbound_app'::regrole")
        assert cursor.fetchone() == (0,)


@pytest.mark.django_db
def test_ann_of_acme_is_not_seen_from_another_account():
    acme, other = Account.objects.create(name="Acme"), Account.objects.create(name="Other")
    with tenancy.acting_for(acme.pk):
        Employee.objects.create_user(account=acme, email="ann@acme.example", password="x" * 12, name="Ann")
        assert Employee.objects.count() == 1
    with tenancy.acting_for(other.pk):
        assert Employee.objects.count() == 0
    assert Employee.objects.count() == 0


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("run", [1, 2])
def test_a_transactional_test_leaves_nothing_to_the_next(run, postgres):
    assert Account.objects.count() == 0
    with transaction.atomic():
        Account.objects.create(name="Acme")
    with psycopg2.connect(postgres.owner_url) as outside, outside.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM accounts_account")
        assert cursor.fetchone() == (1,)
    outside.close()


def test_a_message_put_into_dovecot_is_there_with_its_flags(dovecot: MailServer):
    login, _ = dovecot.new_user()
    dovecot.append(login, b"Subject: one\r\n\r\nbody\r\n", flags="\\Seen $Work")
    dovecot.append(login, b"Subject: two\r\n\r\nbody\r\n", folder="Projects/2026")
    assert dovecot.uids(login) == {1: {"\\Seen", "$Work"}}
    assert dovecot.uids(login, "Projects/2026") == {1: set()}
    assert dovecot.maildir(login).is_dir()


def test_a_changed_password_is_refused_at_once(dovecot: MailServer):
    login, old = dovecot.new_user()
    dovecot.set_password(login, "another")
    with pytest.raises(imaplib.IMAP4.error, match="AUTHENTICATIONFAILED"):
        dovecot.server.imap(login, old)
    with dovecot.imap(login) as client:
        assert client.noop()[0] == "OK"


def test_the_tls_server_is_trusted_only_with_its_authority(dovecot_tls: MailServer):
    login, password = dovecot_tls.new_user()
    trusting = ssl.create_default_context(cafile=str(dovecot_tls.ca_file))
    client = imaplib.IMAP4_SSL(dovecot_tls.host, dovecot_tls.tls_port, ssl_context=trusting, timeout=20)
    assert client.login(login, password)[0] == "OK"
    client.logout()
    with pytest.raises(ssl.SSLCertVerificationError):
        imaplib.IMAP4_SSL(
            dovecot_tls.host, dovecot_tls.tls_port, ssl_context=ssl.create_default_context(), timeout=20
        )
