"""Loss functions, by theme; trainers import those that they use."""
