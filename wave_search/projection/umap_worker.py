"""The program that runs UMAP in a process of its own, with low priority. The only module that uses it."""

from __future__ import annotations

import os
import sys
import threading
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from multiprocessing.connection import Connection

NEIGHBORS = 15
_MIN_DISTANCE = 0.1
_SEED = 7
_NICENESS = 10


def main() -> None:
    """Receive points (n, d) and answer with points (n, 2), None if it fails.

    The arguments name the socket and the paths of modules.
    """
    descriptor, *paths = sys.argv[1:]
    sys.path.extend(path for path in paths if path not in sys.path)
    from wave_search.processes import connection_to_parent
    from wave_search.system import be_nice

    be_nice(_NICENESS)
    with connection_to_parent(int(descriptor)) as connection:
        points = connection.recv()
        threading.Thread(target=_end_with, args=(connection,), daemon=True).start()
        try:
            from umap import UMAP

            model = UMAP(n_neighbors=NEIGHBORS, min_dist=_MIN_DISTANCE, random_state=_SEED, n_jobs=1)
            answer = model.fit_transform(points)
        except Exception:  # whatever it is, the map is made without UMAP
            answer = None
        connection.send(answer)


def _end_with(connection: Connection) -> None:
    """End this process when the other end of the connection is closed: nobody waits for the answer any more."""
    connection.poll(None)  # nothing else is sent
    os._exit(1)


if __name__ == "__main__":
    main()
