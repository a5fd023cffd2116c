"""`index --log`, with the real command."""

from __future__ import annotations

import json
from pathlib import Path

from tests.conftest import CommandLine


def test_the_log_of_a_run_has_what_was_skipped_and_the_report(cli: CommandLine, tmp_path: Path) -> None:
    (tmp_path / "media").mkdir()
    (tmp_path / "media" / "note.txt").write_text("the moon rises")
    (tmp_path / "media" / "empty.mp4").write_bytes(b"\0\0\0\x18ftypmp42" + b"\1" * 50)
    options = ["--index", tmp_path / "index", "--model", "wave-tiny", "--workers", "1", "--log", tmp_path / "log"]
    run = cli("index", tmp_path / "media", *options, "--quiet")
    assert run.returncode == 3, run.stderr
    records = [json.loads(line) for line in (tmp_path / "log").read_text().splitlines()]
    assert {record["event"] for record in records} == {"progress", "skipped", "report"}
    (skipped,) = (record for record in records if record["event"] == "skipped")
    assert (skipped["path"], bool(skipped["cause"])) == (str(tmp_path / "media" / "empty.mp4"), True)
    assert (records[-1]["event"], records[-1]["indexed"]) == ("report", 1)

    failed = cli("index", tmp_path / "missing", *options)
    assert failed.returncode == 2
    last = json.loads((tmp_path / "log").read_text().splitlines()[-1])
    assert (last["event"], last["message"]) == ("error", f"{tmp_path / 'missing'}: No such file or directory")
