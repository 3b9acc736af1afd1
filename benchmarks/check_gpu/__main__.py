"""The command. Whether there is a GPU is the first thing that it looks at; only its parts import torch."""

import argparse
import os
import shutil
import subprocess
import sys
import time
from datetime import date
from pathlib import Path

from benchmarks.check_gpu import report
from benchmarks.check_gpu.parts import Part, described, import_once, run_parts
from benchmarks.check_gpu.setting import NoGPUError

NOTHING_TO_CHECK = 2
PARTS = (
    Part("kernels", "benchmarks.check_gpu.kernels:cases", 0.24),
    Part("decode", "benchmarks.check_gpu.decode:cases", 0.44),
    Part("engines", "benchmarks.check_gpu.engines:cases", 0.16),
    Part("sweep", "benchmarks.check_gpu.sweep:cases", 0.16),
)


def has_gpu() -> bool:
    """Whether NVIDIA's driver answers for one."""
    asked = shutil.which("nvidia-smi")
    return asked is not None and subprocess.run([asked], capture_output=True).returncode == 0


def main() -> int:
    began = time.monotonic()
    parser = argparse.ArgumentParser(prog="check_gpu", description=__doc__)
    parser.add_argument("--minutes", type=float, default=8, help="of all parts together")
    parser.add_argument("--out", type=Path, default=Path("runs/check-gpu"))
    parser.add_argument("--dry-run", action="store_true", help="on a CPU; times mean nothing")
    options = parser.parse_args()
    if not options.dry_run and not has_gpu():
        print("check-gpu: nvidia-smi finds no NVIDIA GPU here", file=sys.stderr)
        return NOTHING_TO_CHECK
    set_variables(options.dry_run)
    return check(options.dry_run, began, options.minutes * 60, options.out)


def set_variables(dry: bool) -> None:
    """What must be set before torch and Triton are imported: one GPU, and whether kernels are interpreted."""
    if dry:
        os.environ.update(TRITON_INTERPRET="1", CUDA_VISIBLE_DEVICES="")
        os.environ.setdefault("OMP_NUM_THREADS", "1")
    else:
        os.environ.pop("TRITON_INTERPRET", None)
        visible = os.environ.get("CUDA_VISIBLE_DEVICES", "0")
        os.environ["CUDA_VISIBLE_DEVICES"] = visible.split(",")[0]


def check(dry: bool, began: float, seconds: float, out: Path) -> int:
    """Run all parts, and write what they have found as it comes. Returns the exit status."""
    if dry:
        import_once(PARTS)
    try:
        setting, environment = described(dry)
    except NoGPUError as error:
        print(f"check-gpu: {error}", file=sys.stderr)
        return NOTHING_TO_CHECK
    environment["date"] = date.today().isoformat()
    rows = []
    for row in run_parts(PARTS, setting, began, seconds):
        rows.append(row)
        print(*report.cells(row, dry), sep=" | ", flush=True)
        report.write(rows, environment, dry, out)
    print(f"{report.summary(rows)}; see {out}/check-gpu.md")
    return report.status(rows)


if __name__ == "__main__":
    sys.exit(main())
