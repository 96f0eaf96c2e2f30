"""Options that belong together are the fields of one class, and a command takes an object of it."""

import dataclasses
import functools
import inspect
from collections.abc import Callable
from typing import Any, get_type_hints


def takes_option_groups(command: Callable[..., None]) -> Callable[..., None]:
    """`command` as Typer can read it: each parameter that is a dataclass becomes one option for each of its fields.

    The fields are annotated and have their defaults as parameters of a command do.
    """
    signature = inspect.signature(command, eval_str=True)
    groups = {each.name: each.annotation for each in signature.parameters.values() if _is_group(each)}
    plain = [each for each in signature.parameters.values() if each.name not in groups]
    parameters = plain + [option for group in groups.values() for option in _options(group)]

    @functools.wraps(command)
    def unfolded(**values: Any) -> None:
        for name, group in groups.items():
            values[name] = group(**{field.name: values.pop(field.name) for field in dataclasses.fields(group)})
        command(**values)

    unfolded.__signature__ = signature.replace(parameters=parameters)  # type: ignore[attr-defined]
    unfolded.__annotations__ = {each.name: each.annotation for each in parameters}
    return unfolded


def _is_group(parameter: inspect.Parameter) -> bool:
    return dataclasses.is_dataclass(parameter.annotation)


def _options(group: type[Any]) -> list[inspect.Parameter]:
    hints = get_type_hints(group, include_extras=True)
    return [
        inspect.Parameter(
            field.name, inspect.Parameter.KEYWORD_ONLY, default=field.default, annotation=hints[field.name]
        )
        for field in dataclasses.fields(group)
    ]
