"""How long it takes to take real mail apart: `python benchmarks/parse_corpus.py [FOLDER]`.

Prints one line of JSON for each of summarize and read: messages, mean, p50, p99 and max in milliseconds. FOLDER is the
corpus (MAIL_CORPUS, or ../shared/corpus beside the checkout).
"""

import json
import os
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from mailsync.mime import parse  # noqa: E402 - the checkout must be on the path first

DEFAULT = Path(os.environ.get("MAIL_CORPUS", ROOT.parent / "shared" / "corpus"))


def messages(folder: Path) -> Iterator[tuple[str, bytes]]:
    """Name and bytes of each message; an mbox file counts as one message per From line."""
    for path in sorted(folder.rglob("*")):
        if (
            not path.is_file()
            or "_oracle" in path.parts
            or "vectors" in path.parts
            or path.suffix in (".md", ".tnef")
        ):
            continue
        raw = path.read_bytes()
        if path.suffix == ".mbox" and raw.startswith(b"From "):
            for number, piece in enumerate(raw.split(b"\nFrom ")):
                yield f"{path.relative_to(folder)}#{number}", piece.partition(b"\n")[2]
        else:
            yield str(path.relative_to(folder)), raw


def timed(function: Callable[[bytes, bytes], object], halves: list[tuple[bytes, bytes]]) -> list[float]:
    seconds = []
    for header, body in halves:
        start = time.perf_counter()
        function(header, body)
        seconds.append(time.perf_counter() - start)
    return sorted(seconds)


def main() -> None:
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else DEFAULT
    halves = [parse.split(raw) for _, raw in messages(folder)]
    size = sum(len(header) + len(body) for header, body in halves)
    for function in (parse.summarize, parse.read):
        seconds = timed(function, halves)
        figures = {
            "function": function.__name__,
            "messages": len(seconds),
            "kilobytes_each": round(size / len(seconds) / 1000, 1),
            "mean_ms": round(sum(seconds) / len(seconds) * 1000, 3),
            "p50_ms": round(seconds[len(seconds) // 2] * 1000, 3),
            "p99_ms": round(seconds[len(seconds) * 99 // 100] * 1000, 3),
            "max_ms": round(seconds[-1] * 1000, 3),
        }
        print(json.dumps(figures))


if __name__ == "__main__":
    main()
