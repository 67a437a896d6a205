"""Running the pipeline: the command line, the embedded broker and the local supervisor."""
