"""How a vLLM launch spreads over machines, as its options say.

Follows vllm 0.33.0 vllm/config/parallel.py (ParallelConfig) and vllm/engine/arg_utils.py; what is said
here has been so since 0.12.0. With --nnodes > 1 the executor is `mp`: node 0 holds the TCP store of
torch.distributed at --master-addr:--master-port and serves HTTP, the others run --headless.
"""

from __future__ import annotations

import re

from sparkdoctor.fact import CannotTell, Fact
from sparkdoctor.host import Data
from sparkdoctor.launch.types import Launch

API_PORT = 8000
"""FrontendArgs.port."""
MASTER_PORT = 29501
"""ParallelConfig.master_port."""

_VARIABLE = re.compile(r"\$(?:(\w+)|\{(\w+)(?::?-([^}]*))?\})")


class Spread(Data, frozen=True):
    """One rank's view of the launch. A field is None where the launch says nothing and vLLM's default holds."""

    nnodes: Fact[int] | None
    node_rank: Fact[int] | None
    headless: Fact[bool]
    master_addr: Fact[str] | None
    master_port: Fact[int] | None
    port: Fact[int] | None
    tensor: Fact[int] | None
    pipeline: Fact[int] | None
    prefill_context: Fact[int] | None
    data: Fact[int] | None
    executor: Fact[str] | None
    load_balancer: Fact[str] | None
    """The option that lets every node serve HTTP (external or hybrid load balancing), if given."""

    @property
    def nodes(self) -> int:
        return self.nnodes.value if self.nnodes is not None else 1

    @property
    def rank(self) -> int:
        return self.node_rank.value if self.node_rank is not None else 0

    @property
    def world(self) -> int:
        """GPUs that the whole launch uses."""
        sizes = (self.tensor, self.pipeline, self.prefill_context, self.data)
        product = 1
        for size in sizes:
            product *= size.value if size is not None else 1
        return product


def spread(launch: Launch) -> Spread:
    """The options of a launch that say how it spreads.

    A variable NODE_RANK, NNODES, MASTER_ADDR, MASTER_PORT or HEADLESS counts only where the command
    line shows no vLLM option of this kind: then a script of the image makes the options of them.
    Raises CannotTell when the command line or the environment could not be read.
    """
    flags = launch.flags.value

    def option(name: str, variable: str = "") -> Fact[str] | None:
        if name in flags:
            return _expanded(launch, flags[name])
        fact = launch.env.value.get(variable) if variable and not shown else None
        return fact if fact is not None and (not fact.is_known or fact.value) else None

    def number(name: str, variable: str = "") -> Fact[int] | None:
        fact = option(name, variable)
        return fact.map(lambda text: _number(name, text)) if fact is not None else None

    shown = bool(flags.keys() & {"nnodes", "node-rank", "master-addr", "master-port", "headless", "model"})
    balancing = (
        "data-parallel-external-lb",
        "data-parallel-hybrid-lb",
        "data-parallel-rank",
        "data-parallel-start-rank",
    )
    headless = option("headless", "HEADLESS")
    return Spread(
        nnodes=number("nnodes", "NNODES"),
        node_rank=number("node-rank", "NODE_RANK"),
        headless=headless.map(lambda _: True) if headless is not None else Fact(launch.flags.where, False),
        master_addr=option("master-addr", "MASTER_ADDR"),
        master_port=number("master-port", "MASTER_PORT"),
        port=number("port"),
        tensor=number("tensor-parallel-size"),
        pipeline=number("pipeline-parallel-size"),
        prefill_context=number("prefill-context-parallel-size"),
        data=number("data-parallel-size"),
        executor=option("distributed-executor-backend"),
        load_balancer=next((flags[name] for name in balancing if name in flags), None),
    )


def _number(name: str, text: str) -> int:
    if not re.fullmatch(r"-?\d+", text.strip()):
        raise CannotTell("", f"--{name} is {text!r}, which is not a number")
    return int(text)


def _expanded(launch: Launch, fact: Fact[str]) -> Fact[str]:
    """A value in which the shell of the container will replace `$X`, `${X}` and `${X:-default}`."""
    missing: list[str] = []
    env = launch.env.value
    places: list[str] = []

    def value(match: re.Match[str]) -> str:
        name = match[1] or match[2]
        if name in env and (env[name].value or match[3] is None):
            places.append(f"{name} from {env[name].where}")
            return env[name].value
        if match[3] is not None:
            return match[3]
        missing.append(name)
        return ""

    if not fact.is_known or "$" not in fact.value:
        return fact
    text = _VARIABLE.sub(value, fact.value)
    if missing:
        return Fact(fact.where, problem=f"{fact.value!r} needs {missing[0]}, which nothing sets")
    return Fact(f"{fact.where} ({', '.join(places)})" if places else fact.where, text, over=fact.over)
