"""The colours of the figures: those of Okabe and Ito, which the colour-blind can tell apart, and greys.

PNG files have the values below. On a page, each colour is a class (`fill-blue`, `stroke-blue`), for which the style
sheet has one value in light mode and one in dark mode.
"""

from __future__ import annotations

BLACK, WHITE = "#000000", "#FFFFFF"
BLUE, ORANGE, GREEN, PURPLE, AMBER, SKY = "#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9"
GREY, DARK_GREY, LIGHT_GREY, HAIRLINE = "#8C8C8C", "#5A5A5A", "#C9C9C9", "#E6E6E6"

CLASSES = {
    BLACK: "ink",
    WHITE: "paper",
    BLUE: "blue",
    ORANGE: "orange",
    GREEN: "green",
    PURPLE: "purple",
    AMBER: "amber",
    SKY: "sky",
    GREY: "grey",
    DARK_GREY: "dark-grey",
    LIGHT_GREY: "light-grey",
    HAIRLINE: "hairline",
}
