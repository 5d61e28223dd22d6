"""Loss functions, imported by the trainers that use them; one file each."""
