"""Record what the PyTorch twin computes, for main.py to be held to it where PyTorch is not.

    python -m tests.measure.pytorch [--check]

writes its record, pytorch.json, or, with --check, exits with 1 where the twin computes something
else. It needs PyTorch, not MLX. All but the whole run starts from the weights of parity.py.
"""

import sys

from tests.tools import lesson, parity, records

if __name__ == "__main__":
    found = parity.of_twin()
    if "--check" in sys.argv:
        apart = parity.differences(found, records.read("pytorch"))
        print("the twin lies apart from its record by", apart)
        if parity.too_far(apart) or records.outdated(["pytorch"]):
            sys.exit("the twin computes something else now: run `python -m tests.measure.pytorch`")
        sys.exit()
    twin = lesson.load(lesson.TWIN)
    found["losses of a whole run"] = [round(x, 4) for x in lesson.train(twin, range(1000))]
    assert len(lesson.sample(twin)) == 20
    records.write("pytorch", records.stamp(lesson.TWIN) | found)
