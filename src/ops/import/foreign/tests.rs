//! Every reader, on data as the tools write them.
