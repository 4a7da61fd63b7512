"""A frame through the doors of an old pyarrow; only it, numpy and the kernel can be imported.

frame.py INPUT: JSON of a meaning (text), events and rows by column; prints the pyarrow's version and the answer.
"""

import json
import sys
from pathlib import Path

import pyarrow as pa
import skewless_kernel as kernel

given = json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))
kinds = {"c_x": pa.float64(), "c_s": pa.string(), "entity_id": pa.string(), "partition": pa.int32()}


def table(columns: dict[str, list[object]]) -> pa.Table:
    return pa.table({name: pa.array(values, kinds.get(name, pa.int64())) for name, values in columns.items()})


view = kernel.StreamView(given["meaning"].encode())
events, rows = table(given["events"]), table(given["rows"])
answers = [
    pa.record_batch(view.frame(own, asked)).to_pydict()
    for own, asked in (
        (events, rows.combine_chunks().to_batches()[0]),
        (events.to_reader(max_chunksize=1), rows),
        (events.combine_chunks().to_batches()[0], rows),
    )
]
answers.append(pa.RecordBatchReader.from_stream(view.frame(events, rows)).read_all().to_pydict())
print(json.dumps({"pyarrow": pa.__version__, "answers": answers}))
