"""A server's searches take at most half of the cores for one call, and less where there are several processes."""

import json
import subprocess
import sys

import pytest

CODE = """
import json, numpy, threadpoolctl
from nearfield.index import _faiss
from nearfield.serve import threads
threads.cores = lambda: {cores}
told = threads.share_threads({processes})
blas = [found["num_threads"] for found in threadpoolctl.threadpool_info() if found["user_api"] == "blas"]
print(json.dumps([told, _faiss.most_threads(), max(blas)]))
"""


@pytest.mark.parametrize(("cores", "processes", "most"), [(2, 1, 1), (8, 1, 4), (8, 2, 2), (1, 1, 1), (4, 8, 1)])
def test_a_call_takes_half_of_the_cores_of_its_process(cores: int, processes: int, most: int) -> None:
    code = CODE.format(cores=cores, processes=processes)
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    told, faiss, blas = json.loads(done.stdout)
    assert (told, faiss) == (most, most)
    assert blas <= most
