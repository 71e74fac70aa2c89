#!/usr/bin/env bash
# onnxruntime-web's ort.wasm.bundle.min.mjs is the build that holds its loader, so that a page needs only the .wasm beside
# it. In Node.js, which takes the same file for `onnxruntime-web/wasm`, it says "no available backend found", as if there
# were no wasm, for two other reasons:
#
# 1. It counts the processor's cores by a `require` that modules do not have. Setting env.wasm.numThreads avoids this.
# 2. It does not use the loader that it holds, but imports ort-wasm-simd-threaded.mjs from its own folder. Where only
#    bundle and .wasm were copied, as for a page, that file is missing.
#
# So what works in a browser fails in the test or server that runs the same files in Node.js. If the behaviour is another,
# CHANGED is printed and the exit status is 1.
#
# Output (Node.js 20):
# onnxruntime-web 1.30.0
# in the package, threads not set  Dynamic require of "node:os" is not supported
# in the package, one thread       -3
# bundle and .wasm copied          Cannot find module ort-wasm-simd-threaded.mjs
# and the .mjs                     -3
set -euo pipefail
here=$(mktemp -d)
trap 'rm -rf "$here"' EXIT
cd "$here"
npm init --yes >/dev/null
npm install --silent --ignore-scripts --no-audit --no-fund onnxruntime-web@1.30.0
package=node_modules/onnxruntime-web
version() { node -p "JSON.parse(require('fs').readFileSync('$package/package.json')).version"; }
echo "onnxruntime-web $(version)"

cat > negate.mjs <<'NODE'
// Compute -x by a model of one operator, with the bundle at the given address and so many threads.
const [, , address, threads] = process.argv;
const ort = await import(address);
if (threads) ort.env.wasm.numThreads = Number(threads);
const model = Buffer.from("CAg6MgoLCgF4EgF5IgNOZWcSAWdaDwoBeBIKCggIARIECgIIAWIPCgF5EgoKCAgBEgQKAggBQgQKABAN", "base64");
try {
    const session = await ort.InferenceSession.create(new Uint8Array(model));
    const { y } = await session.run({ x: new ort.Tensor("float32", [3], [1]) });
    console.log(y.data[0]);
} catch ({ message }) {
    const missing = message.match(/Cannot find module '.*\/(.*)' imported/);
    const dynamic = message.match(/Dynamic require of "[^"]*" is not supported/);
    console.log(missing ? `Cannot find module ${missing[1]}` : dynamic ? dynamic[0] : message);
}
NODE
mkdir copied
cp "$package"/dist/{ort.wasm.bundle.min.mjs,ort-wasm-simd-threaded.wasm} copied
whole="$PWD/$package/dist/ort.wasm.bundle.min.mjs"
default=$(node negate.mjs "$whole")
in_package=$(node negate.mjs "$whole" 1)
copied=$(node negate.mjs "$PWD/copied/ort.wasm.bundle.min.mjs" 1)
cp "$package/dist/ort-wasm-simd-threaded.mjs" copied
complete=$(node negate.mjs "$PWD/copied/ort.wasm.bundle.min.mjs" 1)
printf '%-32s %s\n' 'in the package, threads not set' "$default" 'in the package, one thread' "$in_package" \
    'bundle and .wasm copied' "$copied" 'and the .mjs' "$complete"
seen="$default|$in_package|$copied|$complete"
if [[ "$seen" != 'Dynamic require of "node:os" is not supported|-3|Cannot find module ort-wasm-simd-threaded.mjs|-3' ]]; then
    echo CHANGED
    exit 1
fi
