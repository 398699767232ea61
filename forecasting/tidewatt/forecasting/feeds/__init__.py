"""Services on the network that tell carbon intensity, generation or weather: one module for each."""
