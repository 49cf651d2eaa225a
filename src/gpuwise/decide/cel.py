"""The evaluation of CEL, with has() as the language defines it. It is imported when a policy has rules: 0.3 s."""

from typing import Any, cast

from celpy import Environment, InterpretedRunner
from celpy.celtypes import BoolType, Value
from celpy.evaluation import CELEvalError, Context, Evaluator


class _Evaluator(Evaluator):
    def sub_evaluator(self, ast: Any) -> "_Evaluator":
        return _Evaluator(ast, activation=self.activation)

    def macro_has_eval(self, exprlist: Any) -> BoolType:
        """has(e.f): whether e has f; an error if e itself has no value (CEL's language definition, Field Selection).

        The library returns false then: a rule about labels would allow `gpuwise apply`, which does not know them.
        """
        found = self.visit_children(exprlist)[0]
        if not isinstance(found, CELEvalError):
            return BoolType(True)
        selection = exprlist
        while len(selection.children) == 1 and hasattr(selection.children[0], "children"):
            selection = selection.children[0]
        absent = found.tree is selection
        return BoolType(False) if absent else cast("BoolType", found)


class _Runner(InterpretedRunner):
    def evaluate(self, context: Context) -> Value:
        return _Evaluator(ast=self.ast, activation=self.new_activation()).evaluate(context)


def environment() -> Environment:
    """Return where expressions are compiled and evaluated."""
    return Environment(runner_class=_Runner)
