"""Fill the template of a page: a single HTML file that works offline."""

from __future__ import annotations

import base64
import hashlib
import itertools
import re
from collections.abc import Callable
from importlib import metadata, resources
from typing import Any

from stemsplit.evaluation.report.charts import draw_scale
from stemsplit.evaluation.report.clip import BITRATE
from stemsplit.evaluation.report.content import clock, figure
from stemsplit.evaluation.report.explanations import GROUPS, METRICS
from stemsplit.evaluation.report.player import data_url
from stemsplit.version import __version__


def fill(template: str, **content: Any) -> str:
    """Render ``template`` with ``content``, with the style sheet and the script inline."""
    import jinja2
    from markupsafe import Markup

    style, script = (_asset(f"page.{ending}") for ending in ("css", "js"))
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    environment = jinja2.Environment(
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
        loader=jinja2.FunctionLoader(_asset),
    )
    # Only this function creates Markup; all text from files is escaped.
    environment.filters |= {"figure": figure, "clock": clock, "svg": _numbered(Markup)}
    return environment.get_template(template).render(
        style=Markup(style),
        script=Markup(script),
        digest=digest,
        version=__version__,
        below=[f"{name} {metadata.version(name)}" for name in ("torch", "numpy", "matplotlib")],
        groups=GROUPS,
        metrics=METRICS,
        scale=data_url("image/png", draw_scale()),
        bitrate=BITRATE,
        **content,
    )


def _numbered(mark: Callable[[str], Any]) -> Callable[[str], Any]:
    """Return a filter that marks an SVG as safe and makes its ids unique in the page."""
    numbers = itertools.count(1)
    names = re.compile(r"(id=\"|url\(#|href=\"#)")

    def inline(svg: str) -> Any:
        return mark(names.sub(rf"\1s{next(numbers)}-", svg))

    return inline


def _asset(name: str) -> str:
    return resources.files(__package__).joinpath(name).read_text(encoding="utf-8")
