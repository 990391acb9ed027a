// Python environments with TensorFlow as pip leaves them, and a stand-in for VS Code's Python extension that has one of them selected.
import { mkdirSync, symlinkSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { LIBRARY_FILES, LIBRARY_FOLDER, TENSORFLOW_VERSION } from '../../src/engine/pins.js';
import { findRuntime } from '../../src/engine/runtime.js';

/** Makes an environment whose libraries are links to those of this machine's runtime; returns its folder. */
export function makePythonEnvironment(environment: string, version = TENSORFLOW_VERSION): string {
  const runtime = findRuntime();
  if (runtime === undefined) throw new Error('TensorFlow is not on this machine');
  const packages = path.join(environment, 'lib', 'python3.12', 'site-packages');
  mkdirSync(path.join(packages, LIBRARY_FOLDER), { recursive: true });
  for (const file of LIBRARY_FILES) symlinkSync(path.join(runtime.directory, LIBRARY_FOLDER, file), path.join(packages, LIBRARY_FOLDER, file));
  mkdirSync(path.join(packages, `tensorflow_cpu-${version}.dist-info`));
  return environment;
}

/**
 * Writes an extension `ms-python.python` with the part of its API that tells what is selected, as that extension documents it, and as lazy as it
 * is: active only once a Python file is open, or somebody asks. Returns its folder.
 */
export function pretendPythonExtension(folder: string, selected: string): string {
  mkdirSync(folder, { recursive: true });
  const manifest = {
    publisher: 'ms-python', name: 'python', displayName: 'Python', version: '2026.1.0', engines: { vscode: '^1.100.0' }, main: './main.js',
    activationEvents: ['onLanguage:python'], extensionKind: ['workspace'],
  };
  writeFileSync(path.join(folder, 'package.json'), JSON.stringify(manifest));
  writeFileSync(path.join(folder, 'main.js'), `
const selected = ${JSON.stringify(selected)};
exports.activate = () => ({ environments: {
  getActiveEnvironmentPath: () => ({ id: selected, path: selected + '/bin/python' }),
  async resolveEnvironment(which) {
    if (which.id !== selected) return undefined;
    return { id: selected, path: which.path, executable: { uri: undefined, bitness: '64-bit', sysPrefix: selected }, environment: undefined, version: undefined, tools: [] };
  },
} });
`);
  return folder;
}
