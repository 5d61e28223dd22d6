"""Ways of making weights: training, probing, fine-tuning, or taking them as they are; one file each."""
