"""`manage.py purge [--account NAME] [--dry-run] [--approve] [--json]`: what the night does, here and now."""

import json
from collections import defaultdict
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.utils import timezone

from accounts import tenancy
from accounts.models import Account
from plans.subscriptions import limits_for
from retention import preview, runs, scan
from retention.models import RetentionRun, RunState
from retention.policy import Fate
from retention.purge import ClocksDisagree, purge

Numbers = dict[str, dict[str, int]]


class Command(BaseCommand):
    help = "Removes the copies that are too old for their company's plan. The mail servers are not touched."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--account", metavar="NAME", help="one company; otherwise all that have old mail")
        parser.add_argument("--dry-run", action="store_true", help="only say what would leave")
        parser.add_argument(
            "--approve", action="store_true", help="let a purge go on that waits for an admin"
        )
        parser.add_argument("--json", action="store_true", help="one line of JSON for each company")

    def handle(self, *args: Any, **options: Any) -> None:  # noqa: ARG002 (Django's signature)
        if options["approve"] and not options["account"]:
            raise CommandError("Name the company whose purge may go on: --account NAME --approve.")
        for account in self._accounts(options["account"]):
            report = (
                _foreseen(account) if options["dry_run"] else _purged(account, approve=options["approve"])
            )
            self.stdout.write(json.dumps(report) if options["json"] else _said(report))

    def _accounts(self, name: str | None) -> list[Account]:
        if name is None:
            return list(Account.objects.filter(pk__in=list(scan.due(timezone.now()))).order_by("pk"))
        found = list(Account.objects.filter(name=name))
        if not found:
            raise CommandError(f"There is no company {name!r}.")
        return found


def _foreseen(account: Account) -> dict[str, Any]:
    now = timezone.now()
    with tenancy.acting_for(account.pk):
        limits = limits_for(account, account.today())
        boxes = preview.removal(account, limits, now)
    numbers = {
        box.mailbox.address: {fate.value: box.of(fate).messages for fate in Fate if box.of(fate).messages}
        for box in boxes
    }
    leaving = preview.leaving(boxes)
    return _report(account, "dry run", limits.plan, limits.storage_days, numbers, leaving.bytes)


def _purged(account: Account, *, approve: bool) -> dict[str, Any]:
    try:
        run = purge(account.pk, timezone.now())
        if run and run.state == RunState.WAITING and approve:
            with tenancy.acting_for(account.pk):
                runs.decide(run, go=True, by=None)
            run = purge(account.pk, timezone.now())
    except ClocksDisagree as error:
        raise CommandError(str(error)) from error
    if run is None:
        return _report(account, "nothing to do", "", 0, {}, 0)
    return _of_run(account, run)


def _of_run(account: Account, run: RetentionRun) -> dict[str, Any]:
    numbers: Numbers = defaultdict(dict)
    size = 0
    with tenancy.acting_for(account.pk):
        for line in run.lines.select_related("mailbox"):
            numbers[line.mailbox.address][line.kind] = line.messages
            size += line.bytes if line.kind in (Fate.REMOVED, Fate.HIDDEN) else 0
    report = _report(account, run.state, run.plan, run.storage_days, dict(numbers), size)
    return report | {"expected": run.expected} if run.state == RunState.WAITING else report


def _report(
    account: Account, state: str, plan: str, days: int, numbers: Numbers, size: int
) -> dict[str, Any]:
    def together(*kinds: str) -> int:
        return sum(box.get(kind, 0) for box in numbers.values() for kind in kinds)

    return {
        "account": account.name,
        "state": state,
        "plan": plan,
        "storage_days": days,
        "examined": sum(sum(box.values()) for box in numbers.values()),
        "removed": together(Fate.REMOVED),
        "hidden": together(Fate.HIDDEN),
        "bytes": size,
        "mailboxes": numbers,
    }


def _said(report: dict[str, Any]) -> str:
    if report["state"] == RunState.WAITING:
        return (
            f"{report['account']}: waits for an admin; {report['expected']} messages would leave. "
            "`--approve` lets it go on."
        )
    if not report["plan"]:
        return f"{report['account']}: nothing is too old"
    would = "would be " if report["state"] == "dry run" else ""
    return (
        f"{report['account']}: of {report['examined']} messages older than {report['storage_days']} days "
        f"{report['removed']} {would}removed, {report['hidden']} with a client {would}taken out of Webmail "
        f"({report['bytes'] / 2**20:.1f} MB)"
    )
