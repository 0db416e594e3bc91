"""manage.py watch_mail: hears of new mail at once, for as many mailboxes as there are."""

import asyncio
import logging
import os
import resource
import signal
from argparse import ArgumentParser, ArgumentTypeError
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand

from mailsync.watcher import Shard, Watcher


class Command(BaseCommand):
    """Runs until TERM or INT. Nothing is lost without it: the poll finds the same mail, later."""

    help = "Hold an IDLE connection for every mailbox and wake it when its server has news."
    requires_system_checks = []  # they would load every page into a process that shows none

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument(
            "--shard", type=_shard, default=Shard(), help="1/2 and 2/2 share the mailboxes of two processes"
        )
        parser.add_argument("--alive", type=Path, help="a file to touch every few seconds, for health checks")

    def handle(self, *_args: Any, **options: Any) -> None:
        _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
        asyncio.run(_watch(Watcher(options["shard"], options["alive"])))
        logging.shutdown()
        os._exit(0)  # a thread that waits for a dead database or name server would hold the exit


async def _watch(watcher: Watcher) -> None:
    stop = asyncio.Event()
    for asked in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(asked, stop.set)
    await watcher.run(stop)


def _shard(text: str) -> Shard:
    try:
        return Shard.parse(text)
    except ValueError:
        raise ArgumentTypeError("like 1/2: the first of two") from None
