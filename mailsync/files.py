"""Files that survive a power cut: whole or absent, and on the disk before anybody refers to them."""

import os
import tempfile
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

from django.core.files.base import File
from django.core.files.storage import FileSystemStorage
from django.utils.deconstruct import deconstructible


@deconstructible(path="mailsync.files.DurableFiles")
class DurableFiles(FileSystemStorage):
    """The storage of large bodies. Saving under a name that exists replaces it, in one step."""

    def get_available_name(self, name: str, max_length: int | None = None) -> str:  # noqa: ARG002
        """The name itself: it says what the file holds, so a second one would hold the same."""
        return name

    def renew(self, name: str) -> bool:
        """Say that somebody needs the file from now on; False where there is none."""
        try:
            os.utime(self.path(name))
        except FileNotFoundError:
            return False
        return True

    def remove_unless_renewed(self, name: str, since: datetime) -> None:
        """Remove a file that nobody renewed since a moment. It is put aside first, so that who renews it at this
        moment either does so before, and is heeded, or finds no file and writes it anew."""
        path = Path(self.path(name))
        aside = path.with_name(f".{path.name}.gone")
        try:
            path.replace(aside)
        except FileNotFoundError:
            return
        if aside.stat().st_mtime > since.timestamp():
            aside.replace(path)
        else:
            aside.unlink()

    def remove_below(self, folder: str) -> Iterator[int]:
        """Remove the files of a folder and then the folder, one file with each step: its size."""
        for parent, _folders, names in os.walk(self.path(folder), topdown=False):
            for name in names:
                file = Path(parent, name)
                size = file.stat().st_size
                file.unlink()
                yield size
            Path(parent).rmdir()

    def _save(self, name: str, content: File[bytes]) -> str:
        self.write(name, content.read())
        return name

    def write(self, name: str, data: bytes | memoryview) -> None:
        """As save, of bytes that are here: at once, for each further write waits its turn among the threads that read
        and store mail."""
        path = self.path(name)
        folder = os.path.dirname(path)  # noqa: PTH120 (pathlib takes as long as the writing)
        os.makedirs(folder, mode=0o700, exist_ok=True)  # noqa: PTH103
        handle, unfinished = tempfile.mkstemp(dir=folder, prefix=".")
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(data)
                file.flush()
                os.fsync(handle)
            os.replace(unfinished, path)  # noqa: PTH105
        except BaseException:
            Path(unfinished).unlink(missing_ok=True)
            raise
        _sync_folder(folder)


def _sync_folder(folder: str) -> None:
    """The file's name is the folder's content, and as volatile until it is written."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
