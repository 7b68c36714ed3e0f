from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sparkdoctor.secrets import REMOVED, clean_argv, clean_env, clean_text, is_secret


@pytest.mark.parametrize(
    "name",
    [
        "HF_TOKEN", "hf_token", "HUGGING_FACE_HUB_TOKEN", "VLLM_API_KEY", "DSPARK_API_KEYS", "OPENAI_KEY", "NGC_API_KEY",
        "S3_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "POSTGRES_PASSWORD", "DB_PASS", "MYSQL_PWD", "GITHUBTOKEN",
        "registry.auth", "SLACK_WEBHOOK_URL", "SENTRY_DSN", "GOOGLE_CREDENTIALS", "http-cookie",
    ],
)  # fmt: skip
def test_names_of_secrets(name: str) -> None:
    assert is_secret(name, "something")
    assert clean_env({name: "something"}) == {name: REMOVED}
    assert clean_env({name: ""}) == {name: ""}


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("MTP_NUM_TOKENS", "3"), ("MAX_NUM_BATCHED_TOKENS", "8192"), ("LONG_PREFILL_TOKEN_THRESHOLD", "4096"),
        ("VLLM_MAX_TOKENS_PER_EXPERT_FP4_MOE", "16384"), ("TOKENIZERS_PARALLELISM", "false"), ("NCCL_IB_PKEY", "1"),
        ("PWD", "/home/user"), ("OLDPWD", "/tmp"), ("HF_TOKEN_PATH", "/root/.cache/token"), ("KEYBOARD", "us"),
        ("POSTGRES_PASSWORD_FILE", "/run/secrets/pg"), ("VLLM_ENABLE_PREGRAD_PASSES", "1"), ("AUTHOR", "me"),
        ("VLLM_USE_FASTOKENS", "1"), ("MASTER_ADDR", "192.168.0.8"), ("NCCL_IB_HCA", "rocep1s0f0,roceP2p1s0f0"),
    ],
)  # fmt: skip
def test_names_that_only_look_like_secrets(name: str, value: str) -> None:
    assert clean_env({name: value}) == {name: value}


@pytest.mark.parametrize(
    ("text", "cleaned"),
    [
        ("https://user:pass@host/x", f"https://{REMOVED}@host/x"),
        ("redis://:p@ss@host:1/0", f"redis://{REMOVED}@host:1/0"),
        ("https://ghp0123456789@github.com/a/b", f"https://{REMOVED}@github.com/a/b"),
        ("http://h/x?api_key=abc&page=2", f"http://h/x?api_key={REMOVED}&page=2"),
        ("Authorization: Bearer abcdefghij.klm", f"Authorization: Bearer {REMOVED}"),
        ("hf_" + "a" * 34, REMOVED),
        ("nvapi-" + "b" * 40, REMOVED),
        ("-----BEGIN PRIVATE KEY-----\nMII\n-----END PRIVATE KEY-----\n",
         f"-----BEGIN PRIVATE KEY-----{REMOVED}-----END PRIVATE KEY-----\n"),
        ('DGX_NAME="DGX Spark"\nDGX_SERIAL_NUMBER="1983925"\n', f'DGX_NAME="DGX Spark"\nDGX_SERIAL_NUMBER={REMOVED}\n'),
    ],
)  # fmt: skip
def test_text_without_what_lets_somebody_in(text: str, cleaned: str) -> None:
    assert clean_text(text) == cleaned


@pytest.mark.parametrize(
    "text",
    [
        "http://localhost:8000/v1", "git+https://github.com/a/b@main", "nvcr.io/nvidia/vllm@sha256:0a1b",
        "tcp://192.168.0.8:25000", "ssh://user@host", "plymouth.ignore-serial-consoles console=ttyS0,921600",
    ],
)  # fmt: skip
def test_text_that_stays(text: str) -> None:
    assert clean_text(text) == text


@pytest.mark.parametrize(
    ("line", "cleaned"),
    [
        ("vllm serve m --api-key k1 k2 --port 1", f"vllm serve m --api-key {REMOVED} {REMOVED} --port 1"),
        ("vllm serve --hf-token abc m", f"vllm serve --hf-token {REMOVED} m"),
        ("vllm serve --api-key=abc", f"vllm serve --api-key={REMOVED}"),
        ("docker run -e HF_TOKEN=abc --env=API_KEY=abc i", f"docker run -e HF_TOKEN={REMOVED} --env=API_KEY={REMOVED} i"),
        ("vllm --max-num-batched-tokens 8192 --tokenizer-mode x", "vllm --max-num-batched-tokens 8192 --tokenizer-mode x"),
        ("vllm --api-key $KEY --hf-token ${HF_TOKEN}", "vllm --api-key $KEY --hf-token ${HF_TOKEN}"),
    ],
)  # fmt: skip
def test_command_lines(line: str, cleaned: str) -> None:
    assert clean_argv(line.split(" ")) == cleaned.split(" ")


def test_a_script_in_one_word() -> None:
    script = "export HF_TOKEN='a b' X=1; exec vllm serve m --api-key abc --hf-token $HF_TOKEN --port 8000"
    assert clean_argv(["bash", "-lc", script]) == [
        "bash",
        "-lc",
        f"export HF_TOKEN={REMOVED} X=1; exec vllm serve m --api-key {REMOVED} --hf-token $HF_TOKEN --port 8000",
    ]


def test_json_in_one_word() -> None:
    words = ["--kv-transfer-config", '{"kv_connector": "X", "api_key": "abc", "num_tokens": "3"}']
    assert clean_argv(words)[1] == '{"kv_connector": "X", "api_key": "' + REMOVED + '", "num_tokens": "3"}'


secrets = st.text("abcdefghijkmnopqrstuvwxyzABCDEFGH23456789", min_size=12, max_size=40).map(lambda text: f"q{text}")


@given(secrets, st.sampled_from(["HF_TOKEN", "VLLM_API_KEY", "x_password", "AWS_SECRET_ACCESS_KEY"]))
def test_a_secret_is_in_nothing_that_comes_out(secret: str, name: str) -> None:
    words = [
        f"{name}={secret}", f"--env={name}={secret}", "--api-key", secret, secret, "--port", "1",
        f"--hf-token={secret}", f"http://me:{secret}@host", f"http://host/?token={secret}", f"Bearer {secret}",
        f"sh -c '{name}={secret} serve --api-key {secret}'", f'{{"{name}": "{secret}"}}',
    ]  # fmt: skip
    assert secret not in " ".join(clean_argv(words))
    assert secret not in " ".join(clean_env({name: secret, "URL": f"http://me:{secret}@host"}).values())


@given(st.lists(st.text()))
def test_cleaning_twice_changes_nothing_more(words: list[str]) -> None:
    once = clean_argv(words)
    assert len(once) == len(words)
    assert clean_argv(once) == once
