"""Plain frozen data: architectures, spaces, protocols, records, names, documented numbers. Needs nothing but Python."""
