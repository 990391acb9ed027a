// Pythons for tests that compare with Python's libraries.
import assert from 'node:assert/strict';
import { execFile, spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { promisify } from 'node:util';

const execute = promisify(execFile);
const VENV = path.resolve('out', 'python');
const ONNX = 'onnx==1.23.2';

/** THAW_TEST_PYTHON, else the PATH's python3, if it has the modules; undefined otherwise. */
export function pythonWith(...modules: readonly string[]): string | undefined {
  const named = process.env['THAW_TEST_PYTHON'];
  const found = [...(named === undefined ? [] : [named]), 'python3'].find((python) => imports(python, modules));
  assert.ok(named === undefined || found === named, `THAW_TEST_PYTHON, ${String(named)}, lacks one of ${modules.join(', ')}`);
  return found;
}

/** A Python with PyPI's `onnx`: one that is there, else a venv in out/, which is kept. Undefined where it can't be had, which in CI is a failure. */
export async function pythonWithOnnx(): Promise<string | undefined> {
  const there = ['python3', path.join(VENV, 'bin', 'python'), process.env['THAW_TEST_PYTHON'] ?? 'python3'].find((python) => imports(python, ['onnx']));
  if (there !== undefined) return there;
  try {
    rmSync(VENV, { recursive: true, force: true });
    mkdirSync(path.dirname(VENV), { recursive: true });
    await execute('python3', ['-m', 'venv', VENV]);
    await execute(path.join(VENV, 'bin', 'python'), ['-m', 'pip', 'install', '--quiet', ONNX]);
    return path.join(VENV, 'bin', 'python');
  } catch (error) {
    assert.notEqual(process.env['CI'], 'true', String(error));
    return undefined;
  }
}

/** Runs a script with arguments; what it prints last, as JSON. Nothing is written beside what it imports. */
export async function runPython(python: string, script: string, args: readonly string[]): Promise<unknown> {
  const { stdout } = await execute(python, ['-B', '-c', script, ...args], { maxBuffer: 256 * 2 ** 20 });
  return JSON.parse(stdout.trim().split('\n').at(-1) ?? '');
}

/** Writes an export's files to a folder, as the export job does. */
export function writeFiles(folder: string, files: ReadonlyMap<string, Uint8Array>): string {
  mkdirSync(folder, { recursive: true });
  for (const [name, bytes] of files) writeFileSync(path.join(folder, name), bytes);
  return folder;
}

function imports(python: string, modules: readonly string[]): boolean {
  if (path.isAbsolute(python) && !existsSync(python)) return false;
  // Found, not imported: PyTorch takes seconds to load.
  const script = `import sys, importlib.util\nsys.exit(0 if all(importlib.util.find_spec(name) for name in sys.argv[1:]) else 1)`;
  return spawnSync(python, ['-I', '-c', script, ...modules], { stdio: 'ignore', timeout: 30_000 }).status === 0;
}

/** Probabilities `[images][classes]` by the exported `predict.py` of each folder, of pixels `[images, size, size, 3]` in a file of bytes. */
export async function predictedBy(python: string, folders: readonly { readonly folder: string; readonly pixels: string }[]): Promise<number[][][]> {
  const script = `
import importlib.util, json, sys
import numpy as np
results = []
for folder, pixels in zip(sys.argv[1::2], sys.argv[2::2]):
    spec = importlib.util.spec_from_file_location("predict", folder + "/predict.py")
    predict = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(predict)
    network, labels = predict.load_network()
    images = np.fromfile(pixels, np.uint8).reshape(-1, predict.SIZE, predict.SIZE, 3)
    results.append(np.concatenate([predict.classify(network, images[i:i + 16]).double().numpy() for i in range(0, len(images), 16)]).tolist())
print(json.dumps(results))
`;
  return await runPython(python, script, folders.flatMap(({ folder, pixels }) => [folder, pixels])) as number[][][];
}

/** Fails unless the standard's own checker passes the model, shapes inferred. */
export async function checkOnnx(python: string, file: string): Promise<void> {
  const script = 'import onnx, sys\nonnx.checker.check_model(onnx.load(sys.argv[1]), full_check=True)\nprint("true")';
  assert.equal(await runPython(python, script, [file]), true);
}
