"""Opening files: what is a fault of the file, and what may pass."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from wave_search.errors import BrokenMediaError, MediaError, UnsupportedMediaError
from wave_search.media import looks_like_media
from wave_search.media.source import IndependentReader, open_regular
from wave_search.media.worker import failure_of


@pytest.mark.parametrize("code", [errno.EIO, errno.EMFILE, errno.ENOMEM, errno.ETIMEDOUT, errno.ECONNRESET])
def test_a_fault_of_the_system_is_no_damage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int) -> None:
    path = tmp_path / "sound.wav"
    path.write_bytes(b"RIFF")

    def fail(*_: object, **__: object) -> None:
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(os, "open", fail)
    with pytest.raises(MediaError, match="cannot be read") as raised:
        open_regular(path)
    assert type(raised.value) is MediaError
    assert "Try again" in raised.value.remedy
    decoding = failure_of(path, OSError(code, os.strerror(code)))
    assert type(decoding) is MediaError
    assert os.strerror(code) in decoding.cause


def test_a_library_that_cannot_be_loaded_is_no_damage(tmp_path: Path) -> None:
    error = ImportError("libz.so.1: cannot open shared object file: Too many open files")
    assert type(failure_of(tmp_path, error)) is MediaError


def test_what_libraries_raise_is_damage(tmp_path: Path) -> None:
    class LibraryError(OSError):
        """As those of PyAV."""

    for error in (ValueError("bad header"), OSError("truncated"), LibraryError(errno.EIO, "Input/output error")):
        failure = failure_of(tmp_path, error)
        assert isinstance(failure, BrokenMediaError)
        assert failure.cause.startswith("cannot be decoded")


@pytest.mark.parametrize(
    ("name", "error", "cause"),
    [
        ("missing", BrokenMediaError, "no such file"),
        ("nul\0", BrokenMediaError, "cannot be opened"),
        (".", UnsupportedMediaError, "a folder"),
    ],
)
def test_what_cannot_be_opened(tmp_path: Path, name: str, error: type[MediaError], cause: str) -> None:
    with pytest.raises(error, match=cause):
        open_regular(tmp_path / name)


def test_a_name_that_becomes_a_pipe_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "no_suffix"
    path.write_bytes(b"fLaC")
    regular = path.stat()
    path.unlink()
    os.mkfifo(path)
    monkeypatch.setattr(Path, "stat", lambda *_, **__: regular)
    with pytest.raises(UnsupportedMediaError, match="a pipe"):
        open_regular(path)
    assert not looks_like_media(path)


def test_readers_of_a_part_of_a_file(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"tagmedia")
    with path.open("rb") as file:
        reader, whole = IndependentReader(file, 3), IndependentReader(file)
        assert (reader.read(2), whole.read(3), reader.read(), reader.read(1)) == (b"me", b"tag", b"dia", b"")
        assert (reader.seek(-1, os.SEEK_END), reader.read(9), reader.tell()) == (4, b"a", 5)
        assert (reader.seek(0), reader.read(1)) == (0, b"m")
