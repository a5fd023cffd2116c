"""The mutants: one changed operator, condition, constant or statement each, made by the operators of cosmic-ray."""

from __future__ import annotations

import ast
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import cosmic_ray.plugins
import parso
from cosmic_ray.ast import ast_nodes, get_ast
from cosmic_ray.mutating import mutate_code
from cosmic_ray.operators.operator import Operator

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

OPERATORS = (
    *("AddNot", "ReplaceAndWithOr", "ReplaceOrWithAnd", "ReplaceTrueWithFalse", "ReplaceFalseWithTrue"),
    *("ReplaceUnaryOperator_Delete_Not", "ReplaceUnaryOperator_Delete_USub", "ReplaceUnaryOperator_Delete_Invert"),
    *("ReplaceBreakWithContinue", "ReplaceContinueWithBreak", "ExceptionReplacer", "ZeroIterationForLoop"),
    *(f"ReplaceComparisonOperator_{pair}" for pair in ("Lt_LtE", "LtE_Lt", "Gt_GtE", "GtE_Gt", "Eq_NotEq", "NotEq_Eq")),
    *(f"ReplaceComparisonOperator_{pair}" for pair in ("Lt_GtE", "Gt_LtE", "LtE_Gt", "GtE_Lt", "Is_IsNot", "IsNot_Is")),
    *(f"ReplaceBinaryOperator_{pair}" for pair in ("Add_Sub", "Sub_Add", "Mul_Div", "Div_Mul", "FloorDiv_Mul")),
    *(
        f"ReplaceBinaryOperator_{pair}"
        for pair in ("Mod_Add", "Pow_Mul", "BitAnd_BitOr", "BitOr_BitAnd", "LShift_RShift")
    ),
)
SMALL = {"0", "1", "2", "0.5"}
"""Literals that are changed: others are mostly sizes and rates, of which a slightly different one is as good."""


class SmallNumber(Operator):
    """Adds 1 to 0, 1, 2 and 0.5."""

    def mutation_positions(self, node):
        if node.type == "number" and node.value in SMALL:
            yield node.start_pos, node.end_pos

    def mutate(self, node, index):
        node.value = repr(ast.literal_eval(node.value) + 1)
        return node

    @classmethod
    def examples(cls):
        return ()


class ZeroConstant(Operator):
    """Sets a module's numerical constant to 0: `_DEPTH = 200`."""

    def mutation_positions(self, node):
        is_constant = node.type == "expr_stmt" and node.children[0].type == "name" and node.children[0].value.isupper()
        if is_constant and node.parent.parent.type == "file_input" and node.children[-1].type == "number":
            yield node.children[-1].start_pos, node.children[-1].end_pos

    def mutate(self, node, index):
        node.children[-1] = parso.parse(" 0").children[0]
        return node

    @classmethod
    def examples(cls):
        return ()


@dataclass(frozen=True)
class Mutant:
    """One change of one file."""

    path: Path
    """Relative to the checkout."""
    operator: str
    occurrence: int
    line: int
    """From 1."""

    def __str__(self) -> str:
        return f"{self.path}:{self.line} {self.operator}"

    def code(self, source: str) -> str:
        """The source of the file with the change."""
        changed = mutate_code(source, operator_of(self.operator), self.occurrence)
        assert changed is not None, self
        return changed


def operator_of(name: str) -> Operator:
    own = {operator.__name__: operator for operator in (SmallNumber, ZeroConstant)}
    return own[name]() if name in own else cosmic_ray.plugins.get_operator(f"core/{name}")()


def mutants_of(path: Path, source: str) -> Iterator[Mutant]:
    """All mutants of a file that change what it computes."""
    passive = passive_spans(source)
    tree = get_ast(source)
    for name in (*OPERATORS, SmallNumber.__name__, ZeroConstant.__name__):
        operator = operator_of(name)
        places = [
            (*place, getattr(node.parent, "type", None) == "parameters")  # the * before keyword-only ones
            for node in ast_nodes(tree)
            for place in operator.mutation_positions(node)
        ]
        for occurrence, (start, _, is_mark) in enumerate(places):
            if not is_mark and not any(first <= start < last for first, last in passive):
                yield Mutant(path, name, occurrence, start[0])


def passive_spans(source: str) -> list[tuple[tuple[int, int], tuple[int, int]]]:
    """Where nothing is computed, as (line, column) of begin and end.

    These are annotations, decorators of classes (frozen, slots), errors that are raised, asserts, `strict` of `zip`,
    and imports for type checking.
    """
    parts: list[Any] = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Raise | ast.Assert):
            parts.append(node)
        elif isinstance(node, ast.FunctionDef):
            every = [*node.args.args, *node.args.kwonlyargs, *node.args.posonlyargs]
            parts += [part for part in (*(one.annotation for one in every), node.returns) if part]
        elif isinstance(node, ast.ClassDef):
            parts += node.decorator_list
        elif isinstance(node, ast.AnnAssign):
            parts.append(node.annotation)
        elif (isinstance(node, ast.keyword) and node.arg == "strict") or (
            isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"
        ):
            parts.append(node)
    return [((part.lineno, part.col_offset), (part.end_lineno, part.end_col_offset)) for part in parts]
