"""openapi.yaml as a judge: every native answer that a test gets is held to it."""

import re
from pathlib import Path

import jsonschema
import yaml

ROOT = Path(__file__).parents[2]
SPEC = yaml.safe_load((ROOT / "openapi.yaml").read_text())


def _pattern(template):
    # Only the last parameter of these paths may contain a slash.
    parts = [re.escape(part) for part in re.split(r"\{[^}]+\}", template)]
    last = "(.+)" if template.endswith("/{path}") else "([^/]+)"
    return re.compile("([^/]+)".join(parts[:-1]) + (last if len(parts) > 1 else "") + parts[-1])


# The more of a template is fixed, the earlier it is asked.
TEMPLATES = sorted(SPEC["paths"], key=lambda template: (template.count("{"), -len(template)))
PATTERNS = [(template, _pattern(template)) for template in TEMPLATES]


def template_of(path):
    return next((template for template, pattern in PATTERNS if pattern.fullmatch(path)), None)


def answer_of(template, method, status):
    """What is documented: success by its own status, a refusal by the default where it has none of its own."""
    responses = SPEC["paths"][template][method.lower()]["responses"]
    answer = responses.get(str(status)) or (responses.get("default") if status >= 400 else None)
    assert answer, f"{method} {template} documents no {status}: {sorted(responses)}"
    return answer


def check(method, path, response):
    """Fails when the answer to `method path` (without its query) is not what the contract says."""
    template = template_of(path.split("?")[0])
    if template is None or method.lower() not in SPEC["paths"][template]:
        assert response.status_code in (404, 405), f"{method} {path} answers {response.status_code} undocumented"
        return
    documented = answer_of(template, method, response.status_code).get("content", {})
    media = response.headers.get("content-type", "").partition(";")[0]
    if not documented:
        assert not response.content, f"{method} {path} answers {media} where {response.status_code} has no body"
        return
    # A file's bytes come under the file's own type.
    known = media in documented or "*/*" in documented
    assert known, f"{method} {path} answers {media!r}, documented: {sorted(documented)}"
    if "json" in media and media in documented:
        schema = {**documented[media]["schema"], "components": SPEC["components"]}
        jsonschema.validate(response.json(), schema, cls=jsonschema.Draft202012Validator)
