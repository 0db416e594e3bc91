"""Lists and pages of records; the same for all four kinds."""

from dataclasses import dataclass
from urllib.parse import urlencode

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import HttpResponse, QueryDict
from django.shortcuts import redirect, render
from django.urls import path, reverse
from django.utils.html import format_html_join
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from accounts.requests import id_or_none
from accounts.views import RequestOfEmployee
from crm import access, deals, directory, finding, rematching, writing
from crm.finding import Query
from crm.forms import FORMS, RecordForm
from crm.kinds import CONTACTS, KINDS, Kind, kind_of
from crm.models import Company, Deal, LeadStatus, Outcome, Record
from crm.views import facts, timeline
from crm.views.frame import SECTION


@login_required
@require_GET
def home(_request: RequestOfEmployee) -> HttpResponse:
    return redirect("crm:board")


@dataclass(frozen=True, slots=True)
class Listed:
    """A list on the screen; its URLs keep what was asked for."""

    kind: Kind
    asked: Query
    next: str

    def url(self, **changes: str) -> str:
        asked = {
            "q": self.asked.q,
            "mine": "1" if self.asked.mine else "",
            "state": self.asked.state,
        } | changes
        query = urlencode({name: value for name, value in asked.items() if value})
        return reverse("crm:list", args=[self.kind]) + (f"?{query}" if query else "")

    @property
    def next_url(self) -> str:
        return self.url(after=self.next)

    @property
    def mine_url(self) -> str:
        return self.url(mine="1")

    @property
    def all_url(self) -> str:
        return self.url(mine="")

    @property
    def states(self) -> list[tuple[str, str, bool]]:
        """(label, URL, chosen) of the states that this kind has."""
        choices = {"leads": LeadStatus.choices, "deals": Outcome.choices}.get(self.kind.slug, [])
        offered = [("", _("Any")), *((value, str(label)) for value, label in choices)] if choices else []
        return [(label, self.url(state=value), value == self.asked.state) for value, label in offered]


@login_required
@never_cache
@require_GET
def records(request: RequestOfEmployee, kind: Kind) -> HttpResponse:
    asked = asked_of(request.GET)
    found, after = finding.page(request.user, kind, asked)
    context = {
        "kind": kind,
        "listed": Listed(kind, asked, after),
        "rows": [facts.row(record) for record in found],
    }
    # The end of the list asks for the rows below it alone.
    part = bool(asked.after and request.headers.get("HX-Request"))
    return render(request, "crm/_rows.html" if part else "crm/list.html", SECTION | context)


def asked_of(parameters: QueryDict) -> Query:
    return Query(
        q=parameters.get("q", "").replace("\0", "").strip()[:200],
        mine=parameters.get("mine") == "1",
        state=parameters.get("state", ""),
        after=parameters.get("after", ""),
    )


@login_required
@never_cache
@require_GET
def record(request: RequestOfEmployee, kind: Kind, record_id: int) -> HttpResponse:
    found = access.get_record(request.user, kind, record_id)
    context = {"kind": kind, "record": found, "facts": facts.facts(found), "related": facts.related(found)}
    context["addresses"] = writing.addresses_of(found)
    context["rematch"] = rematching.running_for(found, request.user)
    context |= timeline.shown(request.user, found, kind_of_activity=request.GET.get("show", ""))
    return render(request, "crm/record.html", SECTION | context)


@login_required
@never_cache
@require_http_methods(["GET", "POST"])
def new(request: RequestOfEmployee, kind: Kind) -> HttpResponse:
    """A deal begins from its contact or company (`?contact=5`), a contact from a mail's sender (`?name=…&emails=…`)."""
    deals.pipelines(request.user.account)
    made = kind.model(account=request.user.account)
    form = FORMS[kind.slug](
        request.POST or None, instance=made, employee=request.user, initial=_from(request)
    )
    if request.method == "POST" and form.is_valid():
        if isinstance(made, Deal):
            made.position = deals.on_top(form.cleaned_data["stage"])
        if _saved(request, form):
            messages.success(request, _("“%(name)s” is saved.") % {"name": made.name})
            return redirect(facts.url_of(made))
    return _form_page(request, kind, form)


@login_required
@never_cache
@require_http_methods(["GET", "POST"])
def edit(request: RequestOfEmployee, kind: Kind, record_id: int) -> HttpResponse:
    found = access.get_record(request.user, kind, record_id)
    before = found.stage if isinstance(found, Deal) else None
    form = FORMS[kind.slug](request.POST or None, instance=found, employee=request.user)
    if request.method == "POST" and form.is_valid() and _saved(request, form):
        if isinstance(found, Deal) and before and found.stage_id != before.pk:
            deals.tell_stage(found, before, found.stage, by=request.user)
        messages.success(request, _("“%(name)s” is saved.") % {"name": found.name})
        return redirect(facts.url_of(found))
    return _form_page(request, kind, form)


@login_required
@require_POST
def delete(request: RequestOfEmployee, kind: Kind, record_id: int) -> HttpResponse:
    """Into the bin, with an undo: nothing is asked, because nothing is lost for 30 days."""
    found = access.get_record(request.user, kind, record_id)
    directory.bin_record(found, by=request.user)
    sentence = _("“%(name)s” is in the bin for 30 days.") % {"name": found.name}
    messages.success(request, sentence, extra_tags=f"{kind.slug} {found.pk}")
    return redirect("crm:list", kind)


@login_required
@require_POST
def restore(request: RequestOfEmployee, kind: Kind, record_id: int) -> HttpResponse:
    found = access.get_binned(request.user, kind, record_id)
    lost = directory.restore(found, by=request.user)
    messages.success(request, _("“%(name)s” is back.") % {"name": found.name})
    if lost:
        sentence = _("These addresses belong to somebody else by now: %(lost)s")
        messages.error(request, sentence % {"lost": ", ".join(lost)})
    return redirect(facts.url_of(found))


@login_required
@never_cache
@require_GET
def binned(request: RequestOfEmployee) -> HttpResponse:
    """What was thrown away and can still come back, newest first."""
    found: list[Record] = []
    for kind in KINDS.values():
        rows = kind.model._default_manager.filter(account_id=request.user.account_id, binned_at__isnull=False)
        found += rows.order_by("-binned_at")[:100]
    found.sort(key=lambda record: (record.binned_at is not None, record.binned_at), reverse=True)
    rows_of_bin = [(record, kind_of(record)) for record in found[:100]]
    return render(request, "crm/bin.html", SECTION | {"rows": rows_of_bin})


@login_required
@never_cache
@require_GET
def suggest(request: RequestOfEmployee, kind: Kind) -> HttpResponse:
    """Options of a field's datalist for what was typed into it."""
    typed = next(iter(request.GET.values()), "")
    labels = finding.suggest(request.user, kind, str(typed).replace("\0", "")[:200])
    return HttpResponse(format_html_join("", "<option value='{}'></option>", ((label,) for label in labels)))


def _from(request: RequestOfEmployee) -> dict[str, str]:
    initial = {name: request.GET[name][:254] for name in ("name", "emails") if request.GET.get(name)}
    for name in ("contact", "company"):
        number = id_or_none(request.GET.get(name))
        if number is not None:
            kind = CONTACTS if name == "contact" else KINDS["companies"]
            initial[f"{name}_typed"] = finding.label_of(access.get_record(request.user, kind, number))
    return initial


def _saved(request: RequestOfEmployee, form: RecordForm) -> bool:
    """The record with its addresses, and older mail looked through for new ones; False where somebody was faster
    with an address."""
    known = _heard_at(form.instance)
    saved = form.save()
    if "emails" in form.cleaned_data:
        try:
            directory.set_addresses(saved, form.cleaned_data["emails"])
        except directory.CannotChange as refusal:
            form.add_error("emails", str(refusal))
            return False
    fresh = _heard_at(saved) - known
    if fresh:
        rematching.ask(request.user, addresses=fresh)
    return True


def _heard_at(record: Record) -> set[str]:
    """The addresses, and "@domain", as they are stored."""
    if not record.pk or not kind_of(record).has_addresses:
        return set()
    stored = Company.objects.filter(pk__in=[record.pk] if isinstance(record, Company) else [])
    domains = {f"@{domain}" for domain in stored.values_list("domain", flat=True) if domain}
    return {*directory.addresses_of(record), *domains}


def _form_page(request: RequestOfEmployee, kind: Kind, form: RecordForm) -> HttpResponse:
    context = {"kind": kind, "form": form, "record": form.instance if form.instance.pk else None}
    return render(request, "crm/form.html", SECTION | context, status=422 if form.errors else 200)


urls = [
    path("", home, name="home"),
    path("bin/", binned, name="bin"),
    path("<kind:kind>/", records, name="list"),
    path("<kind:kind>/new/", new, name="new"),
    path("<kind:kind>/suggest/", suggest, name="suggest"),
    path("<kind:kind>/<int:record_id>/", record, name="record"),
    path("<kind:kind>/<int:record_id>/edit/", edit, name="edit"),
    path("<kind:kind>/<int:record_id>/delete/", delete, name="delete"),
    path("<kind:kind>/<int:record_id>/restore/", restore, name="restore"),
]
