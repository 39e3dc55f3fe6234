"""What the fixtures are computed with: PyTorch, diffusers and transformers on tiny models."""
