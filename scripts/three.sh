#!/bin/sh
# The parts of three.js that the pages of reports use, as one script: scripts/three.sh FOLDER
# installs three 0.187.0 and esbuild 0.28.2 from npm into FOLDER.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
page="$here/../src/scorefold/report/explore/page"
mkdir -p "$1"
cd "$1"
npm install --no-save --ignore-scripts three@0.187.0 esbuild@0.28.2
cp "$here/three.mjs" .
node_modules/@esbuild/*/bin/esbuild three.mjs --bundle --minify --format=iife \
  --global-name=THREE --target=es2020 --outfile="$page/three.min.js"
cp node_modules/three/LICENSE "$page/three.LICENSE.txt"
