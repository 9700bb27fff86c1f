"""Record how long the tests take on this machine.

    uv run python tests/record_suite.py

writes tests/records/suite-BLAS.json.
"""

import sys
import time

import bench
import records
import scripts

if __name__ == "__main__":
    start = time.perf_counter()
    result = scripts.run(["-m", "pytest", "-q"], scripts.ROOT)
    seconds = time.perf_counter() - start
    if result.returncode != 0:
        sys.exit(result.stdout)
    records.write(f"suite-{bench.device_name()}", s=round(seconds))
