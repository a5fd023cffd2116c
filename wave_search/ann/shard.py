"""A shard: an immutable piece of a partition on disk, its codes and the vectors to re-score candidates with."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np

from wave_search.ann import files
from wave_search.ann.threads import one_thread

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from numpy.typing import NDArray

    from wave_search.ann.codebook import Codebook

CODES, IDS, VECTORS = "codes.faiss", "ids.npy", "vectors.f16"


@dataclass(frozen=True, slots=True)
class Question:
    """Query rows as the codes of a partition see them, and where to look for each."""

    rotated: NDArray[np.float32]
    """(q, dims)."""
    distances: NDArray[np.float32]
    """(q, probes) to the centroids of the lists."""
    lists: NDArray[np.int64]
    """(q, probes), nearest first."""

    @classmethod
    def of(cls, codebook: Codebook, rows: NDArray[np.float32], nprobe: int) -> Question:
        """Look for rows (q, dim) in their nearest lists."""
        with one_thread():
            rotated = codebook.rotate_queries(rows)
            return cls(rotated, *codebook.probe(rotated, nprobe))


def search_parameters(nprobe: int, among: NDArray[np.bool_] | None) -> Any:
    """What faiss takes to look into so many lists, for what may be found: (n,), None for all."""
    import faiss

    params: Any = faiss.SearchParametersIVF()
    params.nprobe = nprobe
    if among is not None:
        selector: Any = faiss.IDSelectorBitmap
        params.sel = selector(np.packbits(among, bitorder="little"))
    return params


@lru_cache
def _unfiltered(nprobe: int) -> Any:
    # faiss only reads them, and to make them takes as long as to look at several candidates.
    return search_parameters(nprobe, None)


class Codes:
    """Codes by list, in memory. Safe to search from several threads.

    Attributes:
        index: the faiss index.
    """

    def __init__(self, index: Any) -> None:
        self.index = index

    def __len__(self) -> int:
        return int(self.index.ntotal)

    def take_over(self, other: Codes) -> None:
        """Append those of another one with the same codebook, which is empty afterwards."""
        self.index.merge_from(other.index, len(self))

    def nearest(
        self, question: Question, wanted: int, among: NDArray[np.bool_] | None = None
    ) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
        """Find candidates.

        Args:
            question: for what and where to look.
            wanted: how many for each row.
            among: (n,) which may be found; None for all.

        Returns:
            Squared distances and positions, both (q, wanted), nearest first; -1 where there are not so many.
        """
        import faiss

        rows, nprobe = question.lists.shape
        params = _unfiltered(nprobe) if among is None else search_parameters(nprobe, among)
        distances = np.empty((rows, wanted), np.float32)
        positions = np.empty((rows, wanted), np.int64)
        with one_thread():
            # The one without checks: that with them takes no parameters, and here nprobe belongs to the call.
            self.index.search_preassigned_c(
                rows,
                faiss.swig_ptr(question.rotated),
                wanted,
                faiss.swig_ptr(question.lists),
                faiss.swig_ptr(question.distances),
                faiss.swig_ptr(distances),
                faiss.swig_ptr(positions),
                False,
                params,
            )
        return distances, positions


@dataclass(frozen=True, slots=True)
class Shard:
    """An open shard."""

    codes: Codes
    ids: NDArray[np.int64]
    """(n,) ascending segment ids, mapped."""
    vectors: NDArray[np.float16]
    """(n, dim), mapped."""
    directory: Path

    def __len__(self) -> int:
        return len(self.ids)

    def batches(self, rows: int) -> Iterator[tuple[NDArray[np.int64], NDArray[np.float16]]]:
        """Ids (b,) and vectors (b, dim) of all, read from the file: what is mapped would stay in memory.

        Raises:
            IndexCorruptError: the file is not there any more.
        """
        for start in range(0, len(self), rows):
            ids = self.ids[start : start + rows]
            yield ids, files.read_array(self.directory, VECTORS, np.float16, start, (len(ids), self.vectors.shape[1]))

    @classmethod
    def open(cls, directory: Path, codebook: Codebook) -> Shard:
        """Read the codes and map the rest. Plain reads, because faiss reads fast-scan codes faster than it maps them.

        Raises:
            IndexCorruptError: missing or damaged files, or made with another codebook; the remedy is to rebuild it.
        """
        import faiss

        meta = files.read_meta(directory)
        count, dim = meta.facts.get("count", -1), meta.facts.get("dim", -1)
        if (dim, meta.facts.get("codebook")) != (codebook.dim, codebook.checksum):
            raise files.damaged(directory, "it was made with another codebook")
        files.check(directory, IDS, meta)
        ids = files.map_ids(directory, IDS, count)
        vectors = files.map_array(directory, VECTORS, np.float16, (count, dim))
        files.check(directory, CODES, meta)  # faiss may crash on damaged data
        index = codebook.new_index()
        try:
            lists: Any = faiss.read_InvertedLists(faiss.FileIOReader(str(directory / CODES)))
        except RuntimeError as error:  # removed just now
            raise files.damaged(directory, f"{CODES}: {error}") from error
        # Not in the file, and needed to take over those of another shard.
        lists.packer = index.get_CodePacker()
        index.replace_invlists(lists, True)
        index.ntotal = count
        return cls(Codes(index), ids, vectors, directory)
