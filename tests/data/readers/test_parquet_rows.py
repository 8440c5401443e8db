from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tracer1.data.readers.damage import Damaged
from tracer1.data.readers.parquet_rows import Place, RowReader, index_rows


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """20 rows in groups of 10: an id, some bytes, and a column that is never read."""
    path = tmp_path / "rows.parquet"
    rows = [{"id": str(i), "data": bytes([i]) * 4000, "large": "x" * 100} for i in range(20)]
    pq.write_table(
        pa.Table.from_pylist(rows),
        path,
        row_group_size=10,
        compression="none",
        use_dictionary=False,
        data_page_size=4000,
        write_batch_size=1,
        write_statistics=False,
        write_page_checksum=True,
    )
    return path


def ids(rows: list[object]) -> list[str]:
    return [row["id"] if isinstance(row, dict) else row.reason for row in rows]  # type: ignore[attr-defined]


def test_the_index_names_every_row(file: Path) -> None:
    index = list(index_rows(file, ["id"]))
    assert index[0] == (Place(file, 0, 0), {"id": "0"})
    assert index[19] == (Place(file, 1, 9), {"id": "19"})
    assert len(index) == 20


def test_rows_in_any_order(file: Path) -> None:
    reader = RowReader(["id", "data", "not there"])
    places = [Place(file, *divmod(i, 10)) for i in (0, 1, 7, 3, 3, 19, 12, 0)]
    rows = [reader.read(place) for place in places]
    assert ids(rows) == ["0", "1", "7", "3", "3", "19", "12", "0"]
    assert rows[2] == {"id": "7", "data": bytes([7]) * 4000}


def test_a_damaged_page_costs_the_rows_from_it_to_the_end_of_its_group(file: Path) -> None:
    data = bytearray(file.read_bytes())
    data[data.index(bytes([5]) * 4000) + 9] ^= 1
    file.write_bytes(data)
    reader = RowReader(["id", "data"])
    rows = [reader.read(Place(file, *divmod(i, 10))) for i in range(20)]
    bad = [i for i, row in enumerate(rows) if isinstance(row, Damaged)]
    assert bad == list(range(bad[0], 10))
    assert bad[0] in (4, 5)  # rows are decoded by the handful
    assert rows[9].reason == "unreadable row"  # type: ignore[union-attr]
    assert str(rows[9]).startswith("rows.parquet group 0 row 9: unreadable row")
    assert isinstance(reader.read(Place(file, 0, 1)), dict)


def test_what_is_no_such_file_is_told(file: Path, tmp_path: Path) -> None:
    cut = tmp_path / "cut.parquet"
    cut.write_bytes(file.read_bytes()[:-9])
    (damage,) = index_rows(cut, ["id"])
    assert isinstance(damage, Damaged)
    assert (damage.where, damage.reason) == ("cut.parquet", "not a Parquet file")
    (damage,) = index_rows(file, ["id", "other"])
    assert isinstance(damage, Damaged)
    assert (damage.reason, damage.detail[:5]) == ("no such column", "other")
    assert isinstance(RowReader(["id"]).read(Place(cut, 0, 0)), Damaged)
    assert isinstance(RowReader(["id"]).read(Place(file, 0, 10)), Damaged)
    assert isinstance(RowReader(["id"]).read(Place(file, 2, 0)), Damaged)


def test_text_that_is_no_utf_8_costs_one_row(tmp_path: Path) -> None:
    path = tmp_path / "text.parquet"
    bad = pa.Array.from_buffers(
        pa.string(), 3, [None, pa.array([0, 1, 2, 3], pa.int32()).buffers()[1], pa.py_buffer(b"a\xffc")]
    )
    pq.write_table(pa.table({"id": bad}), path)
    reader = RowReader(["id"])
    assert ids([reader.read(Place(path, 0, i)) for i in range(3)]) == ["a", "unreadable row", "c"]
    assert [type(found) for found in index_rows(path, ["id"])] == [Damaged]
