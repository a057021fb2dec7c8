"""The host: the run loop, lifecycle, memory tools and events. Enter through `remit.host.runtime`."""
