"""Runs in the Python of QGIS, not in that of the tests: opens files as its window does and prints what it shows.

Arguments: a folder for pictures, then the files. Printed as JSON, by file: the kind of renderer, and the rows of the
legend, each with its label and its colour.
"""

import json
import os
import sys
from pathlib import Path

os.environ["QT_QPA_PLATFORM"] = "offscreen"

from qgis.core import (
    QgsApplication,
    QgsLayerTree,
    QgsLayerTreeModel,
    QgsMapRendererParallelJob,
    QgsMapSettings,
    QgsProject,
    QgsRasterLayer,
    QgsRasterSymbolLegendNode,
    QgsSymbolLegendNode,
    QgsVectorLayer,
)
from qgis.PyQt.QtCore import QSize, Qt
from qgis.PyQt.QtGui import QColor


def legend(layer):
    """Return the rows of a layer's legend below the name of its band."""
    tree = QgsLayerTree()
    node = tree.addLayer(layer)
    model, rows = QgsLayerTreeModel(tree), []  # which keeps its nodes
    for row in model.layerLegendNodes(node):
        label = row.data(Qt.DisplayRole)
        if isinstance(row, QgsRasterSymbolLegendNode):
            rows.append([label, row.data(Qt.DecorationRole).pixmap(16, 16).toImage().pixelColor(8, 8).name()])
        elif isinstance(row, QgsSymbolLegendNode):
            rows.append([label, row.symbol().color().name()])
    return rows


def picture(layer, path):
    """Render the whole layer on grey."""
    settings = QgsMapSettings()
    settings.setLayers([layer])
    settings.setBackgroundColor(QColor("#808080"))
    settings.setOutputSize(QSize(400, 300))
    settings.setDestinationCrs(layer.crs())
    settings.setExtent(layer.extent())
    job = QgsMapRendererParallelJob(settings)
    job.start()
    job.waitForFinished()
    job.renderedImage().save(str(path))


def main():
    """Open the files and print what is shown."""
    application = QgsApplication([], False)
    application.initQgis()
    folder, shown = Path(sys.argv[1]), {}
    for name in sys.argv[2:]:
        layer = QgsRasterLayer(name, "layer") if name.endswith(".tif") else QgsVectorLayer(name, "layer", "ogr")
        QgsProject.instance().addMapLayer(layer)
        facts = {"valid": layer.isValid(), "renderer": layer.renderer().type(), "legend": legend(layer)}
        if name.endswith(".tif") and facts["renderer"] == "singlebandpseudocolor":
            items = layer.renderer().shader().rasterShaderFunction().colorRampItemList()
            facts["ramp"] = [[item.value, item.color.name()] for item in items]
        picture(layer, folder / f"{Path(name).name}.png")
        shown[name] = facts
    print(json.dumps(shown))  # noqa: T201 - what it is run for
    QgsProject.instance().clear()
    application.exitQgis()


main()
