"""The loads of a pipeline: listed, named, shown, explained, replayed and retracted."""
