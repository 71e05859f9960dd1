"""Views of the result: pictures and the self-contained HTML report."""

from paraspinal.report.html import render_html, write_report
from paraspinal.report.pictures import render_check_slice, render_mass, render_overview, render_overview_plane
from paraspinal.report.types import AnalysisLike

__all__ = [
    "AnalysisLike",
    "render_check_slice",
    "render_html",
    "render_mass",
    "render_overview",
    "render_overview_plane",
    "write_report",
]
