"""JSON patch (RFC 6902) and merge patch (RFC 7396), as far as Jobs are changed by them."""

import copy
from typing import Any

from tests.kubernetes.objects import RefusedError

Form = dict[str, Any]


def patched(form: Form, patch: Any, kind: str) -> Form:
    """The object after the patch; a strategic one is taken as a merge."""
    form = copy.deepcopy(form)
    if "json-patch" in kind:
        for step in patch:
            _step(form, step)
        return form
    if "merge-patch" in kind:
        merged: Form = _merged(form, patch)
        return merged
    raise RefusedError(415, "UnsupportedMediaType", f"{kind} is no patch")


def _step(form: Form, step: Form) -> None:
    *way, last = [part.replace("~1", "/").replace("~0", "~") for part in step["path"].split("/")[1:]]
    place: Any = form
    for part in way:
        if not isinstance(place, dict) or part not in place:
            raise RefusedError(422, "Invalid", f"the path {step['path']} is not there")
        place = place[part]
    there = last in place
    match step["op"]:
        case "test":
            if not there or place[last] != step["value"]:
                raise RefusedError(422, "Invalid", f"testing path {step['path']} value failed")
        case "add":
            place[last] = step["value"]
        case "replace":
            if not there:
                raise RefusedError(422, "Invalid", f"the path {step['path']} is not there")
            place[last] = step["value"]
        case "remove":
            if not there:
                raise RefusedError(422, "Invalid", f"the path {step['path']} is not there")
            del place[last]
        case other:
            raise RefusedError(422, "Invalid", f"there is no operation {other}")


def _merged(form: Any, patch: Any) -> Any:
    if not isinstance(patch, dict):
        return patch
    form = dict(form) if isinstance(form, dict) else {}
    for name, value in patch.items():
        if value is None:
            form.pop(name, None)
        else:
            form[name] = _merged(form.get(name), value)
    return form
