"""The trajectories of AgentTrek from its rows in any order: a row's history names the row before it.

Rows that follow each other in the file are joined as they are read, and most trajectories are then complete. The others
wait in a temporary file until the end: a piece follows the one whose history and last action are its own history.
"""

from __future__ import annotations

import hashlib
import pickle
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from tempfile import TemporaryFile
from typing import IO

from tracer1.data.conversion.corpus import Note
from tracer1.data.corpora.agenttrek.rows import Turn, one_blank

ENDS = ("send_msg_to_user", "report_infeasible")


def join_rows(rows: Iterable[Turn | Note]) -> Iterator[list[Turn] | Note]:
    """The trajectories: complete ones in the order of the file, then the joined ones. Notes pass through."""
    with TemporaryFile(prefix="tracer1-") as file:
        pieces = _Pieces(file)
        turns: list[Turn] = []
        for row in rows:
            if turns and not (isinstance(row, Turn) and _follows(row, turns[-1])):
                if _is_complete(turns):
                    yield turns
                else:
                    pieces.add(turns)
                turns = []
            if isinstance(row, Note):
                yield row
            else:
                turns.append(row)
        if turns:
            pieces.add(turns)
        yield from pieces.joined()


def _follows(turn: Turn, before: Turn) -> bool:
    """Whether ``turn`` is the step after ``before``."""
    if turn.goal != before.goal or turn.history[:-1] != before.history or not turn.history:
        return False
    return before.action is None or turn.history[-1] == one_blank(before.action)


def _is_complete(turns: Sequence[Turn]) -> bool:
    return not turns[0].history and (turns[-1].action or "").startswith(ENDS)


@dataclass(frozen=True, slots=True)
class _Piece:
    """A part of a trajectory in the temporary file. ``key``: its goal and history; ``next``: those of the next step."""

    at: int
    is_start: bool
    key: bytes
    next: bytes


class _Pieces:
    def __init__(self, file: IO[bytes]) -> None:
        self.file = file
        self.pieces: list[_Piece] = []

    def add(self, turns: Sequence[Turn]) -> None:
        first, last = turns[0], turns[-1]
        following = (*last.history, one_blank(last.action or ""))
        keys = _key(first.goal, first.history), _key(last.goal, following)
        self.pieces.append(_Piece(self.file.tell(), not first.history, *keys))
        pickle.dump(turns, self.file)

    def joined(self) -> Iterator[list[Turn]]:
        """The trajectories in the order of their first pieces. Of equal pieces, the earlier ones are joined."""
        after = self._successors()
        inner = set(after.values())
        for number in range(len(self.pieces)):
            if number not in inner:
                turns: list[Turn] = []
                following: int | None = number
                while following is not None:
                    turns += self._load(following)
                    following = after.get(following)
                yield turns

    def _successors(self) -> dict[int, int]:
        ends: dict[bytes, list[int]] = {}
        for number in range(len(self.pieces) - 1, -1, -1):
            ends.setdefault(self.pieces[number].next, []).append(number)
        found: dict[int, int] = {}
        for number, piece in enumerate(self.pieces):
            if not piece.is_start and (before := ends.get(piece.key)):
                found[before.pop()] = number
        return found

    def _load(self, number: int) -> list[Turn]:
        self.file.seek(self.pieces[number].at)
        turns: list[Turn] = pickle.load(self.file)
        return turns


def _key(goal: str, history: Sequence[str]) -> bytes:
    digest = hashlib.sha256()
    for text in (goal, *history):
        digest.update(text.encode("utf-8", "surrogatepass") + b"\0")
    return digest.digest()[:16]
