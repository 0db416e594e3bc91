"""Admins shape the pipelines; a stage that goes sends its deals where they say."""

from typing import Any

import pytest

from crm import deals, pipelines
from crm.models import Activity, Deal, Pipeline, Stage
from tests.crm.conftest import Clients
from tests.world import World

pytestmark = pytest.mark.usefixtures("clients")


@pytest.fixture
def adm(world: World) -> Any:
    return world.client(world.adm)


@pytest.fixture
def sales(world: World) -> Pipeline:
    with world.acting():
        return deals.pipelines(world.acme)[0]


def names(world: World, pipeline: Pipeline) -> list[str]:
    with world.acting():
        return [stage.name for stage in pipelines.stages_of(pipeline)]


def form_of(world: World, pipeline: Pipeline, **changes: object) -> dict[str, object]:
    """The page's card as it stands, with what somebody changes; "Won__name" stands for the name of that stage."""
    with world.acting():
        stages = pipelines.stages_of(pipeline)
    form: dict[str, object] = {"name": pipeline.name, "stages": [stage.pk for stage in stages]}
    for stage in stages:
        for field in ("name", "outcome", "colour"):
            value = changes.pop(f"{stage.name.replace(' ', '_')}__{field}", getattr(stage, field))
            form[f"{field}-{stage.pk}"] = value
    return form | changes


def test_an_admin_renames_colours_adds_and_reorders(world: World, adm, sales: Pipeline) -> None:
    changes = {"New__name": "Contract", "Contract__name": "New", "Won__colour": "green", "added": "  Pilot "}
    page = adm.post(
        f"/crm/pipelines/{sales.pk}/", form_of(world, sales, **changes), follow=True
    ).content.decode()
    assert "Saved." in page
    assert names(world, sales) == ["Contract", "In talks", "Offer sent", "New", "Pilot", "Won", "Lost"]
    with world.acting():
        pilot = Stage.objects.get(name="Pilot")
        assert Stage.objects.get(name="Won").colour == "green"
    for verb in ("up", "up", "down"):
        adm.post(f"/crm/pipelines/{sales.pk}/", form_of(world, sales, **{verb: pilot.pk}))
    assert names(world, sales)[3:5] == ["Pilot", "New"]
    board = world.client(world.bob).get("/crm/deals/board/").content.decode()
    assert 'data-colour="green"' in board


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"In_talks__name": "Won"}, "Two of the names are the same."),
        ({"Won__name": "  "}, "A name, please."),
        ({"Won__outcome": "eaten"}, "Choose what it means"),
        (
            {f"{name}__outcome": "won" for name in ("New", "In_talks", "Offer_sent", "Contract")},
            "needs an open stage",
        ),
    ],
)
def test_what_cannot_be_is_said_and_nothing_is_lost(
    world: World, adm, sales: Pipeline, changes, sentence
) -> None:
    before = names(world, sales)
    page = adm.post(
        f"/crm/pipelines/{sales.pk}/", form_of(world, sales, **changes), follow=True
    ).content.decode()
    assert sentence in page
    assert names(world, sales) == before


def test_the_deals_of_a_stage_that_goes_are_asked_about(
    world: World, adm, sales: Pipeline, clients: Clients
) -> None:
    buoys, ropes = clients.deal("Buoys", "Offer sent"), clients.deal("Ropes", "Offer sent")
    there = clients.deal("Anchors", "Contract")
    stage, contract = buoys.stage, there.stage
    url = f"/crm/stages/{stage.pk}/delete/"
    assert "2 deals are there" in adm.get(url).content.decode()
    assert "Choose where the deals go." in adm.post(url, follow=True).content.decode()
    adm.post(url, {"to": contract.pk})
    assert "Offer sent" not in names(world, sales)
    with world.acting():
        order = Deal.objects.filter(stage=contract).order_by("position").values_list("name", flat=True)
        assert list(order) == ["Anchors", "Ropes", "Buoys"]
        assert Activity.objects.filter(text="Moved from “Offer sent” to “Contract”").count() == 2
    assert ropes.stage_id == stage.pk


def test_a_pipeline_goes_when_its_deals_have_another(
    world: World, adm, sales: Pipeline, clients: Clients
) -> None:
    clients.deal("Buoys")
    assert (
        "keeps one pipeline" in adm.post(f"/crm/pipelines/{sales.pk}/delete/", follow=True).content.decode()
    )
    adm.post("/crm/pipelines/new/", {"name": "Renewals"})
    again = adm.post("/crm/pipelines/new/", {"name": "Renewals"}, follow=True).content.decode()
    assert "There is a pipeline “Renewals” already." in again
    with world.acting():
        renewals = Pipeline.objects.get(name="Renewals")
        [new, *_rest] = pipelines.stages_of(renewals)
    adm.post(f"/crm/pipelines/{renewals.pk}/", form_of(world, renewals, **{"pipeline-up": "1"}))
    with world.acting():
        assert [each.name for each in deals.pipelines(world.acme)] == ["Renewals", "Sales"]
    adm.post(f"/crm/pipelines/{sales.pk}/delete/", {"to": new.pk})
    with world.acting():
        assert Deal.objects.get(name="Buoys").stage.pipeline.name == "Renewals"
        assert not Pipeline.objects.filter(pk=sales.pk).exists()


def test_only_admins_shape(world: World, sales: Pipeline) -> None:
    ann = world.client(world.ann)
    assert ann.get("/crm/pipelines/").status_code == 403
    assert ann.post(f"/crm/pipelines/{sales.pk}/", form_of(world, sales)).status_code == 403
    assert "/crm/pipelines/" not in ann.get("/crm/deals/board/").content.decode()
    assert "/crm/pipelines/" in world.client(world.adm).get("/crm/deals/board/").content.decode()
