"""What is said of the errors of Lance."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from wave_search.errors import IndexCorruptError, IndexStateError
from wave_search.store import LocalFiles
from wave_search.store.table_errors import read_errors, write_errors

if TYPE_CHECKING:
    from pathlib import Path


def test_users_are_not_sent_to_the_issues_of_lance(tmp_path: Path) -> None:
    lance = (
        "lance error: Encountered internal error. Please file a bug report at https://github.com/lance-format/lance/issues."
        " Invalid read of range 0..8 for fragment 0 with 0 addressable rows, /root/lance-9.0.1/src/fragment.rs:12:34"
    )
    with pytest.raises(IndexCorruptError) as caught, read_errors(LocalFiles(tmp_path), None):
        raise RuntimeError(lance)
    cause = "a table contradicts itself (Invalid read of range 0..8 for fragment 0 with 0 addressable rows)"
    assert caught.value.message == f"{tmp_path}/lance cannot be read: {cause}"
    assert caught.value.remedy.startswith("Restore the index from a copy")


@pytest.mark.parametrize(
    ("error", "remedy"),
    [
        (OSError("LanceError(IO): no room (os error 28)"), "Free some space or make the place writable"),
        (RuntimeError("LanceError(IO): nothing is known of it"), "Free some space or make the place writable"),
        (
            RuntimeError("LanceError(IO): too many open files (os error 24)"),
            "Remove the cause and run the command again",
        ),
        (MemoryError(), "Remove the cause and run the command again"),
    ],
)
def test_the_remedy_of_what_cannot_be_written_is_true(error: Exception, remedy: str) -> None:
    with pytest.raises(IndexStateError) as caught, write_errors("/index/lance"):
        raise error
    assert caught.value.remedy == f"{remedy}; the last committed state is intact."


def test_what_was_damaged_before_is_no_full_disk() -> None:
    def check() -> None:
        raise IndexCorruptError("a table is damaged", "Restore it.")

    with pytest.raises(IndexCorruptError, match="a table is damaged"), write_errors("/index/lance", check):
        raise RuntimeError("LanceError(IO): magic number does not match")
    with pytest.raises(IndexStateError, match="cannot be written"), write_errors("/index/lance", check):
        raise OSError(28, "No space left on device")
