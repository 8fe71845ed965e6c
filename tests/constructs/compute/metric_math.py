"""Evaluate CloudWatch metric math for one minute, as far as our expressions use it; ``None`` is a missing value."""

from __future__ import annotations

import ast
import functools
import operator
from collections.abc import Callable, Mapping, Sequence
from typing import Any

Value = float | None

_ARITHMETIC: dict[type[ast.operator], Callable[[float, float], float]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
}
_COMPARISONS: dict[type[ast.cmpop], Callable[[float, float], bool]] = {ast.Gt: operator.gt, ast.GtE: operator.ge}


def evaluate(queries: Sequence[Mapping[str, Any]], measured: Mapping[str, Value]) -> Value:
    """Return what the query with ``ReturnData`` gives; ``measured`` holds the metrics' values by name."""
    by_id = {query["Id"]: query for query in queries}
    [result] = [query["Id"] for query in queries if query.get("ReturnData", True)]

    def of(name: str) -> Value:
        query = by_id[name]
        if "MetricStat" in query:
            return measured.get(query["MetricStat"]["Metric"]["MetricName"])
        return _value(_parsed(query["Expression"]), of)

    return of(result)


@functools.cache
def _parsed(expression: str) -> ast.expr:
    return ast.parse(expression.replace(" AND ", " and "), mode="eval").body


def _value(node: ast.expr, of: Callable[[str], Value]) -> Value:
    match node:
        case ast.Constant(value=int() | float() as number):
            return float(number)
        case ast.Name(id=name):
            return of(name)
        case ast.BinOp(left=left, op=sign, right=right):
            return _with_both(_ARITHMETIC[type(sign)], _value(left, of), _value(right, of))
        case ast.Compare(left=left, ops=[sign], comparators=[right]):
            return _with_both(_COMPARISONS[type(sign)], _value(left, of), _value(right, of))
        case ast.BoolOp(op=ast.And(), values=[left, right]):
            return _with_both(lambda a, b: bool(a) and bool(b), _value(left, of), _value(right, of))
        case ast.Call(func=ast.Name(id="FILL"), args=[series, filler]):
            found = _value(series, of)
            return _value(filler, of) if found is None else found
        case ast.Call(func=ast.Name(id="IF"), args=[condition, then, otherwise]):
            held = _value(condition, of)
            return None if held is None else _value(then if held else otherwise, of)
    raise ValueError(f"metric math that this evaluator does not know: {ast.unparse(node)}")


def _with_both(function: Callable[[float, float], float], one: Value, other: Value) -> Value:
    """Return nothing where either is missing, or by a division by zero, as CloudWatch does."""
    if one is None or other is None or (function is operator.truediv and other == 0):
        return None
    return float(function(one, other))
