"""Every URL by every method, asked by every kind of person: matrix.txt says what each of them gets.

The walk finds new URLs by itself. A URL with a new kind of id fails until `furnishing` knows one.
"""

import logging
from collections.abc import Iterator
from typing import Any

import pytest
from django.conf import settings
from django.core import signing
from django.db import connection
from django.http import HttpResponseBase
from django.test import override_settings
from django.urls import reverse
from pytest_django import DjangoDbBlocker

from mailsync.mime.sanitize import PLACEHOLDER_BYTES
from mailsync.models import Placement
from mailsync.views.images import proxied
from tests.accounts.furnishing import COMPANY, PRIVATE
from tests.accounts.guarded import (
    INSIDE,
    NAME,
    OUTSIDE,
    PEOPLE,
    TENANT,
    Guarded,
    furnish,
    rows_of,
    undone,
)
from tests.accounts.matrix import Endpoint, Line, endpoints, is_sign_in, lines, text_of, written
from tests.mime.test_images import PNG, answer, web

ENDPOINTS = endpoints()
# No URL takes the third: it stands for every method that nobody thought of.
WRONG = "DELETE"
METHODS = ("GET", "POST", WRONG)
REFUSED = {403, 404, 405}
NOT_THERE = 987_654_321_012
# Parts of a URL that name no row of anybody's.
NO_ID = {"kind", "plan", "app_label", "status", "part", "token"}


@pytest.fixture(scope="module")
def guarded(django_db_setup: None, django_db_blocker: DjangoDbBlocker) -> Iterator[Guarded]:
    """Furnished once: each test takes back what it wrote."""
    offered = {**settings.OAUTH, "google": {**settings.OAUTH["google"], "client_id": "ours"}}
    with django_db_blocker.unblock(), override_settings(OAUTH=offered), undone():
        yield furnish()


@pytest.fixture(autouse=True)
def streams_end_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """The walker reads every answer to its end."""
    monkeypatch.setattr("mailsync.views.live.SECONDS", 0)


@pytest.fixture(autouse=True)
def clean(guarded: Guarded) -> Iterator[None]:
    """Without a line in the log for each of thousands of refusals: they take a tenth of the time."""
    logging.disable()
    with undone():
        yield
    logging.disable(logging.NOTSET)


@pytest.mark.parametrize("endpoint", ENDPOINTS, ids=lambda endpoint: endpoint.name)
def test_everybody_gets_what_the_matrix_says(guarded: Guarded, endpoint: Endpoint) -> None:
    unknown = {*endpoint.kwargs} - guarded.things.ids.keys()
    assert not unknown, f"tests/accounts/furnishing.py must give an id of Acme's for {sorted(unknown)}"
    known = {method: lines().get((endpoint.name, method)) for method in METHODS}
    if not any(known.values()):
        pytest.fail(f"{endpoint.name} is new. Say in tests/accounts/matrix.txt who gets what; now it would be\n"
                    + proposed(guarded, endpoint))  # fmt: skip
    wrong, before = [], writes()
    for method, line in known.items():
        for who, word in (line.answers if line else others(known)).items():
            found, before = complaints(guarded, endpoint, method, who, word, before)
            wrong += [f"{method} by {who}: {each}" for each in found]
    assert wrong == [], "\n".join(wrong)


def test_the_matrix_has_no_line_for_a_url_that_is_gone() -> None:
    assert {name for name, _method in lines()} - {endpoint.name for endpoint in ENDPOINTS} == set()


def test_nobody_outside_of_acme_opens_more_than_their_own() -> None:
    """The words themselves are held to the rule: what a stranger opens is their own, or everybody's."""
    generous = [key for key, line in lines().items() for who in OUTSIDE if line.answers[who] == "yes"]
    assert generous == []


def others(known: dict[str, Line | None]) -> dict[str, str]:
    """Who is asked by a method that the URL does not take: nobody signed in, and one for whom it opens."""
    [said, *_] = [line for line in known.values() if line]
    insiders = [who for who in reversed(PEOPLE) if said.answers[who] in {"yes", "own"}]
    return dict.fromkeys(["anonymous", *insiders[:1]], "refused")


def complaints(
    guarded: Guarded, endpoint: Endpoint, method: str, who: str, word: str, before: dict[str, int]
) -> tuple[list[str], dict[str, int]]:
    """What is wrong with the answer, and with what it wrote, if the matrix has this word; and what is written now."""
    with undone():
        answer = ask(guarded, endpoint, method, who)
        text = text_of(answer)
        after = writes()
        written_to = {table for table, count in after.items() if count != before.get(table)}
        found = [f"{answer.status_code} instead of “{word}”"] if not fits(answer, word) else []
        if word in {"no", "login", "refused"} and written_to:
            found.append(f"wrote to {sorted(written_to)}")
        elif word == "own" and (changed := changed_rows(guarded, who, written_to)):
            found.append(f"changed what is not theirs in {changed}")
        if who == "stranger" and word == "no" and not looks_absent(guarded, endpoint, method, answer):
            found.append("differs from the answer for what never was")
    canaries = [PRIVATE, COMPANY, NAME] if who in OUTSIDE else [PRIVATE] if word != "yes" else []
    found += [f"the answer tells “{each}”" for each in canaries if each in text.lower()]
    return found, after


def ask(
    guarded: Guarded, endpoint: Endpoint, method: str, who: str, ids: dict[str, Any] | None = None
) -> HttpResponseBase:
    url = reverse(endpoint.name, kwargs=ids or guarded.things.ids_of(endpoint.name, endpoint.kwargs))
    send = getattr(guarded.browser(who), method.lower())
    answer: HttpResponseBase = send(url, given(guarded, endpoint, method))
    return answer


def given(guarded: Guarded, endpoint: Endpoint, method: str) -> dict[str, object] | None:
    if method == WRONG:
        return None
    return guarded.things.form_of(endpoint.name) if method == "POST" else guarded.things.form


def fits(answer: HttpResponseBase, word: str) -> bool:
    if is_sign_in(answer):
        return word in {"login", "refused"}
    return {
        "yes": answer.status_code < 500 and answer.status_code not in REFUSED,
        "own": answer.status_code < 500 and answer.status_code not in REFUSED,
        "no": answer.status_code in {403, 404},
        "login": False,
        # Whoever is signed in is sent away from the page to sign in, whatever the method.
        "refused": answer.status_code in REFUSED | {302},
    }[word]


def looks_absent(guarded: Guarded, endpoint: Endpoint, method: str, answer: HttpResponseBase) -> bool:
    """A stranger who counts through the ids must learn nothing, not even how many there are."""
    ids = guarded.things.ids_of(endpoint.name, endpoint.kwargs)
    numbers = [name for name in ids if name.endswith("_id")]
    if not numbers:
        return True
    nothing = ask(guarded, endpoint, method, "stranger", ids | dict.fromkeys(numbers, NOT_THERE))
    return (answer.status_code, len(text_of(answer))) == (nothing.status_code, len(text_of(nothing)))


def proposed(guarded: Guarded, endpoint: Endpoint) -> str:
    """The lines that the URL's present answers would be: read them with suspicion."""
    written_lines = []
    for method in METHODS[:2]:
        answers = {who: word_of(guarded, endpoint, method, who) for who in PEOPLE}
        if {*answers.values()} - {"login", "no", ""}:
            written_lines.append(written(endpoint.name, method, answers))
    return "\n".join(written_lines)


def word_of(guarded: Guarded, endpoint: Endpoint, method: str, who: str) -> str:
    with undone():
        answer = ask(guarded, endpoint, method, who)
        if is_sign_in(answer):
            return "login"
        if answer.status_code in REFUSED:
            return "no" if answer.status_code != 405 else ""
        opens = {*endpoint.kwargs} - NO_ID or PRIVATE in text_of(answer)
        return "yes" if opens and who in INSIDE else "own"


# What a request wrote


def writes() -> dict[str, int]:
    """Rows written to each tenant table in the running transaction, those taken back included."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT relname, n_tup_ins + n_tup_upd + n_tup_del FROM pg_stat_xact_user_tables"
            " WHERE n_tup_ins + n_tup_upd + n_tup_del > 0"
        )
        return {table: count for table, count in cursor.fetchall() if table in TENANT}


def changed_rows(guarded: Guarded, who: str, tables: set[str]) -> list[str]:
    """Tables in which rows that Acme had before are others now. A person's own row is theirs."""
    person = guarded.people[who]
    now = rows_of(guarded.world, tables)
    theirs = {f"accounts_employee {person.pk}"} if person else set()
    return sorted(key for key, row in guarded.rows.items()
                  if key.split()[0] in tables and key not in theirs and now.get(key) != row)  # fmt: skip


# What a table of answers cannot say


def test_ann_herself_sees_her_mail(guarded: Guarded) -> None:
    """Otherwise the matrix would prove nothing: the canary sings for its owner, in downloads and exports too."""
    for name in (
        "crm:activity-file",
        "mail:letter-file",
        "retention:export-download",
        "tasks:file",
        "tasks:message-file",
        "mail:message",
        "mail:body",
        "mail:original",
        "mail:attachment",
        "mail:rows",
        "tasks:detail",
    ):
        [endpoint] = [e for e in ENDPOINTS if e.name == name]
        assert PRIVATE in text_of(ask(guarded, endpoint, "GET", "owner")), name


def test_the_real_address_of_anns_image_gives_whoever_has_it_those_pixels_and_nothing_else(
    guarded: Guarded,
) -> None:
    """It is the permission itself, because the frame that asks has no session: it must open nothing but the image."""
    before = writes()
    with web(answer(PNG), answer(PNG)) as site:
        ids = {"employee_id": guarded.world.ann.pk, "message_id": guarded.things.ids["message_id"]}
        address = proxied(site.url(), **ids)
        answers = {who: guarded.browser(who).get(address) for who in PEOPLE}
        assert len(site.asked) == 1
        assert b"cookie" not in site.asked[0].lower()
        forged = [
            signing.dumps([site.url(), *ids.values()], salt=salt, compress=True)
            for salt in ("mailsync.naming", "accounts.invitation", "")
        ]
        for token in forged:
            refused = guarded.browser("owner").get(reverse("mail:image", args=[token]))
            assert (refused.status_code, refused.content) == (404, PLACEHOLDER_BYTES)
        assert len(site.asked) == 1, "what we signed for something else asks nobody"
    assert writes() == before
    for who, given_to in answers.items():
        assert (given_to.status_code, given_to.headers["Content-Type"]) == (200, "image/png"), who
        assert given_to.content == answers["owner"].content
        assert not given_to.cookies
        assert not [each for each in (PRIVATE, COMPANY, NAME) if each in text_of(given_to).lower()]


@pytest.mark.parametrize("who", ["stranger", "colleague", "supervisor", "admin", "operator"])
def test_no_verb_reaches_a_message_of_somebody_elses_mailbox(guarded: Guarded, who: str) -> None:
    client = guarded.browser(who)
    ids = guarded.things.form["ids"]
    for verb in ("read", "unread", "star", "unstar", "archive", "trash", "spam", "not-spam", "expunge",
                 f"move:{guarded.things.form['folder']}"):  # fmt: skip
        for form in ({"verb": verb}, {"one": f"{verb}:{ids}"}, {"verb": verb, "all": "1"}):
            client.post(reverse("mail:act"), guarded.things.form | form)
    client.post(reverse("mail:undo"), guarded.things.form)
    assert changed_rows(guarded, who, TENANT) == []


def test_who_may_only_read_opens_every_page_and_changes_nothing(guarded: Guarded) -> None:
    world = guarded.world
    with world.acting():
        world.ann_box.grants.create(account=world.acme, employee=world.cyd, level="read")
    client = guarded.browser("colleague")
    opened = client.get(reverse("mail:original", kwargs={"placement_id": guarded.things.ids["placement_id"]}))
    assert PRIVATE in text_of(opened)
    for verb in ("read", "star", "archive", "trash", "spam"):
        client.post(reverse("mail:act"), guarded.things.form | {"verb": verb})
    with world.acting():
        [placement] = Placement.objects.filter(message=guarded.things.ids["message_id"])
        assert (placement.folder_id, placement.flags) == (guarded.things.ids["folder_id"], [])
