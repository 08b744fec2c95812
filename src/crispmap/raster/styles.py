"""Styles by which QGIS shows rasters: their classes in a legend without any other row, or a ramp of colours."""

from __future__ import annotations

from xml.etree import ElementTree as ET

from crispmap.classes import ClassSchema

QGIS = "3.22"  # the version whose styles are written; later ones read them
_RAMP = ("#440154", "#3b528b", "#21918c", "#5ec962", "#fde725")  # viridis, which colour-blind people read too


def empty_style() -> ET.Element:
    """Return a style that says nothing yet."""
    return ET.Element("qgis", version=QGIS, styleCategories="Symbology")


def class_style(schema: ClassSchema) -> ET.Element:
    """Return the style of a class map: its classes and no other row, invisible where it is nodata."""
    style, renderer = _raster_style("paletted")
    palette = ET.SubElement(renderer, "colorPalette")
    for index, one in enumerate(schema):
        ET.SubElement(palette, "paletteEntry", value=str(index), label=one.name, color=one.colour, alpha="255")
    return style


def ramp_style(lowest: float, highest: float) -> ET.Element:
    """Return the style of a raster whose first band is an amount: a ramp of colours from lowest to highest."""
    style, renderer = _raster_style("singlebandpseudocolor", classificationMin=lowest, classificationMax=highest)
    shader = ET.SubElement(
        ET.SubElement(renderer, "rastershader"), "colorrampshader", colorRampType="INTERPOLATED",
        classificationMode="1", clip="0", labelPrecision="2", minimumValue=f"{lowest:.6g}",
        maximumValue=f"{highest:.6g}",
    )  # fmt: skip
    for place, colour in enumerate(_RAMP):
        value = lowest + (highest - lowest) * place / (len(_RAMP) - 1)
        ET.SubElement(shader, "item", value=f"{value:.6g}", label=f"{value:.2f}", color=colour, alpha="255")
    return style


def _raster_style(kind: str, **numbers: float) -> tuple[ET.Element, ET.Element]:
    """Return a style of a raster, and its renderer to fill."""
    style = empty_style()
    pipe = ET.SubElement(style, "pipe")
    band = {"type": kind, "band": "1", "alphaBand": "-1", "opacity": "1", "nodataColor": ""}
    renderer = ET.SubElement(pipe, "rasterrenderer", band | {key: f"{value:.6g}" for key, value in numbers.items()})
    return style, renderer
