"""What all HTML pages share: one file that opens offline, asks no network for anything, and runs its scripts alone."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Sequence
from importlib import resources
from typing import Any

_SHARED = "sweep.report"
_TEMPLATES = "templates"
_IN_HTML = {ord(character): f"\\u{ord(character):04x}" for character in "<>&\u2028\u2029"}


def render(package: str, template: str, scripts: Sequence[str], style: str, **values: Any) -> str:
    """Return a page.

    Args:
        package: That has the template, in its folder `templates`.
        template: Its name. It may include those of `sweep.report`.
        scripts: JavaScript that the page runs, in order; a policy in it allows no other.
        style: CSS.
        values: What the template is given; all text is escaped.
    """
    import jinja2
    from markupsafe import Markup

    loaders = [jinja2.PackageLoader(name, _TEMPLATES) for name in dict.fromkeys((package, _SHARED))]
    environment = jinja2.Environment(
        loader=jinja2.ChoiceLoader(loaders),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template(template).render(
        **values,
        policy=_policy(scripts),
        style=Markup(style),  # noqa: S704  (a file of a package of ours)
        scripts=[Markup(script) for script in scripts],  # noqa: S704  (likewise, and Plotly's)
        raw=Markup,
    )


def asset(name: str, package: str = _SHARED) -> str:
    """Return a file of a package's templates."""
    return resources.files(package).joinpath(_TEMPLATES, name).read_text(encoding="utf-8")


def plotly_script() -> str:
    """Return Plotly's JavaScript."""
    from plotly.offline import get_plotlyjs

    script: str = get_plotlyjs()
    return script


def json_in_html(value: Any) -> str:
    """Return JSON that may stand in HTML: what would end a script is escaped."""
    return json.dumps(value, separators=(",", ":"), allow_nan=False).translate(_IN_HTML)


def _policy(scripts: Sequence[str]) -> str:
    """Return a content security policy: nothing from anywhere, and no script but these, by their digests."""
    digests = [base64.b64encode(hashlib.sha256(script.encode()).digest()).decode() for script in scripts]
    allowed = " ".join(f"'sha256-{digest}'" for digest in digests)
    # Plotly styles what it draws, and makes pictures to be saved.
    return (
        f"default-src 'none'; script-src {allowed}; style-src 'unsafe-inline'; img-src data: blob:; "
        "base-uri 'none'; form-action 'none'"
    )
