"""A small good file of every format that crispmap reads, and what reads it."""

from __future__ import annotations

import json
import struct
import warnings
import zipfile
from collections.abc import Callable, Mapping
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import geopandas as gpd
import numpy as np
import rasterio
import shapely
import tiny
import torch
import yaml
from affine import Affine
from caffe_by_hand import encoded
from caffe_networks import Builder
from pyproj import CRS

from crispmap.classes import ClassDef, ClassSchema
from crispmap.evaluation.intervals import draw_weights
from crispmap.geo.area_pieces import AreaPiece, resolve_areas
from crispmap.geo.grid import Block, Grid
from crispmap.labels.mask import open_labels
from crispmap.labels.reader import LabelOptions
from crispmap.labels.vectors import read_vectors
from crispmap.models.base import Refiner
from crispmap.models.caffe.file import read_caffe
from crispmap.models.card import ModelCard
from crispmap.models.file import load_model, save_model
from crispmap.models.registry import architectures
from crispmap.models.scaling import Scaling
from crispmap.project.compare import record as records
from crispmap.project.compare import rows
from crispmap.project.describe import describe
from crispmap.project.file import load_project
from crispmap.project.file.classes_file import load_classes
from crispmap.project.import_caffe import import_caffe
from crispmap.raster.block_store import BlockStore, store_folder
from crispmap.raster.files import open_scene
from crispmap.raster.scores import open_scores
from crispmap.raster.spec import class_map_spec
from crispmap.raster.stac import item_scenes

SHAPE = (40, 48)
CORNER = (500_000.0, 5_000_000.0)
TRANSFORM = Affine(1.0, 0.0, CORNER[0], 0.0, -1.0, CORNER[1])
GRID = Grid(CRS.from_epsg(32631), TRANSFORM, SHAPE)
SCHEMA = ClassSchema(
    (
        ClassDef("ground", "#000000"),
        ClassDef("house", "#ff0000", ("building=*",)),
        ClassDef("road", "#0000ff", ("highway=*",)),
    )
)

Files = Mapping[str, bytes]


@dataclass(frozen=True)
class Sample:
    """Files of one format; the first is given to what reads them."""

    files: Files
    read: Callable[[Path], object]
    structured: bool = False  # whether what is damaged is JSON
    wrap: Callable[[bytes], bytes] = field(default=bytes)  # makes the file of what is damaged, such as a header
    spared: tuple[str, ...] = ()  # files that are not damaged


def samples(folder: Path) -> dict[str, Sample]:
    """Return the samples by the name of their format; the folder is for making them."""
    return {**_rasters(folder), **_vectors(folder), **_texts(), **_models(folder), **_states(folder)}


# --- rasters --------------------------------------------------------------------------------------------------


def _image(bands: int = 3, kind: str = "uint8") -> Any:
    return np.random.default_rng(0).integers(1, 255, (bands, *SHAPE)).astype(kind)


def _ids() -> Any:
    ids = np.zeros((1, *SHAPE), np.uint8)
    ids[:, 4:12, 4:20], ids[:, 20:25] = 1, 2
    return ids


def _write(
    path: Path, values: Any, colours: Any = None, descriptions: Any = None, tags: Any = None, **options: Any
) -> None:
    profile = {"driver": "GTiff", "crs": "EPSG:32631", "transform": TRANSFORM, **options}
    count, height, width = values.shape
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with rasterio.open(
            path, "w", count=count, height=height, width=width, dtype=values.dtype.name, **profile
        ) as file:
            file.write(values)
            if colours:
                file.write_colormap(1, colours)
            if descriptions:
                file.descriptions = descriptions
            file.update_tags(**tags or {})


def _taken(folder: Path, *names: str) -> dict[str, bytes]:
    return {name: (folder / name).read_bytes() for name in names}


def _rasters(folder: Path) -> dict[str, Sample]:
    _write(
        folder / "a.tif",
        _image(),
        descriptions=("red", "green", "blue"),
        nodata=0,
        compress="deflate",
        tiled=True,
        blockxsize=16,
        blockysize=16,
    )
    _write(folder / "b.tif", _image(4, "uint16"), tags={"note": "somewhere"}, nodata=65535, interleave="band")
    _write(folder / "j.tif", _image(), compress="jpeg", photometric="ycbcr", tiled=True, blockxsize=16, blockysize=16)
    _write(folder / "c.png", _image(), driver="PNG", crs=None, worldfile=True)
    _write(folder / "d.jpg", _image(), driver="JPEG", worldfile=True)
    _write(
        folder / "m.tif",
        _ids(),
        colours={0: (0, 0, 0), 1: (255, 0, 0), 2: (0, 0, 255)},
        tags={"CRISPMAP_CLASSES": SCHEMA.to_json()},
        nodata=255,
    )
    _write(
        folder / "p.png",
        _ids(),
        driver="PNG",
        crs=None,
        transform=None,
        colours={0: (0, 0, 0), 1: (255, 0, 0), 2: (0, 0, 255)},
    )
    scores = np.random.default_rng(1).normal(0, 1, (3, *SHAPE)).astype(np.float32)
    _write(folder / "s.tif", scores, descriptions=SCHEMA.names, tags={"CRISPMAP_SCORES": "logit"}, nodata=float("nan"))
    with zipfile.ZipFile(folder / "z.zip", "w") as archive:
        archive.writestr("in/a.tif", (folder / "a.tif").read_bytes())
    (folder / "v.vrt").write_text(_VRT)
    return {
        "tif": Sample(_taken(folder, "a.tif"), _read_scene),
        "tif, 16 bits": Sample(_taken(folder, "b.tif"), _read_scene),
        "tif, JPEG inside": Sample(_taken(folder, "j.tif"), _read_scene),
        "vrt": Sample(_taken(folder, "v.vrt", "a.tif"), _read_scene, spared=("a.tif",)),
        "png with world file": Sample(_taken(folder, "c.png", "c.wld"), _read_scene),
        "jpg with world file and aux.xml": Sample(_taken(folder, "d.jpg", "d.wld", "d.jpg.aux.xml"), _read_scene),
        "class map": Sample(_taken(folder, "m.tif"), _read_mask),
        "mask with palette": Sample(_taken(folder, "p.png"), _read_mask),
        "scores": Sample(_taken(folder, "s.tif"), _read_scores),
        "raster in zip": Sample(_taken(folder, "z.zip"), lambda path: _read_scene(f"/vsizip/{path}/in/a.tif")),
    }


_VRT = """<VRTDataset rasterXSize="48" rasterYSize="40"><SRS>EPSG:32631</SRS>
<GeoTransform>500000, 1, 0, 5000000, 0, -1</GeoTransform>
<VRTRasterBand dataType="Byte" band="1"><Description>red</Description><NoDataValue>0</NoDataValue>
<SimpleSource><SourceFilename relativeToVRT="1">a.tif</SourceFilename><SourceBand>1</SourceBand></SimpleSource>
</VRTRasterBand></VRTDataset>"""


def _read_scene(path: str | Path) -> None:
    describe(path)
    with open_scene(path) as scene:
        _read_ends(scene)


def _read_scores(path: Path) -> None:
    with open_scores(path) as scene:
        _read_ends(scene)


def _read_ends(scene: Any) -> None:
    """Read a corner and the opposite one: a file that says it is large is not read whole by anything."""
    height, width = (min(64, side) for side in scene.grid.shape)
    scene.read(Block(0, 0, height, width))
    scene.read(Block(scene.grid.height - height, scene.grid.width - width, height, width))


def _read_mask(path: Path) -> None:
    describe(path)
    _read_labels(path)


# --- vectors --------------------------------------------------------------------------------------------------


def _frame() -> gpd.GeoDataFrame:
    left, top = CORNER
    shapes = [shapely.box(left + 4, top - 12, left + 20, top - 4), shapely.box(left + 24, top - 12, left + 40, top - 4)]
    shapes.append(shapely.LineString([(left, top - 22), (left + 48, top - 22)]))
    facts = {
        "building": ["yes", "haus", None],
        "highway": [None, None, "primary"],
        "width": [1.5, None, 6.0],
        "n": [1, 2, 3],
    }
    return gpd.GeoDataFrame(facts, geometry=shapes, crs="EPSG:32631")


_OSM = """<?xml version='1.0' encoding='UTF-8'?><osm version="0.6"><node id="1" lat="{0}" lon="{1}"/>
<node id="2" lat="{0}" lon="{3}"/><node id="3" lat="{2}" lon="{3}"/><node id="4" lat="{2}" lon="{1}"/>
<way id="5"><nd ref="1"/><nd ref="2"/><nd ref="3"/><nd ref="4"/><nd ref="1"/><tag k="building" v="yes"/></way>
<way id="6"><nd ref="1"/><nd ref="3"/><tag k="highway" v="primary"/><tag k="width" v="6"/></way></osm>"""


def _vectors(folder: Path) -> dict[str, Sample]:
    frame = _frame()
    degrees = frame.to_crs(4326)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        frame.to_file(folder / "a.gpkg")
        degrees.to_file(folder / "a.geojson")
        degrees[:2].to_file(folder / "areas.geojson")
        frame[:2].to_file(folder / "a.shp", encoding="utf-8")
        frame.to_file(folder / "a.fgb", SPATIAL_INDEX="NO")
        degrees.to_file(folder / "a.kml", driver="KML")
        frame.to_parquet(folder / "a.parquet")
    with zipfile.ZipFile(folder / "shp.zip", "w") as archive:
        for end in ("shp", "shx", "dbf", "prj"):
            archive.writestr(f"a.{end}", (folder / f"a.{end}").read_bytes())
    left, bottom, right, top = degrees.total_bounds
    (folder / "a.osm").write_text(_OSM.format(bottom, left, top, right))
    (folder / "a.csv").write_text("class,WKT\n" + "".join(f'house,"{one.wkt}"\n' for one in frame.geometry))
    names = ("gpkg", "fgb", "kml", "parquet")
    return {
        "csv": Sample(
            _taken(folder, "a.csv"), lambda path: _read_features(path, LabelOptions(assume_crs="EPSG:32631"))
        ),
        "osm": Sample(_taken(folder, "a.osm"), _read_features),
        **{name: Sample(_taken(folder, f"a.{name}"), _read_vectors) for name in names},
        "geojson": Sample(_taken(folder, "a.geojson"), _read_labels, structured=True),
        "shp": Sample(_taken(folder, "a.shp", "a.shx", "a.dbf", "a.prj", "a.cpg"), _read_vectors),
        "vectors in zip": Sample(_taken(folder, "shp.zip"), _read_vectors),
        "geojson, areas": Sample(_taken(folder, "areas.geojson"), _read_areas, structured=True),
        "shp, areas": Sample(_taken(folder, "a.shp", "a.shx", "a.dbf", "a.prj", "a.cpg"), _read_areas),
    }


def _read_vectors(path: Path) -> None:
    describe(path)
    _read_features(path)


def _read_features(path: Path, options: LabelOptions | None = None) -> None:
    read_vectors(path, SCHEMA, grid=GRID, options=options)


def _read_labels(path: Path) -> None:
    with closing(open_labels(path, SCHEMA, GRID)) as labels:
        labels.read(GRID.block)


def _read_areas(path: Path) -> None:
    for area in resolve_areas({"test": [AreaPiece(file=path)]}, GRID, GRID)["test"]:
        area.mask(area.block)


# --- texts ----------------------------------------------------------------------------------------------------

PROJECT: dict[str, Any] = {
    "crispmap": 2, "name": "small", "seed": 3, "scene": {"path": "a.tif", "bands": [1, 2], "gsd_m": 1.0},
    "classes": [
        {"name": "ground", "colour": "#000000"}, {"name": "house", "colour": "#ff0000", "osm": "building"},
        {"name": "road", "colour": "#0000ff", "osm": ["highway=primary & tunnel!=yes"], "width_m": 5},
    ],
    "labels": {"path": "osm.gpkg", "layer": "lines", "road_width_m": 7.0}, "reference": {"path": "mask.tif"},
    "areas": {
        "coarse": [{"window": [0, 0, 96, 64]}], "refiner": [{"bounds": [0.0, 0.0, 1.0, 1.5], "crs": "EPSG:4326"}],
        "test": [{"polygon": [[0, 0], [1, 0], [1, 1.5]]}, {"file": "areas.gpkg", "layer": "x"}],
    },
    "coarse": {"kind": "fcn-rnn", "max_steps": 2, "batch": 1, "patch_px": 16, "learning_rate": 0.01},
    "refiner": {"kind": "rnn", "iterations": 2, "max_steps": 2, "batch": 1, "patch_px": 16},
    "output": {"folder": "out"},
}  # fmt: skip


def _texts() -> dict[str, Sample]:
    project, classes = json.dumps(PROJECT).encode(), json.dumps({"classes": PROJECT["classes"]}).encode()
    item = json.dumps(_ITEM).encode()
    many = json.dumps({"type": "FeatureCollection", "features": [_ITEM, {**_ITEM, "id": "two"}], "links": []}).encode()
    raster = {"B02.tif": _tiny(), "B03.tif": _tiny()}
    return {
        "project file": Sample({"project.yaml": project}, _read_project, structured=True),
        "project file, as people write it": Sample({"project.yaml": yaml.safe_dump(PROJECT).encode()}, _read_project),
        "classes file": Sample({"classes.yaml": classes}, load_classes, structured=True),
        "classes of a map": Sample({"c.json": SCHEMA.to_json().encode()}, _read_classes, structured=True),
        "STAC item": Sample({"item.json": item, **raster}, _read_item, structured=True, spared=tuple(raster)),
        "STAC items": Sample({"items.json": many, **raster}, _read_item, structured=True, spared=tuple(raster)),
    }


_ITEM: dict[str, Any] = {
    "type": "Feature", "stac_version": "1.0.0", "stac_extensions": ["https://x/eo/v1.0.0/schema.json"], "id": "S2A_1",
    "geometry": {"type": "Point", "coordinates": [1.0, 2.0]}, "bbox": [1.0, 2.0, 1.0, 2.0], "collection": "c",
    "properties": {"datetime": "2020-01-01T00:00:00Z", "proj:epsg": 9999, "gsd": 10},
    "links": [{"rel": "self", "href": "./item.json", "type": "application/json"}],
    "assets": {
        name: {
            "href": f"./{name}.tif", "type": "image/tiff; application=geotiff", "roles": ["data"], "title": name,
            "eo:bands": [{"name": name, "common_name": common}],
        }
        for name, common in (("B02", "blue"), ("B03", "green"))
    },
}  # fmt: skip


def _tiny() -> bytes:
    from rasterio.io import MemoryFile

    with MemoryFile() as memory:
        with memory.open(
            driver="GTiff", count=1, height=4, width=4, dtype="uint8", crs="EPSG:32631", transform=TRANSFORM
        ) as file:
            file.write(np.ones((1, 4, 4), np.uint8))
        return bytes(memory.getbuffer())


def _read_project(path: Path) -> None:
    load_project(path, check_files=False)
    describe(path).to_dict()


def _read_classes(path: Path) -> None:
    ClassSchema.from_json(path.read_text(encoding="utf-8", errors="surrogateescape")).to_json()


def _read_item(path: Path) -> None:
    for scene in item_scenes(str(path)):
        str(scene)
    item_scenes(str(path), ["B03", "B02"])


# --- models ---------------------------------------------------------------------------------------------------


def _with_text(content: bytes) -> Callable[[bytes], bytes]:
    """Return what makes a safetensors file of a text for its entry ``crispmap``, and the tensors of another file."""
    (length,) = struct.unpack("<Q", content[:8])
    header, tensors = json.loads(content[8 : 8 + length]), content[8 + length :]

    def wrap(text: bytes) -> bytes:
        own = {**header, "__metadata__": {"crispmap": text.decode(errors="surrogateescape")}}
        packed = json.dumps(own).encode()
        packed += b" " * (-len(packed) % 8)
        return struct.pack("<Q", len(packed)) + packed + tensors

    return wrap


def _text_in(content: bytes) -> bytes:
    (length,) = struct.unpack("<Q", content[:8])
    text: str = json.loads(content[8 : 8 + length])["__metadata__"]["crispmap"]
    return text.encode()


def _models(folder: Path) -> dict[str, Sample]:
    _write_models(folder)
    net = Builder()
    at = net.add("Convolution", "data", "conv", num=2, kernel=5, stride=2)
    at = net.add("Pooling", net.add("ReLU", net.add("BatchNorm", at)), pool=1, kernel=2, stride=2)
    net.add("Convolution", net.up(at, 4), "score", num=1)
    found = {"caffe file": Sample({"c.caffemodel": encoded(net.layers)}, _read_caffe)}
    for path in sorted(folder.glob("*.safetensors")):
        content = path.read_bytes()
        found[f"model file, {path.stem}"] = Sample({path.name: content}, _read_model)
        found[f"model card, {path.stem}"] = Sample(
            {path.name: _text_in(content)}, _read_model, structured=True, wrap=_with_text(content)
        )
    return found


def _write_models(folder: Path) -> None:
    torch.manual_seed(0)
    for kind, name, options in (
        ("coarse", "fcn-rnn", {}), ("coarse", "svm", {"vectors": 7}), ("refiner", "rnn", {"iterations": 2}),
        ("refiner", "geodesic", {}), ("refiner", "crf", {}), ("refiner", "bayes", {}),
        ("refiner", "wide", {"iterations": 2}),
    ):  # fmt: skip
        network = architectures(kind)[name].build(bands=2, classes=3, **options)
        card = ModelCard(
            kind=kind, architecture=name, arguments=network.arguments, schema=SCHEMA, band_names=("red", "green"),
            scaling=Scaling((127.0, 100.0), (64.0, 50.0)), gsd_m=1.0, radius_px=network.radius_px,
            stride_px=getattr(network, "stride_px", 1), provenance={"data": {"n": [1, 2.5]}, "seed": 3},
        )  # fmt: skip
        save_model(folder / f"{name}.safetensors", network, card)


def _read_model(path: Path) -> None:
    describe(path).to_dict()
    model = load_model(path)
    network = model.network
    if isinstance(network, Refiner) and not network.torch_only:
        side = 2 * network.margin_px + 4
        network(torch.zeros(1, network.classes, side, side), torch.zeros(1, network.bands, side, side))


def _read_caffe(path: Path) -> None:
    read_caffe(path)
    import_caffe(path, path.with_suffix(".safetensors"), gsd_m=1.0, force=True)


# --- what is kept of unfinished work --------------------------------------------------------------------------


def _states(folder: Path) -> dict[str, Sample]:
    return {**_store(folder), **_record(), **_training(folder)}


def _spec(folder: Path) -> Any:
    return class_map_spec(folder / "map.tif", GRID, SCHEMA, {})


def _store(folder: Path) -> dict[str, Sample]:
    home = folder / "store"
    home.mkdir()
    with BlockStore.open([_spec(home)], identity={"scene": "abc"}, block_px=32) as store:
        for block in list(GRID.blocks(32))[:3]:
            store.write(block, [_ids()[:, *block.slices]])
    kept = store_folder(home / "map.tif")
    files = {
        str(one.relative_to(home)): one.read_bytes()
        for one in sorted(kept.rglob("*"))
        if one.is_file() and one.name != "lock"
    }
    journal = next(name for name in files if name.endswith("journal.json"))
    block = next(name for name in files if name.endswith("block.json"))
    mark = str(kept.relative_to(home) / "finished.json")
    others, whole = tuple(files), dict(files)
    built, block_pixels = str(kept.relative_to(home) / "finished" / "0.tif"), (folder / "m.tif").read_bytes()
    return {
        "journal": Sample({journal: files.pop(journal), **files}, _resume, structured=True, spared=tuple(files)),
        "record of a block": Sample(
            {block: files[block], **whole}, _resume, structured=True,
            spared=tuple(n for n in others if n != block),
        ),
        "pixels of a block": Sample(
            whole, _resume,
            spared=tuple(n for n in others if not n.endswith(".tif")),
        ),
        "mark": Sample(
            {mark: b'{"force": true}', built: block_pixels, **whole}, _resume, structured=True, spared=(built, *others),
        ),
    }  # fmt: skip


def _resume(path: Path) -> None:
    """Go on from what is left; whatever that is, ``restart`` discards it."""
    home = next(one for one in path.parents if one.name.endswith(".crispmap")).parent
    try:
        with BlockStore.open([_spec(home)], identity={"scene": "abc"}, block_px=32) as store:
            if store.block_px > 8:  # smaller ones take long
                for block in set(GRID.blocks(store.block_px)) - set(store.finished):
                    store.write(block, [_ids()[:, *block.slices]])
                store.finish()
    finally:
        (home / "map.tif").unlink(missing_ok=True)
        if (home / ".map.tif.crispmap").exists():
            BlockStore.open([_spec(home)], identity={"scene": "abc"}, block_px=32, restart=True).close()


def _record() -> dict[str, Sample]:
    from crispmap.evaluation.compare import evaluate_arrays
    from crispmap.project.compare.mapping import MappingCost
    from crispmap.project.compare.scoring import Scores

    ids = _ids()[0]
    evaluation = evaluate_arrays(ids, ids, (1.0, 1.0), SCHEMA)
    curves = (([0.0, 0.5, 1.0], [0.0, 0.9, 1.0]),) * 3
    scores = Scores(evaluation, np.ones((2, 3, 3), np.int64), (0.5, 0.75, float("nan")), curves)
    cost = MappingCost(**{name: _plausible(kind) for name, kind in MappingCost.__annotations__.items()})
    record = records.Record(
        scores,
        scores,
        (0.0, 0.5, 1.0),
        {"coarse": 9},
        {"coarse": 1.5},
        cost,
        {"test": [0.5, 0.6]},
        {"coarse": "ab"},
        "a note",
    )
    figures = json.dumps({"format": 1, **record.to_dict()}).encode()
    identity = json.dumps({"method": "x", "seed": 3, "settings": {"a": [1]}, "data": "ab"}).encode()
    return {
        "comparison record": Sample({"figures.json": figures}, _read_record, structured=True),
        "identity of a comparison": Sample({"identity.json": identity}, _check_identity, structured=True),
    }


def _plausible(kind: Any) -> Any:
    text = str(kind)
    return 2 if "int" in text else 1.5 if "float" in text else "x"


def _read_record(path: Path) -> None:
    record = records.read_record(path.parent)
    if record is not None:
        record.to_dict()
        for name, scores, cost in rows._maps("x", record):
            rows._row(name, scores, cost, draw_weights(len(scores.blocks), seed=0), scores.blocks)


def _check_identity(path: Path) -> None:
    records.check_identity(path.parent, {"method": "x", "seed": 3, "settings": {"a": [1]}, "data": "ab"})


def _training(folder: Path) -> dict[str, Sample]:
    home = folder / "training"
    task = tiny.refiner_task(max_steps=6, validate_every=3, log_every=2)
    tiny.train(task, [tiny.ground(1)], [tiny.ground(2)], home)
    state, best = (home / "last.safetensors").read_bytes(), (home / "best.safetensors").read_bytes()
    others = {"best.safetensors": best}
    return {
        "training state": Sample({"last.safetensors": state, **others}, _resume_training, spared=tuple(others)),
        "tree of a training state": Sample(
            {"last.safetensors": _text_in(state), **others}, _resume_training, structured=True,
            wrap=_with_text(state), spared=tuple(others),
        ),
        "best weights": Sample(
            {"best.safetensors": best, "last.safetensors": state}, _resume_training, spared=("last.safetensors",)
        ),
        "notes of the best weights": Sample(
            {"best.safetensors": _text_in(best), "last.safetensors": state}, _resume_training, structured=True,
            wrap=_with_text(best), spared=("last.safetensors",),
        ),
    }  # fmt: skip


def _resume_training(path: Path) -> None:
    """Resume a training that is finished, or a step before it."""
    task = tiny.refiner_task(max_steps=6, validate_every=3, log_every=2)
    tiny.train(task, _GROUND[:1], _GROUND[1:], path.parent, resume=True)


_GROUND = [tiny.ground(1), tiny.ground(2)]
