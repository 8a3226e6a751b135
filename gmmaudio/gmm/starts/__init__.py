"""Where EM starts: see `gmmaudio.gmm.starts.initialization.initial_params`."""
