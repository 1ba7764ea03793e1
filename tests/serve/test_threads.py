"""A server's searches and embeddings take at most half of the cores for one call, and less with several processes."""

import json
import os
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
import torch
print(json.dumps([told, _faiss.most_threads(), max(blas), torch.get_num_threads()]))
"""


@pytest.mark.parametrize(("cores", "processes", "most"), [(2, 1, 1), (8, 1, 4), (8, 2, 2), (1, 1, 1), (4, 8, 1)])
def test_a_call_takes_half_of_the_cores_of_its_process(cores: int, processes: int, most: int) -> None:
    code = CODE.format(cores=cores, processes=processes)
    plain = {name: value for name, value in os.environ.items() if name != "OMP_NUM_THREADS"}
    told, faiss, blas, torch = measured(code, plain)
    assert (told, faiss) == (most, most)
    assert 1 <= blas <= most
    assert 1 <= torch <= most
    own = 1 if most > 1 else min(2, os.cpu_count() or 1)
    assert measured(code, plain | {"OMP_NUM_THREADS": str(own)})[3] == own


def measured(code: str, environment: dict[str, str]) -> list[int]:
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=environment)
    found: list[int] = json.loads(done.stdout)
    return found
