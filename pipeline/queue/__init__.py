"""The queue: lanes of segments between the producers and the writer."""
