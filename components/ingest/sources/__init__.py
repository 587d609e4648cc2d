"""Where rows come from: folders, tables, labels, URIs."""
