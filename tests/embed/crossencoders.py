"""Tiny cross-encoders of random weights with MiniLM's tokenizer, made and saved where a test wants them."""

from pathlib import Path

from nearfield import embed


def tiny(folder: Path, labels: int = 1, activation: str | None = None, positions: int = 64) -> Path:
    """A BERT sequence classifier; its weights are large, so that texts differ by more than rounding."""
    import torch
    from transformers import AutoTokenizer, BertConfig, BertForSequenceClassification

    torch.manual_seed(1)
    tokenizer = AutoTokenizer.from_pretrained(str(embed.load("minilm").folder))
    config = BertConfig(
        vocab_size=len(tokenizer), hidden_size=16, num_hidden_layers=2, num_attention_heads=2, intermediate_size=32,
        max_position_embeddings=positions, num_labels=labels,
    )  # fmt: skip
    if activation is not None:
        config.sentence_transformers = {"activation_fn": activation, "version": "6.0"}
    model = BertForSequenceClassification(config)
    with torch.no_grad():
        for name, weights in model.named_parameters():
            if weights.ndim == 2:
                weights.normal_(0, 1.0 if "embeddings" in name or "classifier" in name else 0.5)
    model.save_pretrained(folder)
    tokenizer.model_max_length = positions
    tokenizer.save_pretrained(folder)
    return folder
