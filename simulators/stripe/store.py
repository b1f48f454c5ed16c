"""Where the simulated objects live: documents by kind and id, in the order they were made."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

Doc = dict[str, Any]


class _Shelf:
    def __init__(self) -> None:
        self.docs: dict[str, Doc] = {}
        self.order: list[str] = []
        self.place: dict[str, int] = {}


class Store:
    """Documents are values: a change puts a new document in the old one's place.

    Not safe for threads by itself: the core holds its lock around each use.
    """

    def __init__(self) -> None:
        self._shelves: dict[str, _Shelf] = {}
        self._undo: list[tuple[str, str, Doc | None]] | None = None

    def put(self, kind: str, doc: Doc) -> Doc:
        """Keep a new document, or a new version of one."""
        shelf = self._shelves.setdefault(kind, _Shelf())
        object_id = doc["id"]
        if self._undo is not None:
            self._undo.append((kind, object_id, shelf.docs.get(object_id)))
        if object_id not in shelf.docs:
            shelf.place[object_id] = len(shelf.order)
            shelf.order.append(object_id)
        shelf.docs[object_id] = doc
        return doc

    def get(self, kind: str, object_id: str) -> Doc | None:
        """The current version, or None."""
        shelf = self._shelves.get(kind)
        return shelf.docs.get(object_id) if shelf else None

    def oldest_first(self, kind: str, after: str | None = None) -> Iterator[Doc]:
        """Documents in the order they were made, from behind `after`."""
        shelf = self._shelves.get(kind)
        if shelf is not None:
            start = 0 if after is None else shelf.place[after] + 1
            for place in range(start, len(shelf.order)):
                yield shelf.docs[shelf.order[place]]

    def newest_first(self, kind: str, after: str | None = None) -> Iterator[Doc]:
        """Documents from the newest back, from behind (older than) `after`."""
        shelf = self._shelves.get(kind)
        if shelf is not None:
            start = len(shelf.order) if after is None else shelf.place[after]
            for place in range(start - 1, -1, -1):
                yield shelf.docs[shelf.order[place]]

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """All changes inside are kept, or, when it raises, none."""
        outer, self._undo = self._undo, []
        try:
            yield
        except BaseException:
            for kind, object_id, previous in reversed(self._undo):
                self._put_back(kind, object_id, previous)
            raise
        finally:
            self._undo = outer

    def _put_back(self, kind: str, object_id: str, previous: Doc | None) -> None:
        shelf = self._shelves[kind]
        if previous is not None:
            shelf.docs[object_id] = previous
            return
        del shelf.docs[object_id], shelf.place[object_id]
        shelf.order.pop()
