"""Deals on the board: where a card goes, and what the columns say."""

from decimal import Decimal

import pytest

from crm import deals
from crm.models import Deal


@pytest.fixture
def ann(world):
    return world.client(world.ann)


def names(world, stage) -> list[str]:
    with world.acting():
        return list(
            Deal.objects.filter(stage=stage).order_by("position", "pk").values_list("name", flat=True)
        )


def test_the_first_look_makes_the_usual_stages_once(world, ann) -> None:
    for _again in range(2):
        page = ann.get("/crm/deals/board/").content.decode()
    assert page.count('class="column"') == 6
    with world.acting():
        assert [each.name for each in deals.pipelines(world.acme)] == ["Sales"]


def test_a_new_deal_lies_on_top_of_its_column(world, clients) -> None:
    clients.deal("first")
    clients.deal("second")
    assert names(world, clients.stages()[0]) == ["second", "first"]


def test_a_card_goes_above_another_or_to_the_end(world, ann, clients) -> None:
    c, b, a = clients.deal("c"), clients.deal("b"), clients.deal("a")
    x = clients.deal("x", stage="Won")
    new = clients.stages()[0]
    for card, before, order in [
        (x, b, ["a", "x", "b", "c"]),
        (c, a, ["c", "a", "x", "b"]),
        (c, None, ["a", "x", "b", "c"]),
        (a, c, ["x", "b", "a", "c"]),
    ]:
        form = {"stage": new.pk, "before": before.pk if before else ""}
        assert ann.post(f"/crm/deals/{card.pk}/move/", form).status_code == 302
        assert names(world, new) == order


def test_a_gap_that_was_halved_too_often_is_made_anew(world, clients) -> None:
    b, a = clients.deal("b"), clients.deal("a")
    cards = [clients.deal(f"x{number}", stage="Lost") for number in range(80)]
    new = clients.stages()[0]
    with world.acting():
        for card in cards:
            b.refresh_from_db()
            deals.move(card, new, before=b, by=world.ann)
    assert names(world, new) == ["a", *(card.name for card in cards), "b"]
    assert a.name == "a"


def test_heads_count_and_sum_by_currency_and_htmx_gets_them(world, ann, clients) -> None:
    deal = clients.deal("a", amount=Decimal(1200))
    clients.deal("b", amount=Decimal("99.5"), currency="USD")
    clients.deal("c", amount=None)
    page = ann.get("/crm/deals/board/").content.decode()
    assert "1,200 EUR + 99.50 USD" in page
    won = clients.stages()[4]
    answer = ann.post(
        f"/crm/deals/{deal.pk}/move/", {"stage": won.pk, "before": ""}, headers={"HX-Request": "true"}
    ).content.decode()
    assert f'id="stage{won.pk}" hx-swap-oob="true"' in answer
    assert answer.count("1,200 EUR") == 1


def test_mine_shows_mine(world, clients) -> None:
    clients.deal("Anns")
    clients.deal("Bobs", responsible=world.bob)
    page = world.client(world.bob).get("/crm/deals/board/?mine=1").content.decode()
    assert "Bobs" in page
    assert "Anns" not in page


def test_a_stage_of_another_company_is_no_stage(world, ann, clients) -> None:
    with world.acting(world.other):
        [theirs] = deals.pipelines(world.other)
        stage = theirs.stages.all()[0]
    card = clients.deal("a")
    assert ann.post(f"/crm/deals/{card.pk}/move/", {"stage": stage.pk, "before": ""}).status_code == 404
    assert ann.post(f"/crm/deals/{card.pk}/move/", {"stage": "x"}).status_code == 404
