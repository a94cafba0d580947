// Compiles assembly/*.ts and writes what a page loads: src/generated/engine-*.ts, each with the bytes of a module as a
// string of one character a byte. A string inside a script costs some 500 bytes more than a file of its own after
// compression (hexadecimal 900, base64, which hides what repeats, 1,800) and spares the page a request, bundlers a
// special case and Node a reader of files. The .wasm files themselves go to build/.
//
// Character = (byte + 3) mod 256 + 35: the small numbers that WebAssembly is full of become single bytes of UTF-8.
// Does nothing when the outputs were made from the sources as they are.
import { createHash } from 'node:crypto';
import { mkdirSync, readdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { fileURLToPath } from 'node:url';

const room = fileURLToPath(new URL('..', import.meta.url));
const { version } = JSON.parse(
  readFileSync(createRequire(import.meta.url).resolve('assemblyscript/package.json')),
);

/** Modules and the features that they may use. */
const modules = { simd: ['simd'], relaxed: ['simd', 'relaxed-simd'], depthwise: ['simd'], scalar: [] };

function read(path) {
  try {
    return readFileSync(`${room}${path}`, 'utf8');
  } catch {
    return '';
  }
}

/** Digest of all that an output depends on. */
function stamp() {
  const hash = createHash('sha256').update(version);
  for (const name of readdirSync(`${room}assembly`).sort())
    hash.update(name).update(read(`assembly/${name}`));
  return hash.update(read('scripts/build-wasm.js')).digest('hex');
}

const output = (name) => `src/generated/engine-${name}.ts`;
const head = `// Made by scripts/build-wasm.js from ${stamp()}.\n`;
const stale = Object.keys(modules).filter((name) => !read(output(name)).startsWith(head));
if (stale.length > 0) {
  const { default: asc } = await import('assemblyscript/asc');
  mkdirSync(`${room}build`, { recursive: true });
  mkdirSync(`${room}src/generated`, { recursive: true });
  for (const name of stale) {
    const wasm = `build/engine-${name}.wasm`;
    const features = modules[name].flatMap((feature) => ['--enable', feature]);
    // Browsers optimise again: -O3 makes the module larger and no layer more than 3 % faster or slower.
    const options = ['-O1', '--converge', '--runtime', 'stub', '--noAssert', '--importMemory', ...features];
    const { error, stderr } = await asc.main([
      `assembly/${name}.ts`,
      '-o',
      wasm,
      '--baseDir',
      room,
      ...options,
    ]);
    if (error) {
      process.stderr.write(`${stderr}\n${error.message}\n`);
      process.exit(1);
    }
    const bytes = readFileSync(`${room}${wasm}`);
    const constant = `engine${name[0].toUpperCase()}${name.slice(1)}`;
    const characters = Array.from(bytes, (byte) => String.fromCharCode(((byte + 3) & 255) + 35)).join('');
    const text = `${head}/** engine-${name}.wasm, ${bytes.length} bytes. */\nexport const ${constant} =\n  ${JSON.stringify(characters)};\n`;
    // Complete or absent, even when two builds run at once.
    const part = `${room}${output(name)}.${process.pid}`;
    writeFileSync(part, text);
    renameSync(part, `${room}${output(name)}`);
    process.stderr.write(`engine-${name}.wasm: ${bytes.length} bytes\n`);
  }
}
