"""Parts of JSON columns, asked for in the words of each database."""

from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.functions import FunctionElement
from sqlalchemy.types import TypeEngine


class part(FunctionElement[Any]):  # noqa: N801 - used like SQLAlchemy's own functions
    """The value under a key of a JSON object; null where there is none."""

    inherit_cache = True

    def __init__(self, column: sa.ColumnElement[Any], key: str, type_: TypeEngine[Any]) -> None:
        super().__init__(sa.cast(column, sa.Text), sa.literal_column(f"'{key}'"))
        self.type = type_


class without(FunctionElement[Any]):  # noqa: N801
    """A JSON object without some of its keys."""

    inherit_cache = True

    def __init__(self, column: sa.ColumnElement[Any], *keys: str, type_: TypeEngine[Any]) -> None:
        super().__init__(sa.cast(column, sa.Text), *(sa.literal_column(f"'{key}'") for key in keys))
        self.type = type_


@compiles(part)
def _part(element: part, compiler: SQLCompiler, **options: Any) -> str:
    column, key = (compiler.process(each, **options) for each in element.clauses)
    return f"json_extract({column}, '$.' || {key})"


@compiles(part, "postgresql")
def _part_in_postgresql(element: part, compiler: SQLCompiler, **options: Any) -> str:
    column, key = (compiler.process(each, **options) for each in element.clauses)
    if isinstance(element.type, sa.Integer):
        return f"(({column})::jsonb ->> {key})::bigint"
    return f"(({column})::jsonb ->> {key})"


@compiles(without)
def _without(element: without, compiler: SQLCompiler, **options: Any) -> str:
    column, *keys = (compiler.process(each, **options) for each in element.clauses)
    paths = ", ".join(f"'$.' || {key}" for key in keys)
    return f"json_remove({column}, {paths})"


@compiles(without, "postgresql")
def _without_in_postgresql(element: without, compiler: SQLCompiler, **options: Any) -> str:
    column, *keys = (compiler.process(each, **options) for each in element.clauses)
    return f"(({column})::jsonb {' '.join(f'- {key}' for key in keys)})::text"
