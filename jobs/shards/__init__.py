"""A file larger than one worker should read: cut into shards that are validated side by side.

    survey    each range of bytes: is it plain, how many lines has it, which ids are in it
    plan      which bytes are a shard, and what the rows above say about it
    mark      each bucket of ids: which of them may occur more than once
    validate  each shard: its winners staged, its contested rows set aside
    settle    each bucket of contested rows, wherever in the file they are
    reject    each shard: its rejected rows written, sorted by line

Every task is a pure function of what it is sent and of objects on S3. It writes under a name of its own
and returns what it wrote. So a task may run twice, or die half-way: what it left is in no list, and never loaded.
The rules are those of one worker: the same functions, called on less.
"""
