"""What a node says of itself before the first actor: its code, its GPUs, and what it sees of the run.

`report` is sent to nodes by value, so that a node without raysweep can answer too. It therefore imports
nothing but Python's own library at the top, and takes and gives plain values.
"""

import ctypes
import hashlib
import importlib
import importlib.util
import os
import platform
import re
import shutil
import socket
import subprocess
import tempfile
import threading
import time
import uuid
from importlib import metadata
from pathlib import Path
from typing import Any

# The packages of raysweep, whose code is compared between nodes.
OURS = ("raysweep", "actors")
COMPILERS = ("cc", "gcc", "clang")
ASK_GPUS = [
    "nvidia-smi",
    "--query-gpu=name,memory.total,memory.free,driver_version,mig.mode.current",
    "--format=csv,noheader,nounits",
]

# A folder that gives no answer within so many seconds is told, though storage would be tried for longer.
FOLDER_S = 30.0
# What another machine has just created may be unknown to a network folder's cache for so many seconds.
CACHED_S = 5


def report(asked: dict[str, Any]) -> dict[str, Any]:
    """The node's answers to `node_questions.Questions`. `NodeReport` says what they mean."""
    gpus, driver = nvidia_gpus()
    named = [os.environ["CC"]] if "CC" in os.environ else COMPILERS
    has_code = all(map(is_installed, OURS))
    return {
        "host": socket.gethostname(),
        "clock_s": time.time(),
        "code": code_of(*OURS) if has_code else "",
        "versions": {"python": platform.python_version(), **versions(asked["packages"])},
        "cuda": cuda_of_torch(),
        "driver": driver,
        "driver_cuda": cuda_of_driver(),
        "gpus": gpus,
        "bubblewrap": shutil.which("bwrap") is not None,
        "compiler": any(map(shutil.which, named)),
        "free_disk_bytes": shutil.disk_usage(tempfile.gettempdir()).free,
        "problems": problems(asked) if has_code else [],
    }


def is_installed(package: str) -> bool:
    """Whether a package can be imported, and is more than an empty folder."""
    found = importlib.util.find_spec(package)
    return found is not None and found.origin is not None


def versions(packages: list[str]) -> dict[str, str]:
    """The versions of the packages that are installed, without importing them."""
    found = {}
    for package in packages:
        try:
            found[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            continue
    return found


def code_of(*packages: str) -> str:
    """A hash of the Python files of packages."""
    digest = hashlib.sha256()
    for package in packages:
        found = importlib.util.find_spec(package)
        folders = (found.submodule_search_locations or []) if found else []
        for folder in map(Path, folders):
            for file in sorted(folder.rglob("*.py")):
                digest.update(f"{package}/{file.relative_to(folder)}\0".encode())
                digest.update(file.read_bytes())
    return digest.hexdigest()[:16]


def cuda_of_torch() -> str:
    """The version of CUDA for which torch was built, such as `13.0`; "" if for none, or without torch."""
    found = importlib.util.find_spec("torch")
    if found is None or found.origin is None:
        return ""
    text = (Path(found.origin).parent / "version.py").read_text()
    match = re.search(r"^cuda\b[^=]*= *['\"]([\d.]+)", text, re.MULTILINE)
    return match[1] if match else ""


def cuda_of_driver() -> str:
    """The newest version of CUDA that the driver runs, with NVIDIA's forward compatibility; "" if unknown."""
    try:
        driver = ctypes.CDLL("libcuda.so.1")
    except OSError:
        return ""
    version = ctypes.c_int()
    failed = driver.cuDriverGetVersion(ctypes.byref(version))  # It takes no memory of a GPU.
    return "" if failed else f"{version.value // 1000}.{version.value % 1000 // 10}"


def nvidia_gpus() -> tuple[list[dict[str, Any]], str]:
    """Name, memory and free memory in bytes of each GPU, and the version of their driver.

    They are asked by nvidia-smi, which takes no memory of a GPU. What it does not know is 0.
    """
    try:
        said = subprocess.run(ASK_GPUS, capture_output=True, text=True, timeout=20, check=True)
    except (OSError, subprocess.SubprocessError):
        return [], ""
    gpus, driver = [], ""
    for line in said.stdout.splitlines():
        name, total, free, driver, mig = (field.strip() for field in line.split(","))
        # The memory of a GPU that is cut into slices (MIG) is no slice's.
        total, free = ("", "") if mig == "Enabled" else (total, free)
        gpus.append({"name": name, "memory_bytes": mib(total), "free_bytes": mib(free)})
    return gpus, driver


def mib(text: str) -> int:
    """Bytes of a number of MiB. 0 for anything else, such as `[N/A]`."""
    return int(text) * 2**20 if text.isdigit() else 0


def problems(asked: dict[str, Any]) -> list[str]:
    """What the node lacks, and cannot import, read or write, each as a text with its way out."""
    found = [
        f"has no {package}, which its engines need; install it there"
        for package in asked["needs"]
        if not is_installed(package)
    ]
    for module in asked["modules"]:
        try:
            importlib.import_module(module)
        except Exception as error:
            found.append(
                f"cannot import {module} ({type(error).__name__}: {error}); install what it lacks there"
            )
    found += [text for field, folder in asked["folders"] for text in _folder(asked, field, folder)]
    found += [
        f"has no folder {path}, from which its engines load; put it where every node sees it"
        for path in asked["paths"]
        if not os.path.isdir(path)
    ]
    return found + [text for grader in asked["graders"] for text in _grader(grader)]


def _folder(asked: dict[str, Any], field: str, folder: str) -> list[str]:
    """Why a folder cannot be used, found out in a thread, since storage that fails is tried for minutes."""
    found: list[str] = [
        f"got no answer from {field}, {folder}, within {FOLDER_S:.0f} s; look at its network, its rights and "
        f"its room, or give {field} another place"
    ]
    look = threading.Thread(target=_look, args=(asked["token"], field, folder, found), daemon=True)
    look.start()
    look.join(FOLDER_S)
    return found


def _look(token: str, field: str, folder: str, found: list[str]) -> None:
    """Read and write in a folder, and replace what is `found` by what is wrong."""
    try:
        from raysweep.storage.store import Store

        store = Store(folder)
        found[:] = [] if _sees(store, token) else [UNSEEN.format(field=field, folder=folder)]
        if not found:
            mine = f"{token}.{uuid.uuid4().hex}"
            store.write_text(mine, "")
            store.folder.remove(mine)
    except Exception as error:
        found[:] = [
            f"cannot read and write {field}, {folder} ({error}); give the node the rights, or "
            f"{field} another place"
        ]


UNSEEN = (
    "does not see what the driver wrote into {field}, {folder}; give {field}=a folder that all nodes share "
    "at this path, or an address such as s3://bucket/prefix"
)


def _sees(store: Any, token: str) -> bool:
    for _ in range(CACHED_S):
        if store.exists(token):
            return True
        time.sleep(1)
    return False


def _grader(grader: str) -> list[str]:
    from raysweep import grading

    try:
        grading.load_grader(grader).check_place("grader")
    except ValueError as error:
        return [f"cannot grade: {error}"]
    return []
