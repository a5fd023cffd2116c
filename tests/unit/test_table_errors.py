"""What is said of the errors of Lance."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from wave_search.errors import IndexCorruptError
from wave_search.store import LocalFiles
from wave_search.store.table_errors import read_errors

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
