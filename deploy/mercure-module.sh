#!/bin/sh -eu
# mercure's module: the images of a series in MERCURE_IN_DIR, results into MERCURE_OUT_DIR.
work=$(mktemp -d)
brainmets segment "$MERCURE_IN_DIR" --out "$work/result"
brainmets export "$work/result" --format sr --source "$MERCURE_IN_DIR" --out "$work/objects"
cp "$work"/objects/*.dcm "$MERCURE_OUT_DIR"
