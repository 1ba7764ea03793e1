"""LanceDB's bare add of the arrays in a folder, chunk by chunk, os.sync() inside the timed part."""

import json
import os
import sys
import tempfile
import time

import lancedb
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

folder, chunk = sys.argv[1], int(sys.argv[2])
x = np.load(f"{folder}/x.npy")
rest = pq.read_table(f"{folder}/rest.parquet")
table = rest.append_column("vector", pa.FixedSizeListArray.from_arrays(pa.array(x.ravel()), x.shape[1]))
with tempfile.TemporaryDirectory(dir=folder) as directory:
    db = lancedb.connect(directory)
    os.sync()
    start = time.perf_counter()
    made = db.create_table("t", table.slice(0, chunk))
    for at in range(chunk, len(table), chunk):
        made.add(table.slice(at, chunk))
    os.sync()
    print(json.dumps({"seconds": time.perf_counter() - start}))
