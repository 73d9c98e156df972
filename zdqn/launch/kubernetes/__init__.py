"""A run on Kubernetes, as text: what ``kubectl apply -f -`` takes. Nothing here starts anything."""
