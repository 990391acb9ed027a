// Where TensorFlow is on this machine. Looks, loads nothing: the extension host asks too.
import { existsSync, readdirSync, readFileSync, statSync } from 'node:fs';
import path from 'node:path';
import * as v from 'valibot';
import { ThawError } from '../protocol/errors.js';
import { cacheFolder } from '../storage/folders.js';
import { ADDON_FILE, LIBRARY_FILES, LIBRARY_FOLDER, TENSORFLOW_VERSION, thisPlatform, type Flavour } from './pins.js';
import { isRecentEnough, OLDEST_TENSORFLOW, packageVersion, tensorflowIn } from './pythonTensorflow.js';

export interface Runtime {
  /** Holds `tensorflow/` with the two libraries, and for CUDA `nvidia/<library>/lib/` beside it. */
  readonly directory: string;
  readonly flavour: Flavour;
  /** `2.21.0`; `unknown` for a configured folder that doesn't say. */
  readonly version: string;
  readonly source: 'cache' | 'configured';
}

export const MANIFEST_FILE = 'runtime.json';
/** Beside it in a CUDA runtime, once a GPU has shown with it that it computes right. */
export const PROOF_FILE = 'proof.json';

/** Written last when a runtime is set up: a folder without it is not one. */
const manifestSchema = v.strictObject({
  schemaVersion: v.literal(1),
  tensorflow: v.pipe(v.string(), v.maxLength(32)),
  flavour: v.picklist(['cpu', 'cuda']),
  wheel: v.strictObject({ file: v.string(), sha256: v.string() }),
  /** The wheels beside TensorFlow's own: NVIDIA's. */
  companions: v.optional(v.pipe(v.array(v.strictObject({ file: v.string(), sha256: v.string() })), v.maxLength(64))),
  files: v.pipe(v.array(v.strictObject({ path: v.string(), bytes: v.number(), sha256: v.string() })), v.maxLength(64)),
});
export type RuntimeManifest = v.InferOutput<typeof manifestSchema>;

/** What a GPU has shown with a CUDA runtime. */
const proofSchema = v.object({
  schemaVersion: v.literal(1),
  /** ISO 8601. */
  provedAt: v.pipe(v.string(), v.maxLength(64)),
  device: v.pipe(v.string(), v.maxLength(1024)),
  driver: v.optional(v.pipe(v.string(), v.maxLength(64))),
  /** Largest relative difference from the CPU, of norms. */
  error: v.number(),
  /** A training step of ResNet18, images/s. */
  gpuImagesPerSecond: v.number(),
  cpuImagesPerSecond: v.number(),
});
export type RuntimeProof = v.InferOutput<typeof proofSchema>;

/** Where the runtimes that Thaw provides lie: a folder for each version, flavour and platform. */
export function providedRuntimeFolder(environment: NodeJS.ProcessEnv = process.env, flavour: Flavour = 'cpu'): string {
  return path.join(cacheFolder(environment), 'runtimes', `tensorflow-${flavour}-${TENSORFLOW_VERSION}-${thisPlatform()}`);
}

/** What a GPU has shown with the runtime in a folder; undefined when none has, or what stands there is no proof. */
export function proofOf(directory: string): RuntimeProof | undefined {
  let text: string;
  try {
    text = readFileSync(path.join(directory, PROOF_FILE), 'utf8');
  } catch {
    return undefined; // not there, or not to be read: not proved
  }
  try {
    const parsed = v.safeParse(proofSchema, JSON.parse(text));
    return parsed.success ? parsed.output : undefined;
  } catch {
    return undefined;
  }
}

/**
 * The runtime to train on, if there is one: the configured folder (machine setting, else `THAW_RUNTIME`), else one in the cache: the CUDA build
 * once a GPU has proved itself with it and unless `THAW_DEVICE` is `cpu`, else the CPU build.
 * @throws ThawError `runtime-not-found` when a folder is configured that holds no TensorFlow, `runtime-too-old` when one before 2.16: another one
 *   is never taken silently
 */
export function findRuntime(options: { configured?: string | undefined; environment?: NodeJS.ProcessEnv } = {}): Runtime | undefined {
  const environment = options.environment ?? process.env;
  const configured = nonEmpty(options.configured) ?? nonEmpty(environment['THAW_RUNTIME']);
  if (configured !== undefined) return configuredRuntime(configured);
  const cuda = environment['THAW_DEVICE'] === 'cpu' ? undefined : providedCuda(environment);
  return cuda?.proof === undefined ? providedRuntime(providedRuntimeFolder(environment)) : cuda.runtime;
}

/** The variables by which training stays off Thaw's own CUDA build, however well a GPU has proved itself with it. */
export function keepsOffCuda(environment: NodeJS.ProcessEnv): readonly ('THAW_RUNTIME' | 'THAW_DEVICE')[] {
  const configured = nonEmpty(environment['THAW_RUNTIME']);
  return [
    ...(configured !== undefined && path.resolve(configured) !== providedRuntimeFolder(environment, 'cuda') ? ['THAW_RUNTIME' as const] : []),
    ...(environment['THAW_DEVICE'] === 'cpu' ? ['THAW_DEVICE' as const] : []),
  ];
}

/** @throws ThawError `runtime-configured` or `cpu-chosen` where setting up a GPU would change nothing */
export function requireCudaUse(environment: NodeJS.ProcessEnv): void {
  const [variable] = keepsOffCuda(environment);
  if (variable === 'THAW_RUNTIME') {
    throw new ThawError(
      'input', 'runtime-configured', `Training would stay on the TensorFlow in ${environment['THAW_RUNTIME'] ?? ''}, which THAW_RUNTIME or the setting thaw.runtimeFolder names`,
      'Unset it, then set up the GPU',
    );
  }
  if (variable === 'THAW_DEVICE') throw new ThawError('input', 'cpu-chosen', 'Training would stay on the CPU, which THAW_DEVICE or the setting thaw.device asks for', 'Unset it, then set up the GPU');
}

/** The CUDA build in the cache, and what a GPU has shown with it. */
export function providedCuda(environment: NodeJS.ProcessEnv): { readonly runtime: Runtime; readonly proof: RuntimeProof | undefined } | undefined {
  const runtime = providedRuntime(providedRuntimeFolder(environment, 'cuda'));
  return runtime === undefined ? undefined : { runtime, proof: proofOf(runtime.directory) };
}

/** The runtime in a folder of the cache; undefined when the folder is missing, unfinished or damaged. */
export function providedRuntime(directory: string): Runtime | undefined {
  const manifest = readManifest(directory);
  if (manifest === undefined || manifest.tensorflow !== TENSORFLOW_VERSION) return undefined;
  const complete = LIBRARY_FILES.every((file) => manifest.files.some((entry) => entry.path === `${LIBRARY_FOLDER}/${file}`))
    && manifest.files.every((entry) => fileSize(path.join(directory, entry.path)) === entry.bytes)
    && existsSync(path.join(directory, LIBRARY_FOLDER, ADDON_FILE));
  return complete ? { directory, flavour: manifest.flavour, version: manifest.tensorflow, source: 'cache' } : undefined;
}

function configuredRuntime(directory: string): Runtime {
  if (!path.isAbsolute(directory)) {
    throw new ThawError('engine', 'runtime-not-found', `The TensorFlow folder is set to ${JSON.stringify(directory)}, which is not an absolute path`, 'Set the whole path of the folder');
  }
  // A Python environment is as good as its site-packages.
  const python = existsSync(path.join(directory, LIBRARY_FOLDER)) ? undefined : tensorflowIn(directory, 'the setting');
  if (python !== undefined) return configuredRuntime(python.directory);
  const missing = LIBRARY_FILES.filter((file) => fileSize(path.join(directory, LIBRARY_FOLDER, file)) === undefined);
  if (missing.length > 0) {
    throw new ThawError(
      'engine',
      'runtime-not-found',
      `The folder that is set for TensorFlow, ${directory}, has no ${missing.map((file) => `${LIBRARY_FOLDER}/${file}`).join(' and no ')}`,
      `Set a folder that holds ${LIBRARY_FOLDER}/ of TensorFlow's package, for a GPU with nvidia/ beside it, or unset it to use the one that Thaw provides`,
    );
  }
  const version = statedVersion(directory);
  if (!isRecentEnough(version)) {
    throw new ThawError(
      'engine', 'runtime-too-old', `The TensorFlow that is set, in ${directory}, is ${version}; Thaw needs ${OLDEST_TENSORFLOW.join('.')} or newer`,
      'Update it (pip install --upgrade tensorflow), or unset the folder to use the one that Thaw provides',
    );
  }
  return { directory, flavour: cudaLibraryFolders(directory).length > 0 ? 'cuda' : 'cpu', version, source: 'configured' };
}

/** `nvidia/<library>/lib` of a runtime folder: what makes it a CUDA one. */
function cudaLibraryFolders(directory: string): string[] {
  const nvidia = path.join(directory, 'nvidia');
  if (!existsSync(nvidia)) return [];
  return readdirSync(nvidia).map((name) => path.join(nvidia, name, 'lib')).filter((folder) => existsSync(folder));
}

/** What the folder says of its version, by our manifest or by the name of a Python package's folder. */
function statedVersion(directory: string): string {
  return readManifest(directory)?.tensorflow ?? packageVersion(directory) ?? 'unknown';
}

function readManifest(directory: string): RuntimeManifest | undefined {
  let text: string;
  try {
    text = readFileSync(path.join(directory, MANIFEST_FILE), 'utf8');
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === 'ENOENT' || code === 'ENOTDIR') return undefined;
    throw new ThawError('engine', 'runtime-unreadable', `${path.join(directory, MANIFEST_FILE)} can't be read: ${(error as Error).message}`, 'Make the file readable, or remove the folder and set up again', { cause: error });
  }
  try {
    const parsed = v.safeParse(manifestSchema, JSON.parse(text));
    return parsed.success ? parsed.output : undefined;
  } catch {
    return undefined; // Not JSON: a damaged runtime, and so none.
  }
}

function fileSize(file: string): number | undefined {
  return statSync(file, { throwIfNoEntry: false })?.size;
}

function nonEmpty(text: string | undefined): string | undefined {
  return text === undefined || text === '' ? undefined : text;
}
