"""Fine-tuning a checkpoint with LoRA on a user's own pairs. Importing this loads no torch."""
