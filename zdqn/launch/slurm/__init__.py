"""Runs whose roles are jobs of Slurm: text in `slurm_plan` and `batch_files`, the rest acts."""
