"""Tiny models of pictures with random weights, saved as real ones are: safetensors, processor and tokenizer files."""

from __future__ import annotations

from pathlib import Path

WORDS = ("a", "photo", "of", "the", "cat", "dog", "sea", "moon", "red", "square", "on", "white", "ground", "tides", "and")


def tokenizer(folder: Path, *, limit: int, names: list[str] | None = None):
    """A fast tokenizer of whole words, with an end token, as CLIP's: saved in `folder`."""
    from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors
    from transformers import PreTrainedTokenizerFast

    vocabulary = {word: i for i, word in enumerate(["<pad>", "<unk>", *WORDS, "<start>", "<end>"])}
    inner = Tokenizer(models.WordLevel(vocabulary, unk_token="<unk>"))
    inner.normalizer = normalizers.Lowercase()
    inner.pre_tokenizer = pre_tokenizers.Whitespace()
    inner.post_processor = processors.TemplateProcessing(
        single="<start> $A <end>", special_tokens=[(name, vocabulary[name]) for name in ("<start>", "<end>")]
    )
    made = PreTrainedTokenizerFast(
        tokenizer_object=inner, unk_token="<unk>", pad_token="<end>", bos_token="<start>", eos_token="<end>",
        model_max_length=limit, model_input_names=names or ["input_ids", "attention_mask"],
    )  # fmt: skip
    made.save_pretrained(folder)
    return vocabulary


SMALL = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 2}


def clip(folder: Path) -> Path:
    import torch
    from transformers import CLIPConfig, CLIPImageProcessorPil, CLIPModel

    torch.manual_seed(1)
    words = tokenizer(folder, limit=16)
    text = {**SMALL, "vocab_size": len(words), "max_position_embeddings": 16, "eos_token_id": words["<end>"]}
    text |= {"bos_token_id": words["<start>"], "pad_token_id": words["<end>"]}
    config = CLIPConfig(text_config=text, vision_config={**SMALL, "image_size": 32, "patch_size": 8}, projection_dim=24)
    CLIPModel(config).save_pretrained(folder)
    CLIPImageProcessorPil(size={"shortest_edge": 32}, crop_size={"height": 32, "width": 32}).save_pretrained(folder)
    return folder


def siglip(folder: Path) -> Path:
    import torch
    from transformers import SiglipConfig, SiglipImageProcessorPil, SiglipModel

    torch.manual_seed(2)
    words = tokenizer(folder, limit=16, names=["input_ids"])
    text = {**SMALL, "vocab_size": len(words), "max_position_embeddings": 16, "projection_size": 32}
    config = SiglipConfig(text_config=text, vision_config={**SMALL, "image_size": 32, "patch_size": 8})
    SiglipModel(config).save_pretrained(folder)
    SiglipImageProcessorPil(size={"height": 32, "width": 32}).save_pretrained(folder)
    return folder


def siglip2(folder: Path) -> Path:
    import torch
    from transformers import Siglip2Config, Siglip2ImageProcessorPil, Siglip2Model

    torch.manual_seed(3)
    words = tokenizer(folder, limit=16)
    text = {**SMALL, "vocab_size": len(words), "max_position_embeddings": 16, "projection_size": 32}
    config = Siglip2Config(text_config=text, vision_config={**SMALL, "num_patches": 16, "patch_size": 8})
    Siglip2Model(config).save_pretrained(folder)
    Siglip2ImageProcessorPil(patch_size=8, max_num_patches=16).save_pretrained(folder)
    return folder


def vit(folder: Path) -> Path:
    import torch
    from transformers import ViTConfig, ViTForImageClassification, ViTImageProcessorPil

    torch.manual_seed(4)
    ViTForImageClassification(ViTConfig(**SMALL, image_size=32, patch_size=8)).save_pretrained(folder)
    ViTImageProcessorPil(size={"height": 32, "width": 32}).save_pretrained(folder)
    return folder


def dinov2(folder: Path) -> Path:
    import torch
    from transformers import BitImageProcessorPil, Dinov2Config, Dinov2Model

    torch.manual_seed(5)
    config = Dinov2Config(hidden_size=32, num_hidden_layers=2, num_attention_heads=2, mlp_ratio=2, image_size=32, patch_size=8)
    Dinov2Model(config).save_pretrained(folder)
    BitImageProcessorPil(size={"shortest_edge": 36}, crop_size={"height": 32, "width": 32}).save_pretrained(folder)
    return folder


def resnet(folder: Path) -> Path:
    import torch
    from transformers import ConvNextImageProcessorPil, ResNetConfig, ResNetForImageClassification

    torch.manual_seed(6)
    config = ResNetConfig(embedding_size=8, hidden_sizes=[16, 32], depths=[1, 1], layer_type="basic")
    ResNetForImageClassification(config).save_pretrained(folder)
    ConvNextImageProcessorPil(size={"shortest_edge": 32}).save_pretrained(folder)
    return folder


MAKERS = {"clip": clip, "siglip": siglip, "siglip2": siglip2, "vit": vit, "dinov2": dinov2, "resnet": resnet}


def with_sentencepiece(source: Path, folder: Path) -> Path:
    """A SigLIP whose tokenizer is SentencePiece's, as that of the first generation."""
    import io
    import shutil

    import sentencepiece
    from transformers import SiglipTokenizer

    shutil.copytree(source, folder)
    for name in ("tokenizer.json", "tokenizer_config.json", "special_tokens_map.json"):
        (folder / name).unlink(missing_ok=True)
    trained = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter([*WORDS, "a photo of the cat", "red square on white ground"] * 5), model_writer=trained,
        vocab_size=17, hard_vocab_limit=False, model_type="char", pad_id=-1, bos_id=-1, eos_id=1, unk_id=2, minloglevel=2,
    )  # fmt: skip
    (folder / "spiece.model").write_bytes(trained.getvalue())
    SiglipTokenizer(str(folder / "spiece.model"), model_input_names=["input_ids"]).save_pretrained(folder)
    return folder
