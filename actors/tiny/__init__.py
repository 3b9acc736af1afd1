"""The embedded model family: its tokenizer, examples, training and model card."""
