"""The paper's tables (Hirt et al. 2024), reproduced: one module and one command each."""
