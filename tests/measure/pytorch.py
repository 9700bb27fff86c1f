"""Record what the PyTorch twin computes, for main.py to be held to it where PyTorch is not.

    python -m tests.measure.pytorch [--check]

writes tests/records/pytorch.json, or, with --check, exits with 1 where the twin computes something
else. It needs PyTorch, not MLX. All but the whole run starts from the weights of parity.py.
"""

import sys

from tests import parity, scripts
from tests.measure import records

if __name__ == "__main__":
    found = {"code": parity.digest(), **parity.of_twin()}
    if "--check" in sys.argv:
        apart = parity.differences(found, records.read("pytorch"))
        print("the twin lies apart from its record by", apart)
        same = found["code"] == records.read("pytorch")["code"]
        sys.exit(not same or any(apart[name] > bound for name, bound in parity.BOUNDS.items()))
    twin = scripts.load(scripts.TWIN)
    found["losses of a whole run"] = [round(x, 4) for x in scripts.train(twin, range(1000))]
    assert len(scripts.sample(twin)) == 20
    records.write("pytorch", {"machine": records.machine(), **found})
