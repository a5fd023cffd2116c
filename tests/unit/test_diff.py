from __future__ import annotations

from wave_search.indexer.diff import ChangePlan, compare
from wave_search.indexer.scan import FoundFile
from wave_search.store import FileRow


def found(*paths: str, size: int = 1, mtime: int = 1, root: bytes = b"/m", device: int = 1) -> dict[bytes, FoundFile]:
    return {path.encode(): FoundFile(path.encode(), root, size, mtime, device) for path in paths}


def row(path: str, *, size: int = 1, mtime: int = 1, skipped: bool = False) -> FileRow:
    if skipped:
        return FileRow(path.encode(), b"/m", size, mtime, 1, None, "skipped", "broken", "repair it")
    return FileRow(path.encode(), b"/m", size, mtime, 1, 7)


def planned(files: dict[bytes, FoundFile], *rows: FileRow, scanned: str = "/m", protected: str = "") -> ChangePlan:
    return compare(files, rows, [scanned.encode()], [protected.encode()] if protected else [])


def test_new_files_are_fresh_in_scan_order() -> None:
    assert [file.path for file in planned(found("/m/b", "/m/a")).fresh] == [b"/m/b", b"/m/a"]


def test_the_same_size_and_time_is_the_same_file() -> None:
    plan = planned(found("/m/a"), row("/m/a"))
    assert not plan.fresh
    assert plan.unchanged == 1


def test_another_size_or_time_is_another_file() -> None:
    assert planned(found("/m/a", size=2), row("/m/a")).fresh
    assert planned(found("/m/a", mtime=2), row("/m/a")).fresh
    assert planned(found("/m/a", mtime=0), row("/m/a")).fresh, "older counts too"


def test_one_file_of_a_content_that_has_to_be_embedded_again_is_read() -> None:
    plan = compare(found("/m/b", "/m/a"), [row("/m/a"), row("/m/b")], [b"/m"], [], incomplete=[7, 8])
    assert [file.path for file in plan.fresh] == [b"/m/a"]
    assert plan.unchanged == 1


def test_a_skipped_file_is_tried_again_only_when_it_changed() -> None:
    assert planned(found("/m/a"), row("/m/a", skipped=True)).known_skipped == (row("/m/a", skipped=True),)
    assert planned(found("/m/a", size=2), row("/m/a", skipped=True)).fresh


def test_a_skipped_file_is_tried_again_if_that_is_asked_for() -> None:
    rows = [row("/m/a", skipped=True), row("/m/b"), row("/m/gone", skipped=True)]
    plan = compare(found("/m/a", "/m/b"), rows, [b"/m"], [], retry=True)
    assert [file.path for file in plan.fresh] == [b"/m/a"]
    assert (plan.unchanged, plan.known_skipped, plan.removed) == (1, (), (b"/m/gone",))


def test_gone_files_are_removed_only_below_what_was_scanned() -> None:
    plan = planned({}, row("/m/sub/a"), row("/m/b"), row("/m/subway"), scanned="/m/sub")
    assert plan.removed == (b"/m/sub/a",)


def test_nothing_is_removed_below_what_could_not_be_seen() -> None:
    assert planned({}, row("/m/sub/a"), row("/m/b"), protected="/m/sub").removed == (b"/m/b",)


def test_files_get_the_number_that_their_disk_now_has() -> None:
    plan = planned(found("/m/a", device=2), row("/m/a"))
    assert [moved.device for moved in plan.moved_roots] == [2]
    assert not plan.fresh


def test_files_get_the_root_that_they_now_belong_to() -> None:
    plan = planned(found("/m/a", root=b"/"), row("/m/a"))
    assert [moved.root for moved in plan.moved_roots] == [b"/"]
    assert not plan.fresh
