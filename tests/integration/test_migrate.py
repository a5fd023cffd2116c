"""Another model for an index: what it keeps, what is lost, and that it is whole whenever the run ends."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

import wave_search as ws
from tests.conftest import Called
from tests.libraries import LIBRARY_FILES
from wave_search import descriptors
from wave_search.alerts import AlertBook, parse_command, set_alert
from wave_search.errors import IndexMismatchError, ModelNotFoundError, UsageError
from wave_search.models.sources import TINY_DIRECTORY

TEXT, IMAGE, AUDIO, VIDEO, AV = ws.Modality


class Other(ws.Embedder):
    """Vectors of 8 dimensions that depend on all that a clip holds."""

    def __init__(self, *modalities: ws.Modality, revision: str = "1") -> None:
        held = modalities or (TEXT, IMAGE, AUDIO, VIDEO)
        self.spec = ws.ModelSpec("other", revision, 8, held, ws.Sampling.uniform())
        self.media = 0

    def embed(
        self,
        clips: Sequence[ws.Clip],
        modalities: Sequence[ws.Modality] | None = None,
        instruction: str | None = None,
    ) -> list[dict[ws.Modality, np.ndarray]]:
        self.media += sum(clip.text is None for clip in clips)
        wanted = self.spec.modalities if modalities is None else modalities
        return [{one: self._vector(clip) for one in wanted if one in clip.modalities} for clip in clips]

    def _vector(self, clip: ws.Clip) -> np.ndarray:
        parts = clip.text, clip.image, clip.frames and clip.frames.pixels, clip.waveform and clip.waveform.samples
        data = b"".join(np.asarray(part).tobytes() for part in parts if part is not None)
        seed = int.from_bytes(hashlib.blake2b(data, digest_size=8).digest())
        vector = np.random.default_rng(seed).normal(size=8).astype(np.float32)
        return vector / np.linalg.norm(vector)


def paths(index: ws.Index) -> list[Path]:
    return sorted(file.path for file in index.files() if file.status == "indexed")


def test_all_but_the_vectors_is_kept_and_the_old_index_answers_meanwhile(settled: Path) -> None:
    home, media = settled / "index", settled / "media"
    with ws.open(home) as old:
        old.add([media], exclude=["*.png"])
        old.edit_metadata([ws.MetadataEdit([media / "sounds" / "300.flac"], {"rating": 5}, {"tags": ["low"]})])
        old.save_search("notes", ws.SearchRequest.build(text="rain", target="text", min_z=-99))
        before = paths(old)
        answers: list[int] = []

        def meanwhile(_: ws.Progress) -> None:
            if not answers:
                (media / "texts" / "late.txt").write_text("a late note")
                with ws.open(home) as again:
                    again.add([media / "texts"])
            answers.append(len(old.search(text="rain", target="text")))

        report = ws.migrate(home, embedder=Other(), progress=meanwhile)
        assert min(answers) == 2
        with pytest.raises(IndexMismatchError, match=r"is an index of another model now: other\. Open it again"):
            old.refresh()
    assert (report.model, report.replaced, report.lost, report.old) == ("other", "wave-tiny", (), None)
    with ws.open(home, embedder=Other()) as new:
        assert (new.model.name, new.model.dim) == ("other", 8)
        assert paths(new) == sorted([*before, media / "texts" / "late.txt"])
        assert [file.path.name for file in new.files(where="rating = 5 AND list_contains(tags, 'low')")] == ["300.flac"]
        assert new.info().folders[0].exclude == ("*.png",)
        assert len(new.search(new.saved_request("notes"))) == 3
        assert new.add([media]).indexed == 0
    assert ws.verify(home) == ()
    assert sorted(path.name for path in settled.iterdir()) == ["index", "media"]


def test_an_interrupted_migration_continues_and_leaves_the_index_as_it_was(settled: Path) -> None:
    home, first, second = settled / "index", Other(), Other()

    def interrupt(progress: ws.Progress) -> None:
        if progress.stage == "embed" and 0 < progress.files_total == progress.files_done:
            raise KeyboardInterrupt

    with pytest.raises(ws.Interrupted):
        ws.migrate(home, embedder=first, progress=interrupt)
    assert first.media
    with ws.open(home) as old:
        assert old.model.name == "wave-tiny"
        assert len(paths(old)) == LIBRARY_FILES
    with pytest.raises(UsageError, match=r"an unfinished migration is in .*index\.new"):
        ws.migrate(home, embedder=Other(revision="2"))
    ws.migrate(home, embedder=second)
    assert not second.media
    with ws.open(home, embedder=second) as new:
        assert len(paths(new)) == LIBRARY_FILES


def test_what_is_lost_is_named_and_the_old_index_can_be_kept(settled: Path) -> None:
    home = settled / "index"
    (settled / "media" / "texts" / "note1.txt").unlink()
    report = ws.migrate(home, embedder=Other(TEXT, IMAGE), keep_old=True)
    assert [(one.path.name, one.cause) for one in report.lost] == [("note1.txt", "no such file")]
    assert report.lost_modalities == (AUDIO, VIDEO, AV)
    assert report.old == home.with_name("index.old")
    with ws.open(report.old) as old:
        assert len(paths(old)) == LIBRARY_FILES
    with pytest.raises(UsageError, match=r"there is something at .*index\.old already"):
        ws.migrate(home, embedder=Other(), keep_old=True)


def test_folders_that_are_not_there_are_left_out_on_request_only(settled: Path) -> None:
    home, media = settled / "index", settled / "media"
    (settled / "other").mkdir()
    (settled / "other" / "note.txt").write_text("another note")
    with ws.open(home) as old:
        old.add([settled / "other"])
    shutil.move(media, settled / "elsewhere")
    with pytest.raises(UsageError, match=r"missing or empty now: .*media\. Connect the disk, or leave them out"):
        ws.migrate(home, embedder=Other())
    assert not home.with_name("index.new").exists()
    report = ws.migrate(home, embedder=Other(), drop_unreachable=True)
    assert {one.cause for one in report.lost} == {"no such file"}
    with ws.open(home, embedder=Other()) as new:
        assert [path.name for path in paths(new)] == ["note.txt"]


def test_the_same_model_is_refused_and_what_is_not_of_the_index_is_kept(
    settled: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = settled / "index"
    with pytest.raises(UsageError, match="the index has the model wave-tiny already"):
        ws.migrate(home, "wave-tiny")
    assert not home.with_name("index.new").exists()
    (home / "notes").mkdir()
    (home / "notes" / "mine.txt").write_text("mine")
    monkeypatch.setattr(descriptors, "_exchanged_at_once", lambda *_: False)  # a disk that cannot
    report = ws.migrate(home, embedder=Other())
    assert report.old == home.with_name("index.new")
    assert [path.name for path in report.old.rglob("*")] == ["notes", "mine.txt"]
    home.rename(descriptors.spare(home))  # as after a crash on such a disk
    shutil.rmtree(report.old)
    assert ws.migrate(home, "wave-tiny").replaced == "other"


def test_the_command(called: Called, tmp_path: Path) -> None:
    home, model = tmp_path / "index", tmp_path / "model"
    shutil.copytree(TINY_DIRECTORY, model)
    (model / "config.json").write_text((model / "config.json").read_text() + " ")
    (tmp_path / "media").mkdir()
    for name in ("kept.txt", "gone.txt"):
        (tmp_path / "media" / name).write_text(name)
    with ws.create(home, "wave-tiny") as old:
        old.add([tmp_path / "media"])
        old.save_search("rain", ws.SearchRequest.build(text="rain", min_z=-99))
        set_alert(old, "rain", parse_command(["true"]))
    (tmp_path / "media" / "gone.txt").unlink()
    run = called("migrate", "--model", model, "--index", home, "--keep-old")
    assert run.returncode == 3, run.stderr
    assert f"{home} is an index of {model} now, no longer of wave-tiny" in run.stderr
    assert "1 file no longer in the index:" in run.stderr
    with ws.open(home) as new:
        (alert,) = AlertBook(home).alerts()
        assert (alert.next_segment_id, alert.version) == (new.next_segment_id, new.version)
    run = called("compare", home.with_name("index.old"), "kept", "gone", "--index", home)
    assert run.returncode == 0, run.stderr
    assert run.stdout == "0.50\tkept\t\tgone.txt\n0.50\tgone\t\tgone.txt\n"
    assert f"overlap@10 of {model} and wave-tiny: 0.50 (95 %: 0.50 to 0.50), 2 queries" in run.stderr
    run = called("compare", home.with_name("index.old"), "--index", home)
    assert (run.returncode, run.stderr) == (
        2,
        "error: there is nothing to compare with. Name texts, --queries FILE or --dataset DATASET.\n",
    )


def test_a_model_that_is_not_here_is_downloaded_first(
    settled: Path, called: Called, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []

    def pull(name: str, progress: object) -> Path:
        asked.append(name)
        raise ModelNotFoundError("the hub cannot be reached", "Try again.")

    monkeypatch.setattr(ws, "model_directory", lambda name: None)
    monkeypatch.setattr(ws, "pull_model", pull)
    run = called("migrate", "--model", "WAVE-7B", "--index", settled / "index")
    assert (run.returncode, asked) == (1, ["WAVE-7B"]), run.stderr
    assert "error: the hub cannot be reached. Try again." in run.stderr
