"""Models of pictures: vectors are those of the reference implementation, one at a time; nothing is mistaken for another."""

import io
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import nearfield as nf
from nearfield import embed
from nearfield.embed import fingerprint, towers
from nearfield.embed.base import takes
from nearfield.embed.image import ImageEmbedder
from nearfield.pictures import decoding
from tests.embed.picture_models import MAKERS, with_sentencepiece

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore")]
TEXTS = ["a photo of the cat", "sea", "THE MOON and the tides", "red square on white ground " * 9, "unknown", "x", " bread "]


@pytest.fixture(scope="module")
def models(tmp_path_factory) -> dict[str, Path]:
    root = tmp_path_factory.mktemp("models")
    return {name: make(root / name) for name, make in MAKERS.items() if not (root / name).mkdir()}


def odd_pictures() -> list[bytes]:
    """Files of many sizes, forms and modes, oriented ones too."""
    rng = np.random.default_rng(7)
    out = []
    for i in range(40):
        height, width = rng.integers(5, 90, 2)
        colours = rng.integers(0, 256, (3, 4, 3), np.uint8)
        image = Image.fromarray(colours).resize((int(width), int(height)), Image.Resampling.BICUBIC)
        kind, mode, options = [
            ("PNG", "RGB", {}),
            ("JPEG", "RGB", {"quality": 95}),
            ("JPEG", "CMYK", {}),
            ("PNG", "L", {}),
            ("GIF", "P", {}),
            ("PNG", "1", {}),
            ("WEBP", "RGB", {"lossless": True}),
            ("JPEG", "RGB", {"orientation": 1 + i % 8}),
        ][i % 8]
        exif = Image.Exif()
        exif[274] = options.pop("orientation", 1)
        written = io.BytesIO()
        image.convert(mode).save(written, kind, exif=exif, **options)
        out.append(written.getvalue())
    return out


def as_seen(raw: bytes) -> Image.Image:
    """As Pillow's own documentation says to look at a picture."""
    from PIL import ImageOps

    return ImageOps.exif_transpose(Image.open(io.BytesIO(raw))).convert("RGB")


def unit(found) -> np.ndarray:
    vector = getattr(found, "pooler_output", found).detach().numpy().reshape(-1)
    return vector / np.linalg.norm(vector)


def reference(name: str, folder: Path, images: list[Image.Image], texts: list[str]) -> tuple[np.ndarray, np.ndarray | None]:
    """transformers' own model and processor, one picture and one text at a time."""
    import torch
    import transformers as tf

    processor = tf.AutoImageProcessor.from_pretrained(folder, backend="pil")
    kinds = {"clip": tf.CLIPModel, "siglip": tf.SiglipModel, "siglip2": tf.Siglip2Model}
    kinds |= {"vit": tf.ViTModel, "dinov2": tf.Dinov2Model, "resnet": tf.ResNetModel}
    model = kinds[name].from_pretrained(folder).eval()
    with torch.no_grad():
        prepared = [processor(images=image, return_tensors="pt") for image in images]
        if name in ("vit", "dinov2"):
            return np.stack([unit(model(**one).last_hidden_state[:, 0]) for one in prepared]), None
        if name == "resnet":
            return np.stack([unit(model(**one)) for one in prepared]), None
        seen = np.stack([unit(model.get_image_features(**one)) for one in prepared] or [np.zeros(0)])
        tokenizer = tf.AutoTokenizer.from_pretrained(folder)
        how = {"padding": True if name == "clip" else "max_length", "max_length": 16, "truncation": True}
        read = [unit(model.get_text_features(**tokenizer([t], return_tensors="pt", **how))) for t in texts]
    return seen, np.stack(read)


def openers(raws: list[bytes]):
    return [lambda raw=raw: decoding.pixels(raw) for raw in raws]


@pytest.mark.parametrize("name", MAKERS)
def test_vectors_are_those_of_the_reference(models: dict[str, Path], name: str) -> None:
    embedder = embed.load(str(models[name]))
    raws = odd_pictures()
    seen, read = reference(name, models[name], [as_seen(raw) for raw in raws], TEXTS)
    done: list[int] = []
    found = embedder.encode_images(openers(raws), progress=lambda n, _: done.append(n))
    assert found.dtype == np.float32
    assert found.shape == (40, embedder.dim)
    assert np.abs(found - seen).max() < 1e-5
    assert done == sorted(done)
    assert done[-1] == 40
    assert np.linalg.matrix_rank(seen, tol=1e-3) > 3, "the reference tells pictures apart"
    if read is None:
        assert takes(embedder) == ("image",)
        with pytest.raises(nf.InvalidInput, match="pictures only"):
            embedder.encode(TEXTS)
    else:
        assert takes(embedder) == ("text", "image")
        assert np.abs(embedder.encode(TEXTS) - read).max() < 1e-5
        assert np.abs(embedder.encode(TEXTS, kind="query") - read).max() < 1e-5


def test_texts_of_a_tokenizer_by_sentencepiece_are_those_of_the_reference(models: dict[str, Path], tmp_path: Path) -> None:
    folder = with_sentencepiece(models["siglip"], tmp_path / "siglip")
    _, read = reference("siglip", folder, [], TEXTS)
    embedder = embed.load(str(folder))
    assert np.abs(embedder.encode(TEXTS) - read).max() < 1e-5
    assert np.abs(embedder.encode(TEXTS * 20) - np.tile(read, (20, 1))).max() < 1e-5
    plain = embed.load(str(models["siglip"])).encode(TEXTS)
    assert np.abs(plain - read).max() > 0.01, "it is another tokenizer"


def test_a_sentence_transformers_clip_is_found_in_its_folder(models: dict[str, Path], tmp_path: Path) -> None:
    from sentence_transformers import SentenceTransformer

    shutil.copytree(models["clip"], tmp_path / "model" / "0_CLIPModel")
    module = {"idx": 0, "name": "0", "path": "0_CLIPModel", "type": "sentence_transformers.models.CLIPModel"}
    (tmp_path / "model" / "modules.json").write_text(json.dumps([module]))
    (tmp_path / "model" / "config_sentence_transformers.json").write_text("{}")
    embedder = embed.load(str(tmp_path / "model"))
    assert isinstance(embedder, ImageEmbedder)
    assert embedder.name == str((tmp_path / "model").resolve())
    library = SentenceTransformer(str(tmp_path / "model"), device="cpu")
    raws = odd_pictures()[:9]
    texts = library.encode(TEXTS[:3], normalize_embeddings=True, show_progress_bar=False)
    assert np.abs(embedder.encode(TEXTS[:3]) - texts).max() < 1e-5
    seen = library.encode([as_seen(raw) for raw in raws], normalize_embeddings=True, show_progress_bar=False)
    assert np.abs(embedder.encode_images(openers(raws)) - seen).max() < 1e-5


def test_a_picture_that_is_left_out_has_a_row_of_zeros(models: dict[str, Path]) -> None:
    embedder = embed.load(str(models["vit"]))
    raws = odd_pictures()[:20]
    whole = embedder.encode_images(openers(raws))
    some = openers(raws)
    some[0] = some[7] = some[19] = lambda: None
    found = embedder.encode_images(some)
    assert not found[[0, 7, 19]].any()
    rest = [i for i in range(20) if i not in (0, 7, 19)]
    assert np.abs(found[rest] - whole[rest]).max() < 1e-5
    assert embedder.encode_images([]).shape == (0, embedder.dim)


def test_an_error_of_an_opener_reaches_the_caller(models: dict[str, Path]) -> None:
    def broken():
        raise nf.InvalidInput("the picture is broken", field="image")

    with pytest.raises(nf.InvalidInput, match="broken"):
        embed.load(str(models["vit"])).encode_images([*openers(odd_pictures()[:5]), broken, *openers(odd_pictures())])


def test_a_batch_without_room_is_halved(models: dict[str, Path], monkeypatch) -> None:
    import torch

    embedder = embed.load(str(models["clip"]))
    raws = odd_pictures()
    wanted = embedder.encode_images(openers(raws))
    seen, sizes = towers.Towers._seen, []

    def tight(self, inputs, name):
        sizes.append(len(inputs["pixel_values"]))
        if sizes[-1] > 3:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return seen(self, inputs, name)

    monkeypatch.setattr(towers.Towers, "_seen", tight)
    assert np.abs(embedder.encode_images(openers(raws)) - wanted).max() < 1e-5
    assert max(sizes) == 16
    assert max(sizes[15:]) <= 3, "later batches stay small"


def test_a_lost_device_is_left_in_the_middle(models: dict[str, Path], monkeypatch) -> None:
    import torch

    from nearfield.embed import text

    monkeypatch.setattr(text, "place", lambda wanted: ("cpu:0", "a pretended card"))
    embedder = embed.load(str(models["clip"]))
    raws = odd_pictures() * 4
    seen, count = towers.Towers._seen, []

    def failing(self, inputs, name):
        count.append(self.device)
        if self.device != "cpu" and len(count) > 1:
            raise torch.AcceleratorError("CUDA error: an illegal memory access was encountered")
        return seen(self, inputs, name)

    wanted = embed.load(str(models["clip"])).encode_images(openers(raws))
    monkeypatch.setattr(towers.Towers, "_seen", failing)
    found = embedder.encode_images(openers(raws))
    assert np.abs(found - wanted).max() < 1e-5
    assert embedder.describe()["device"] == "cpu"


def test_half_precision_is_measured_with_texts_and_pictures(models: dict[str, Path]) -> None:
    embedder = ImageEmbedder("clip", models["clip"], "cpu", "bfloat16")
    found = embedder.encode_images(openers(odd_pictures()[:4]))
    truth = embed.load(str(models["clip"])).encode_images(openers(odd_pictures()[:4]))
    told = embedder.describe()
    assert told["least_cosine"] is not None
    assert (np.einsum("ij,ij->i", found, truth) > 0.999).all() or told["precision"] == "float32"


def test_another_model_is_told_by_pictures_and_texts(models: dict[str, Path], tmp_path: Path) -> None:
    import torch
    from safetensors.torch import load_file, save_file

    for name, tower in (("vit", "embeddings"), ("clip", "visual_projection"), ("clip", "text_projection")):
        kept = fingerprint.Fingerprint.from_dict(fingerprint.take(embed.load(str(models[name]))).to_dict())
        fingerprint.compare_probes(kept, fingerprint.take(embed.load(str(models[name]))))
        other = tmp_path / f"{name}-{tower}" / name
        shutil.copytree(models[name], other)
        weights = load_file(other / "model.safetensors")
        torch.manual_seed(9)
        changed = {k: torch.randn_like(v) if tower in k else v for k, v in weights.items()}
        assert any(tower in k for k in weights)
        save_file(changed, other / "model.safetensors", metadata={"format": "pt"})
        fingerprint.compare_declared(kept, embed.load(str(other)))
        with pytest.raises(nf.ModelMismatch, match=r"the picture of|probe"):
            fingerprint.compare_probes(kept, fingerprint.take(embed.load(str(other))))


@pytest.mark.parametrize(
    ("name", "gone", "said"),
    [("vit", "model.safetensors", "safetensors"), ("vit", "preprocessor_config.json", "prepared")],
)
def test_what_is_missing_in_a_folder_is_said(models: dict[str, Path], tmp_path: Path, name: str, gone: str, said: str) -> None:
    shutil.copytree(models[name], tmp_path / "model")
    (tmp_path / "model" / gone).unlink()
    with pytest.raises(nf.NotFound, match=said):
        embed.load(str(tmp_path / "model")).encode_images(openers(odd_pictures()[:1]))


def test_texts_and_pictures_are_searched_in_one_space(models: dict[str, Path], tmp_path: Path) -> None:
    raws = odd_pictures()[:12]
    embedder = embed.load(str(models["clip"]))
    with nf.open(tmp_path / "db") as db:
        made = db.create("pics", embedder=str(models["clip"]))
        made.upsert([nf.Document(f"p{i}", image=raw, metadata={"i": i}) for i, raw in enumerate(raws)])
        made.upsert([nf.Document("words", "a photo of the cat")])
        vectors = np.concatenate([embedder.encode_images(openers(raws)), embedder.encode(["a photo of the cat"])])
        query = embedder.encode(["the sea"])[0]
        order = np.argsort(-(vectors @ query), kind="stable")
        names = [*(f"p{i}" for i in range(12)), "words"]
        assert made.search("the sea", k=13, exact=True).ids == [names[i] for i in order]
        assert made.search(image=raws[5], k=1).ids == ["p5"]
        assert made.search("a photo of the cat", k=1).ids == ["words"]
    with nf.open(tmp_path / "db") as db:
        assert db["pics"].search(image=raws[3], k=1).ids == ["p3"]


def test_the_python_of_the_documentation_runs(models: dict[str, Path], tmp_path: Path, monkeypatch) -> None:
    import re

    page = Path(__file__).parents[2] / "docs" / "IMAGES.md"
    (block,) = re.findall(r"^```py\n(.*?)^```", page.read_text("utf-8"), re.M | re.S)
    assert "google/siglip2-base-patch16-224" in block
    raws = odd_pictures()
    (tmp_path / "Pictures" / "2026").mkdir(parents=True)
    for name, raw in (("Pictures/2026/a.png", raws[0]), ("cover.jpg", raws[1]), ("boat.jpg", raws[2])):
        (tmp_path / name).write_bytes(raw)
    monkeypatch.chdir(tmp_path)
    exec(block.replace("google/siglip2-base-patch16-224", str(models["siglip2"])), {})
    with nf.open("photos.nf") as db:
        assert {d.id for d in db["pics"].scan()} == {"a.png", "cover"}
