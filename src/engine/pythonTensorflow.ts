// TensorFlow in a Python environment of the person's own: found where environments are named, looked at, never run.
import { existsSync, readdirSync, statSync } from 'node:fs';
import path from 'node:path';
import { LIBRARY_FILES, LIBRARY_FOLDER } from './pins.js';

/** The addon ran on 2.16.2 and on 2.21; TensorFlow before 2.16 was not tried. */
export const OLDEST_TENSORFLOW = [2, 16] as const;

export interface PythonTensorflow {
  /** The environment's folder: `/home/me/venv`. */
  readonly environment: string;
  /** Its site-packages, which is laid out as a runtime folder is. */
  readonly directory: string;
  /** `2.21.0`; undefined when no package says. */
  readonly version: string | undefined;
  readonly flavour: 'cpu' | 'cuda';
  /** How it was found: `VIRTUAL_ENV`, or what the caller said. */
  readonly foundBy: string;
}

/** The TensorFlow that a Python environment holds, with the libraries that Thaw needs; undefined when it holds none. Looks at names only. */
export function tensorflowIn(environment: string, foundBy: string): PythonTensorflow | undefined {
  if (!path.isAbsolute(environment)) return undefined;
  for (const directory of sitePackages(environment)) {
    if (!LIBRARY_FILES.every((file) => isFile(path.join(directory, LIBRARY_FOLDER, file)))) continue;
    const flavour = existsSync(path.join(directory, 'nvidia', 'cuda_runtime', 'lib')) ? 'cuda' : 'cpu';
    return { environment, directory, version: packageVersion(directory), flavour, foundBy };
  }
  return undefined;
}

/** The environments that variables name (`VIRTUAL_ENV`, `CONDA_PREFIX`) and that hold a TensorFlow. */
export function namedTensorflows(environment: NodeJS.ProcessEnv): PythonTensorflow[] {
  return ['VIRTUAL_ENV', 'CONDA_PREFIX'].flatMap((name) => tensorflowIn(environment[name] ?? '', name) ?? []);
}

/** Whether a version is one that the addon can be expected to run on; an unknown one is let through to the self-check. */
export function isRecentEnough(version: string | undefined): boolean {
  const [major, minor] = (version ?? '').split('.').map(Number);
  if (major === undefined || minor === undefined || Number.isNaN(major) || Number.isNaN(minor)) return true;
  return major > OLDEST_TENSORFLOW[0] || (major === OLDEST_TENSORFLOW[0] && minor >= OLDEST_TENSORFLOW[1]);
}

/** The version by the name of the package's `.dist-info`: `tensorflow`, `tensorflow-cpu`, `tensorflow-gpu`. */
export function packageVersion(directory: string): string | undefined {
  return names(directory).map((name) => /^tensorflow(?:_cpu|_gpu)?-([\w.]+)\.dist-info$/.exec(name)?.[1]).find((version) => version !== undefined);
}

function sitePackages(environment: string): string[] {
  const folders = ['lib', 'lib64'].map((lib) => path.join(environment, lib));
  return folders.flatMap((lib) => names(lib).filter((name) => /^python3\.\d+$/.test(name)).map((name) => path.join(lib, name, 'site-packages')));
}

function names(folder: string): string[] {
  try {
    return readdirSync(folder);
  } catch {
    return []; // not there, or not to be listed: holds nothing for us
  }
}

function isFile(file: string): boolean {
  return statSync(file, { throwIfNoEntry: false })?.isFile() === true;
}
