"""Pictures of vertex functions and graphs, as SVG or for Graphviz."""

from cavs.pictures.drawing import draw as draw
