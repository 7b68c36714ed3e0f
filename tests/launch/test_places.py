"""Every value knows where it is written, what it replaced, and what compose would warn of."""

from __future__ import annotations

from sparkdoctor.fact import Fact
from sparkdoctor.launch.types import Remark
from tests.launch.composing import one, read

PAIR = {
    "compose.yaml": """\
        x-common: &common
          image: foo
          shm_size: 1gb
        services:
          vllm:
            <<: *common
            shm_size: 64gb
            ulimits:
              memlock: -1
            environment:
              NODE_RANK: "${NODE_RANK:?which}"
              MASTER_ADDR: ${MASTER_ADDR}
              NCCL_DEBUG: ${NCCL_DEBUG:-WARN}
            command:
              - bash
              - -lc
              - >
                exec vllm serve model
                --nnodes 2 --node-rank ${NODE_RANK}
                --master-addr ${MASTER_ADDR}
                ${HEADLESS:+--headless}
                --port
                8000
        """,
    ".env": "NODE_RANK=1\nMASTER_ADDR=192.168.0.8\nHEADLESS=1\n",
}


def test_a_value_through_a_variable_names_both_lines() -> None:
    env = one(PAIR).env.value
    assert env["NODE_RANK"] == Fact("/p/compose.yaml:11 (NODE_RANK from /p/.env:1)", "1")
    assert env["NCCL_DEBUG"] == Fact("/p/compose.yaml:13", "WARN")


def test_the_shell_is_named_too() -> None:
    env = one(PAIR, environ={"NODE_RANK": "0"}).env.value
    assert env["NODE_RANK"] == Fact("/p/compose.yaml:11 (NODE_RANK from the shell)", "0")


def test_each_word_of_a_folded_command_has_its_own_line() -> None:
    spec = one(PAIR)
    assert dict(zip(spec.argv.value, spec.places, strict=True)) == {
        "vllm": "/p/compose.yaml:18",
        "serve": "/p/compose.yaml:18",
        "model": "/p/compose.yaml:18",
        "--nnodes": "/p/compose.yaml:19",
        "2": "/p/compose.yaml:19",
        "--node-rank": "/p/compose.yaml:19",
        "1": "/p/compose.yaml:19 (NODE_RANK from /p/.env:1)",
        "--master-addr": "/p/compose.yaml:20",
        "192.168.0.8": "/p/compose.yaml:20 (MASTER_ADDR from /p/.env:2)",
        "--headless": "/p/compose.yaml:21",
        "--port": "/p/compose.yaml:22",
        "8000": "/p/compose.yaml:23",
    }
    assert spec.argv.where == "/p/compose.yaml:14"


def test_a_setting_names_what_it_replaced() -> None:
    spec = one(PAIR)
    assert spec.shm_size == Fact("/p/compose.yaml:7", 64 << 30, over=("/p/compose.yaml:3",))
    assert spec.memlock == Fact("/p/compose.yaml:9", -1)
    assert spec.image == Fact("/p/compose.yaml:2", "foo")
    assert (spec.title, spec.source, spec.env_file) == ("/p/compose.yaml (service vllm)", "/p/compose.yaml", "/p/.env")


def test_a_variable_names_all_that_it_beats_nearest_first() -> None:
    spec = one(
        {
            "compose.yaml": "services:\n  a:\n    image: x\n    env_file: [a.env, b.env]\n    environment: {A: 1}\n",
            "over.yaml": "services:\n  a:\n    environment:\n      - A=2\n",
            "a.env": "A=a\n",
            "b.env": "B=b\nA=b\nA=bb\n",
        },
        use=("compose.yaml", "over.yaml"),
    )
    assert spec.env.value["A"] == Fact(
        "/p/over.yaml:4", "2", over=("/p/compose.yaml:5", "/p/b.env:3", "/p/b.env:2", "/p/a.env:1")
    )
    assert spec.env.value["B"].where == "/p/b.env:1"


def test_a_variable_that_the_shell_took_from_the_env_file_says_so() -> None:
    spec = one(
        {"compose.yaml": "services: {a: {image: x, environment: [A]}}\n", ".env": "A=file\n"}, environ={"A": "shell"}
    )
    assert spec.env.value["A"] == Fact("/p/compose.yaml:1 (A from the shell)", "shell", over=("/p/.env:1",))


def test_blank_variables_are_remarked_on_where_they_stand() -> None:
    spec = one(
        """\
        services:
          a:
            image: x
            environment:
              A: ${NOWHERE}
            command:
              - sh
              - -c
              - |
                vllm serve x
                echo ${ALSO}
          b:
            image: x
            profiles: [off]
            environment: {A: "${NOT_SEEN}"}
        """
    )
    blank = "is not set anywhere; compose puts a blank in its place"
    assert spec.remarks == (
        Remark("/p/compose.yaml:5", f"the variable NOWHERE {blank}", blank="NOWHERE"),
        Remark("/p/compose.yaml:11", f"the variable ALSO {blank}", blank="ALSO"),
    )


def test_a_comment_inside_a_folded_command_is_remarked_on() -> None:
    # ecohash-co/deepseek-v4-flash-dgx-spark-vllm027 (MIT) lost 25 options to such a line
    spec = one(
        """\
        services:
          a:
            image: x
            entrypoint: ["bash", "-lc"]
            command:
              - >
                exec vllm serve model
                --trust-remote-code
                # pin the revision:
                # --revision 9e165c3
                --tensor-parallel-size 2
                --nnodes 2
        """
    )
    assert spec.argv.value == ("vllm", "serve", "model", "--trust-remote-code")
    assert spec.remarks == (
        Remark(
            "/p/compose.yaml:9",
            "the `#` comments out the whole rest of the command, down to line 12 with 2 options from "
            "`--tensor-parallel-size` on, because the lines are folded into one before the shell reads them",
            lost=("--tensor-parallel-size", "--nnodes"),
        ),
    )


def test_a_comment_inside_a_literal_command_is_none_of_that() -> None:
    spec = one(
        """\
        services:
          a:
            image: x
            command:
              - sh
              - -c
              - |
                # start it
                exec vllm serve model # here
        """
    )
    assert (spec.argv.value, spec.remarks) == (("vllm", "serve", "model"), ())


def test_a_comment_between_continued_lines_cuts_the_command() -> None:
    spec = one(
        """\
        services:
          a:
            image: x
            command:
              - sh
              - -c
              - |
                exec vllm serve model \\
                  # --revision 9e165c3 \\
                  --nnodes 2
        """
    )
    assert spec.argv.value == ("vllm", "serve", "model")
    assert [remark.where for remark in spec.remarks] == ["/p/compose.yaml:10"]
    assert "never gets `--nnodes`" in spec.remarks[0].text


def test_an_empty_line_in_a_folded_command_cuts_it() -> None:
    spec = one(
        """\
        services:
          a:
            image: x
            command:
              - bash
              - -c
              - >
                exec vllm serve model

                --nnodes 2
        """
    )
    assert spec.argv.value == ("vllm", "serve", "model")
    assert [remark.where for remark in spec.remarks] == ["/p/compose.yaml:10"]


def test_an_unknown_key_is_remarked_on() -> None:
    spec = one("services:\n  a:\n    image: x\n    shm-size: 64gb\n    x-mine: 1\n")
    (remark,) = spec.remarks
    assert remark.where == "/p/compose.yaml:4"
    assert "`shm-size` is no key" in remark.text
    assert remark.text.endswith("the nearest is `shm_size`")


def test_options_from_a_file_in_the_container_are_remarked_on() -> None:
    spec = one("services: {a: {image: x, command: vllm serve m --config /etc/vllm.yaml}}\n")
    assert spec.remarks == (
        Remark("/p/compose.yaml:1", "`--config` takes options from a file in the container, which was not read"),
    )


def test_services_with_one_container_name_are_remarked_on() -> None:
    # pfn/spark-vllm-compose (MIT) gives six services the name `vllm`; docker compose 2.40.3 refuses all but one
    text = """\
        services:
          a: {image: x, container_name: vllm}
          b: {image: x, container_name: vllm}
          c: {image: x, container_name: other}
        """
    specs = read(text)
    assert specs["a"].remarks == (
        Remark("/p/compose.yaml:2", "`container_name: vllm` is also that of b; docker compose refuses to start both"),
    )
    assert specs["c"].remarks == ()
    assert one(text, services=("b",)).remarks == ()


def test_a_tmpfs_at_dev_shm_is_the_size_that_counts() -> None:
    spec = one("services: {a: {image: x, shm_size: 1gb, tmpfs: ['/dev/shm:rw,size=2g']}}\n")
    assert spec.shm_size == Fact("/p/compose.yaml:1", 2 << 30)
    long = "{type: tmpfs, target: /dev/shm, tmpfs: {size: 3gb}}"
    assert one(f"services: {{a: {{image: x, volumes: [{long}]}}}}\n").shm_size == Fact("/p/compose.yaml:1", 3 << 30)
    for bare in ("tmpfs: /dev/shm", "tmpfs: '/dev/shm:size=50%'", "volumes: [{type: tmpfs, target: /dev/shm}]"):
        fact = one(f"services: {{a: {{image: x, shm_size: 1gb, {bare}}}}}\n").shm_size
        assert fact is not None
        assert "a share of the machine's memory" in fact.problem


def test_two_services_of_one_anchor_keep_its_lines() -> None:
    specs = read("x-c: &c\n  image: foo\n  ipc: host\nservices:\n  a: *c\n  b:\n    <<: *c\n    ipc: private\n")
    assert specs["a"].ipc == Fact("/p/compose.yaml:3", "host")
    assert specs["b"].ipc == Fact("/p/compose.yaml:8", "private", over=("/p/compose.yaml:3",))


def test_lines_are_right_with_windows_line_ends() -> None:
    text = "services:\n  a:\n    image: x\n    command:\n      - sh\n      - -c\n      - >\n        vllm serve\n        x\n"
    spec = one(text.replace("\n", "\r\n"))
    assert spec.argv.value == ("vllm", "serve", "x")
    assert spec.places[-1] == "/p/compose.yaml:9"


def test_secrets_never_get_into_a_spec() -> None:
    spec = one(
        {
            "compose.yaml": """\
            services:
              a:
                image: x
                environment:
                  HF_TOKEN: ${HF_TOKEN}
                  OTHER_PASSWORD: in-the-file
                command: [bash, -c, "export API_KEY=in-the-script; vllm serve x --api-key in-the-file --seed ${HF_TOKEN}"]
            """,
            ".env": "HF_TOKEN=in-the-env\n",
        }
    )
    assert "in-the" not in str(spec)
    assert spec.env.value["HF_TOKEN"].value == "<removed>"
    assert spec.env.value["API_KEY"].value == "<removed>"
