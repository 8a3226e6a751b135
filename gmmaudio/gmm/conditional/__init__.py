"""Parts of a mixture, alone or given the others, and regression."""
