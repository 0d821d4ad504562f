"""The node in a hospital's network: receive studies, have them segmented, send results back."""
