"""`./run`: the whole system for a trial. `./run --smoke`: the same, checked and stopped, with one line of JSON."""

import argparse
import contextlib
import json
import os
import signal
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from demo import smoke, trial
from demo.services import NotInstalledError
from demo.supervisor import NotStartedError

# Everything that a person can do something about; anything else is ours and shows its traceback.
EXPECTED = (trial.CannotStartError, NotStartedError, NotInstalledError, smoke.SmokeError)


def main() -> int:
    parser = argparse.ArgumentParser(prog="./run", description=__doc__)
    parser.add_argument("--smoke", action="store_true", help="start, look whether mail arrives, stop")
    parser.add_argument(
        "--home", type=Path, default=trial.ROOT / "var" / "demo", help="where the data is kept"
    )
    parser.add_argument("--within", type=float, default=240, help="--smoke: seconds until it has failed")
    options = parser.parse_args()
    # Both ways of asking us to stop are one; INT is ignored in what a script started with "&" unless we say so.
    for asked in (signal.SIGINT, signal.SIGTERM):
        signal.signal(asked, signal.default_int_handler)
    home = options.home.resolve()
    return _smoke(home, options.within) if options.smoke else _run(home)


def _run(home: Path) -> int:
    print("Starting the servers, the workers and the web ...", file=sys.stderr, flush=True)
    try:
        with trial.running(home, os.environ["DEMO_PASSWORD"]) as (supervisor, system):
            print(system, flush=True)
            trial.watch(supervisor)
    except KeyboardInterrupt:
        print("Stopped.")
        return 0
    except EXPECTED as error:
        print(error, file=sys.stderr)
        return 1
    return 0


def _smoke(home: Path, within: float) -> int:
    started = float(os.environ.get("RUN_STARTED") or time.time())
    try:
        with _time_limit(within), trial.running(home, os.environ["DEMO_PASSWORD"]) as (_, system):
            messages = smoke.check(system, within=within)
            result: dict[str, object] = {
                "ok": True,
                "seconds": round(time.time() - started, 1),
                "messages": messages,
            }
    except (*EXPECTED, TimeoutError, OSError) as error:
        result = {"ok": False, "error": str(error)}
    print(json.dumps(result, ensure_ascii=False), flush=True)
    return 0 if result["ok"] else 1


@contextlib.contextmanager
def _time_limit(seconds: float) -> Iterator[None]:
    def stop(*_: object) -> None:
        raise TimeoutError(f"Not finished within {seconds:.0f} seconds.")

    signal.signal(signal.SIGALRM, stop)
    signal.alarm(int(seconds))
    try:
        yield
    finally:
        signal.alarm(0)


if __name__ == "__main__":
    sys.exit(main())
