"""Pictures of mixtures, decisions, separations, searches and scored streams, and pages that hold them.

Conventions. Each function draws on the axes it is given or on those of a new figure, and returns the axes (the figure,
where there are several); `axes.figure.savefig("name.png")` writes a file. No window is opened and no global state of
matplotlib is touched, so everything works without a display. Needs the extra `plot`.
"""

from gmmaudio.plotting.anomalies import plot_anomalies
from gmmaudio.plotting.decisions import plot_confusion, plot_det, plot_scores
from gmmaudio.plotting.mixtures import plot_components, plot_history, plot_responsibilities, plot_weights
from gmmaudio.plotting.pages import page
from gmmaudio.plotting.selection import plot_selection
from gmmaudio.plotting.separation import plot_separation

__all__ = [
    "page",
    "plot_anomalies",
    "plot_components",
    "plot_confusion",
    "plot_det",
    "plot_history",
    "plot_responsibilities",
    "plot_scores",
    "plot_selection",
    "plot_separation",
    "plot_weights",
]
