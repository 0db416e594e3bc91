"""What watching costs and how soon it tells: `python benchmarks/watching.py [--boxes 2000] [--tls] [--mails 30]`.

`manage.py watch_mail` holds an IDLE for each of so many mailboxes at a stub server and for one at a real Dovecot. Then
each of so many mails is put into that one, and the clock runs until its row is committed: with a worker and without
beat, so that no poll helps. The stub has 40 addresses, because a host is tried at most twice a second.

Needs no rig; the bounds are 100 MB for 2 000 connections and p95 5 s for a new mail.
"""

import argparse
import asyncio
import imaplib
import json
import os
import random
import resource
import signal
import subprocess
import sys
import time
from asyncio import sslproto
from datetime import UTC, datetime
from pathlib import Path
from ssl import PROTOCOL_TLS_SERVER, SSLContext

import trustme
from common import MAIL_PASSWORD, RESULTS, ROOT, Product, product

from demo import services

ADDRESSES = 40
LOGIN = "u1@bench.example"
PORT = 24_990


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--boxes", type=int, default=2000)
    parser.add_argument("--mails", type=int, default=30)
    parser.add_argument("--tls", action="store_true", help="as every real provider asks")
    parser.add_argument("--stub", nargs="*", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.stub is not None:
        asyncio.run(_stub([Path(name) for name in options.stub]))
        return
    RESULTS.mkdir(parents=True, exist_ok=True)
    with product() as made:
        found = _measure(made, options.boxes, options.mails, _certificate(made.home) if options.tls else None)
    (RESULTS / "watching.json").write_text(json.dumps(found, indent=1))
    print(json.dumps(found, indent=1))


def _measure(made: Product, boxes: int, mails: int, files: dict[str, Path] | None) -> dict[str, object]:
    if files:
        made.environment["MAIL_CA_FILE"] = str(files["ca"])
    stub = _start_stub(files)
    dovecot = services.start_dovecot(made.supervisor, made.home / "dovecot", port=services.free_port(24_800))
    try:
        dovecot.set_password(LOGIN, MAIL_PASSWORD)
        made.manage(*made.connecting(LOGIN, LOGIN, dovecot.port))
        made.sync(LOGIN)
        _multiply(made, boxes, security="tls" if files else "none")
        watcher, seconds = _start_watcher(made, stub, boxes)
        found: dict[str, object] = {
            "boxes": boxes,
            "tls": bool(files),
            "seconds_to_connect_all": round(seconds, 1),
            "watcher_mb": round(_memory(watcher.pid), 1),
            "watcher_cpu_percent_idle": _idle_cpu(watcher.pid),
            "due_after_ms_of_200_at_once": _burst(made, stub) if boxes >= 200 else None,
            "watcher_mb_after": round(_memory(watcher.pid), 1),
        }
        found |= _mails(made, dovecot, mails)
        began = time.monotonic()
        watcher.send_signal(signal.SIGTERM)
        watcher.wait(10)
        return {**found, "seconds_to_end": round(time.monotonic() - began, 2)}
    finally:
        stub.kill()


def _certificate(home: Path) -> dict[str, Path]:
    """One for all addresses of the stub."""
    authority = trustme.CA()
    issued = authority.issue_cert(*(f"127.0.1.{n}" for n in range(1, ADDRESSES + 1)))
    files = {name: home / f"stub-{name}.pem" for name in ("chain", "key", "ca")}
    issued.cert_chain_pems[0].write_to_path(str(files["chain"]))
    issued.private_key_pem.write_to_path(str(files["key"]))
    authority.cert_pem.write_to_path(str(files["ca"]))
    return files


def _start_stub(files: dict[str, Path] | None) -> "subprocess.Popen[str]":
    given = [files["chain"], files["key"]] if files else []
    stub = subprocess.Popen(
        [sys.executable, __file__, "--stub", *map(str, given)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert stub.stdout
    assert stub.stdout.readline() == "up\n"
    return stub


async def _stub(files: list[Path]) -> None:
    """Answers just enough; a line on stdin makes 200 mailboxes tell, or with "count" prints how many idle."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    sslproto.SSLProtocol.max_size = 4096
    idling: dict[asyncio.StreamWriter, bytes] = {}
    answers = {
        b"CAPABILITY": b"* CAPABILITY IMAP4rev1 IDLE\r\n",
        b"EXAMINE": b"* 0 EXISTS\r\n* OK [UIDVALIDITY 1] ok\r\n* OK [UIDNEXT 1] ok\r\n",
    }

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"* OK stub\r\n")
        while line := await _line(reader):
            tag, _, rest = line.strip().partition(b" ")
            if tag == b"DONE":
                writer.write(idling.pop(writer) + b" OK done\r\n")
            elif rest == b"LOGOUT":
                break
            elif rest.startswith(b"IDLE"):
                idling[writer] = tag
                writer.write(b"+ idling\r\n")
            else:
                writer.write(answers.get(rest.split(b" ")[0], b"") + tag + b" OK done\r\n")
        idling.pop(writer, None)
        writer.close()

    def command() -> None:
        if sys.stdin.readline().startswith("count"):
            print(len(idling), flush=True)
            return
        for writer in random.sample(list(idling), min(200, len(idling))):
            writer.write(b"* 1 EXISTS\r\n")
        print("told", flush=True)

    context = None
    if files:
        context = SSLContext(PROTOCOL_TLS_SERVER)
        context.load_cert_chain(*files)
    await asyncio.start_server(serve, "0.0.0.0", PORT, backlog=4096, ssl=context)
    asyncio.get_running_loop().add_reader(sys.stdin, command)
    print("up", flush=True)
    await asyncio.Event().wait()


async def _line(reader: asyncio.StreamReader) -> bytes:
    try:
        return await reader.readline()
    except ConnectionError:
        return b""


def _asked(stub: "subprocess.Popen[str]", what: str) -> str:
    assert stub.stdin
    assert stub.stdout
    stub.stdin.write(what + "\n")
    stub.stdin.flush()
    return stub.stdout.readline().strip()


def _multiply(made: Product, boxes: int, *, security: str) -> None:
    """Copies of the one mailbox, each in its place at the stub, quiet and known as the stub will tell."""
    names = "column_name FROM information_schema.columns WHERE table_schema = 'public' AND table_name"
    columns = [name for (name,) in made.rows(f"SELECT {names} = 'mailsync_mailbox'") if name != "id"]
    changed = {
        "address": "'copy' || n || '@bench.example'",
        "imap_host": f"'127.0.1.' || 1 + n % {ADDRESSES}",
        "imap_port": str(PORT),
        "imap_security": f"'{security}'",
    }
    chosen = ", ".join(changed.get(name, name) for name in columns)
    made.rows(
        f"INSERT INTO mailsync_mailbox ({', '.join(columns)})"
        f" SELECT {chosen} FROM mailsync_mailbox, generate_series(1, {boxes}) n"
    )
    made.rows(
        "INSERT INTO mailsync_schedule (mailbox_id, account_id, epoch, failures)"
        " SELECT id, account_id, 0, 0 FROM mailsync_mailbox WHERE address LIKE 'copy%%'"
    )
    columns = [name for (name,) in made.rows(f"SELECT {names} = 'mailsync_folder'") if name != "id"]
    changed = {
        "mailbox_id": "b.id",
        "account_id": "b.account_id",
        "server_messages": "0",
        "uidvalidity": "1",
        "server_uidnext": "1",
        "modseq": "NULL",
        "total": "0",
        "unseen": "0",
    }
    chosen = ", ".join(changed.get(name, f"f.{name}") for name in columns)
    made.rows(
        f"INSERT INTO mailsync_folder ({', '.join(columns)}) SELECT {chosen} FROM mailsync_folder f,"
        " mailsync_mailbox b WHERE b.address LIKE 'copy%%' AND f.special_use = 'inbox'"
    )


def _start_watcher(
    made: Product, stub: "subprocess.Popen[str]", boxes: int
) -> tuple["subprocess.Popen[bytes]", float]:
    began = time.monotonic()
    watcher = made.supervisor.spawn(
        "watcher", made.command("watch_mail"), ready=None, env=made.environment, cwd=ROOT
    )
    while int(_asked(stub, "count")) < boxes:
        assert watcher.poll() is None, (made.home / "watcher.log").read_text()[-2000:]
        assert time.monotonic() - began < 600
        time.sleep(0.5)
    return watcher, time.monotonic() - began


def _memory(pid: int) -> float:
    """MB resident."""
    status = Path(f"/proc/{pid}/status").read_text()
    return int(status.partition("VmRSS:")[2].split()[0]) / 1024


def _cpu(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _idle_cpu(pid: int) -> float:
    time.sleep(3)
    before = _cpu(pid)
    time.sleep(20)
    return round((_cpu(pid) - before) / 20 * 100, 1)


def _burst(made: Product, stub: "subprocess.Popen[str]") -> float:
    """Until all 200 that told are due."""
    began = time.monotonic()
    _asked(stub, "tell")
    due = "SELECT count(*) FROM mailsync_schedule WHERE due_at IS NOT NULL AND mailbox_id IN"
    while made.rows(f"{due} (SELECT id FROM mailsync_mailbox WHERE address LIKE 'copy%%')") != [(200,)]:
        assert time.monotonic() - began < 30
        time.sleep(0.01)
    took = round((time.monotonic() - began) * 1000)
    made.rows("UPDATE mailsync_schedule SET due_at = NULL")
    return took


def _mails(made: Product, dovecot: services.Dovecot, count: int) -> dict[str, float]:
    """Seconds from the server's OK to APPEND until the row is committed."""
    queues = ["-Q", "interactive,sync", "-c", "2", "--without-gossip", "--without-mingle"]
    made.supervisor.spawn(
        "worker",
        [sys.executable, "-m", "celery", "-A", "config", "worker", *queues, "--loglevel", "WARNING"],
        ready=None,
        env=made.environment,
        cwd=ROOT,
        stop_signal=signal.SIGQUIT,
    )
    time.sleep(8)
    took = []
    with dovecot.imap(LOGIN, MAIL_PASSWORD) as client:
        for number in range(count):
            subject = f"Bench {number} {time.time_ns()}"
            raw = f"From: z@example.org\r\nTo: {LOGIN}\r\nSubject: {subject}\r\n\r\nHello\r\n".encode()
            client.append("INBOX", "", imaplib.Time2Internaldate(datetime.now(UTC)), raw)
            began = time.monotonic()
            while not made.rows("SELECT 1 FROM mailsync_message WHERE subject = %s", subject):
                assert time.monotonic() - began < 60, (made.home / "worker.log").read_text()[-3000:]
                time.sleep(0.01)
            took.append(time.monotonic() - began)
            time.sleep(random.uniform(0.3, 1.5))
    took.sort()
    return {
        "mails": count,
        "row_after_s_median": round(took[len(took) // 2], 3),
        "row_after_s_p95": round(took[int(len(took) * 0.95)], 3),
        "row_after_s_max": round(took[-1], 3),
    }


if __name__ == "__main__":
    main()
