"""Plain YAML scalars as Docker Compose understands them, and the text it makes of them.

Compose reads YAML with go.yaml.in/yaml (v3, v4), which follows YAML 1.2 for booleans (`yes` and
`on` are words) and accepts the integers of both versions. It then prints what it understood:
`012` becomes `10` and `1.50` becomes `1.5` in an environment.

Source: go-yaml resolve.go (v3.0.4) and Go's fmt `%v`; checked against Docker Compose 2.40.3.
"""

from __future__ import annotations

import math
import re
from decimal import Decimal
from typing import TypeAlias

Plain: TypeAlias = bool | int | float | str | None

_WORDS: dict[str, Plain] = {
    **dict.fromkeys(("", "~", "null", "Null", "NULL")),
    **dict.fromkeys(("true", "True", "TRUE"), True),
    **dict.fromkeys(("false", "False", "FALSE"), False),
    **dict.fromkeys((".nan", ".NaN", ".NAN"), math.nan),
    **dict.fromkeys((".inf", ".Inf", ".INF", "+.inf", "+.Inf", "+.INF"), math.inf),
    **dict.fromkeys(("-.inf", "-.Inf", "-.INF"), -math.inf),
}
_INTEGER = re.compile(
    r"[-+]?(?:0[xX](?P<x>[0-9a-fA-F]+)|0[oO](?P<o>[0-7]+)|0[bB](?P<b>[01]+)|(?P<old>0[0-7]+)|(?P<d>0|[1-9][0-9]*))"
)
_FLOAT = re.compile(r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?")
_DATE = re.compile(r"[0-9]{4}-[0-9]{1,2}-[0-9]{1,2}(?:(?:[Tt]|[ \t]+)[0-9]{1,2}:[0-9]{1,2}:[0-9]{1,2}.*)?")
_BASES = {"x": 16, "o": 8, "b": 2, "old": 8, "d": 10}
_DIGITS = 400
"""More digits than any float64 has; longer text is no number to Go either."""


def resolve(text: str) -> Plain:
    """The value of an unquoted scalar."""
    if text in _WORDS:
        return _WORDS[text]
    if text[0] not in "+-.0123456789" or len(text) > _DIGITS:
        return text
    digits = text if text[0] == "." else text.replace("_", "")
    if (match := _INTEGER.fullmatch(digits)) and match.lastgroup:
        number = int(match[match.lastgroup], _BASES[match.lastgroup]) * (-1 if digits[0] == "-" else 1)
        if -(1 << 63) <= number < 1 << 64:
            return number
    if _FLOAT.fullmatch(digits) and math.isfinite(fraction := float(digits)):
        return fraction
    return text


def is_date(text: str) -> bool:
    """Whether an unquoted scalar is a date to go-yaml, which Docker Compose refuses everywhere."""
    return bool(_DATE.fullmatch(text))


def text_of(value: Plain) -> str:
    """A value as Go's fmt prints it with %v; None is empty."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        return _float_text(value)
    return str(value)


def _float_text(value: float) -> str:
    if math.isnan(value):
        return "NaN"
    if math.isinf(value):
        return "+Inf" if value > 0 else "-Inf"
    sign, figures, exponent = Decimal(repr(value)).normalize().as_tuple()
    assert isinstance(exponent, int)  # finite
    digits = "".join(map(str, figures))
    minus = "-" if sign else ""
    power = len(digits) - 1 + exponent if any(figures) else 0
    if power < -4 or power >= 6:  # strconv.FormatFloat(v, 'g', -1, 64)
        mantissa = digits[0] + (f".{digits[1:]}" if len(digits) > 1 else "")
        return f"{minus}{mantissa}e{power:+03d}"
    return minus + format(Decimal((0, figures, exponent)), "f")
