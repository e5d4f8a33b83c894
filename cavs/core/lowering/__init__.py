"""From IR to programs: which nodes need memory, as which values, by which instructions."""
