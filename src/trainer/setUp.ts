// Set-up: TensorFlow and the weights, by one path for the terminal, the editor and the repository's own scripts; and taking it away again.
import { lstat, rm, stat } from 'node:fs/promises';
import path from 'node:path';
import { freeBytes } from '../dataset/diskSpace.js';
import { chooseDevice } from '../engine/device.js';
import { canFetchNode, otherNodes, type OtherNodesOptions } from '../engine/otherNodes.js';
import { NODE_PINS, pinsFor, sizesOf, type Flavour } from '../engine/pins.js';
import { providedNodeFolder, rememberProgram, thisHost } from '../engine/program.js';
import { isBroken, provideRuntime, wheelFolder, type SelfCheck, type SetUpProgress } from '../engine/provide.js';
import { providedCuda, providedRuntimeFolder, requireCudaUse, type Runtime, type RuntimeProof } from '../engine/runtime.js';
import { formatBytes } from '../metrics/format.js';
import type { WeightsFile } from '../network/weights/cache.js';
import { provideWeights } from '../network/weights/provide.js';
import { DEFAULT_BACKBONE } from '../protocol/run.js';
import { ThawError } from '../protocol/errors.js';
import { filesBelow } from '../storage/filesBelow.js';
import { cacheFolder } from '../storage/folders.js';
import { proveGpu, recordProof, withdrawProof } from './gpuProof.js';

export interface SetUpOptions {
  readonly environment: NodeJS.ProcessEnv;
  /** `gpu`: the CUDA build, and its proof on this machine's GPU. Default: the CPU build, or whatever is there and trained on. */
  readonly device?: 'cpu' | 'gpu' | undefined;
  /** A folder with wheels that were fetched elsewhere. */
  readonly from?: string | undefined;
  /** In a desktop: whether a Node may be fetched, where neither the editor's own program nor a Node on PATH loads TensorFlow. */
  readonly fetchNode?: boolean;
  readonly signal?: AbortSignal;
  /** Once before something is fetched for a GPU, after it was seen that there is one. */
  readonly onPlan?: (plan: SetUpPlan) => void;
  readonly onProgress?: (report: SetUpProgress) => void;
}

export interface SetUpPlan {
  readonly downloadBytes: number;
  readonly keptBytes: number;
  readonly folder: string;
  readonly freeBytes: number;
}

export interface SetUpResult {
  readonly runtime: Runtime;
  readonly weights: WeightsFile;
  /** Of `device: 'gpu'`. */
  readonly proof?: RuntimeProof;
}

/**
 * Fetches what is missing of TensorFlow and the weights; seconds when nothing is. For a GPU: looks whether there is one that can be used before
 * it fetches, and whether training would use it, and proves it afterwards; what was trained on before stays until then.
 * @throws ThawError of kind `engine`: what `provideRuntime` and `proveGpu` throw; of a GPU that can't be used its problem's own code; as `requireCudaUse`; in a desktop
 *   `editor-cannot-load` when a Node must be fetched and may not
 */
export async function setUp(options: SetUpOptions): Promise<SetUpResult> {
  const { signal, onProgress, from, device } = options;
  const environment = device === 'cpu' ? { ...options.environment, THAW_DEVICE: 'cpu' } : options.environment;
  const shared = { environment, from, ...(signal !== undefined && { signal }), ...(onProgress !== undefined && { onProgress }) };
  const host = thisHost();
  const script = path.join(__dirname, 'trainer.js');
  let execPath: string | undefined;
  let triedAnother = false;
  const selfCheck: SelfCheck = {
    execPath: host.execPath, script,
    ...(host.electron !== undefined && { others: () => inElectronsPlace({ ...shared, fetch: options.fetchNode === true }, () => { triedAnother = true; }) }),
    onPassed: (passed) => { execPath = passed; },
  };
  const provide = async (flavour: Flavour): Promise<Runtime> => {
    try {
      const runtime = await provideRuntime({ ...shared, addon: path.join(__dirname, 'tfjs_binding.node'), selfCheck, ...(flavour === 'cuda' && { flavour }) });
      if (execPath !== undefined) await rememberProgram(host, execPath, { script, runtime: runtime.directory }, environment);
      return runtime;
    } catch (error) {
      // Where another Node can't load it either, it is TensorFlow that is broken, and a fetched one would not help.
      throw host.electron !== undefined && !triedAnother && canFetchNode() && isBroken(error) ? new ThawError(
        'engine', 'editor-cannot-load', error.message, `Run Thaw: Set Up Engine, which asks whether to fetch a Node to train with (${formatBytes(NODE_PINS.wheel.bytes)})`, { cause: error },
      ) : error;
    }
  };
  if (device !== 'gpu') {
    const runtime = await provide('cpu');
    return { runtime, weights: await provideWeights(DEFAULT_BACKBONE, shared) };
  }
  pinsFor('cuda'); // an unsupported platform says so before anything is looked for
  requireCudaUse(environment);
  const gpu = await chooseDevice('gpu', { ...environment, THAW_DEVICE: 'gpu' });
  if (gpu.problem !== undefined && gpu.visibleDevices === '-1') throw new ThawError('engine', gpu.problem.code, gpu.problem.message, gpu.problem.next);
  if (providedCuda(environment) === undefined) options.onPlan?.(await setUpPlan('gpu', environment));
  const weights = await provideWeights(DEFAULT_BACKBONE, shared); // the small part first: what is missing from a folder is said at once
  const runtime = await provide('cuda');
  try {
    const proof = await proveGpu(runtime.directory, {
      ...shared, execPath: execPath ?? host.execPath, script, environment: { ...environment, ...(gpu.chosen !== undefined && { THAW_GPU: gpu.chosen.visibleDevice }) },
    });
    return { runtime, weights, proof: await recordProof(runtime, proof, gpu.chosen?.gpu.driver) };
  } catch (error) {
    // What computes wrong, or not at all any more, is trained on no longer.
    if (error instanceof ThawError && (error.code === 'gpu-wrong' || error.code === 'gpu-failed')) await withdrawProof(runtime);
    throw error;
  }
}

/** The Nodes that are tried in the place of the editor's own program, each said. */
async function* inElectronsPlace(options: OtherNodesOptions, onTry: () => void): AsyncGenerator<string> {
  for await (const node of otherNodes(options)) {
    onTry();
    options.onProgress?.({ message: `The editor's own program can't load TensorFlow; trying Node, ${node}` });
    yield node;
  }
}

/** What a set-up for a device fetches if nothing is there, where it keeps it, and what room there is. @throws ThawError `unsupported-platform` */
export async function setUpPlan(device: 'cpu' | 'gpu', environment: NodeJS.ProcessEnv): Promise<SetUpPlan> {
  const { downloadBytes, keptBytes } = sizesOf(pinsFor(device === 'gpu' ? 'cuda' : 'cpu'));
  const folder = cacheFolder(environment);
  return { downloadBytes, keptBytes, folder, freeBytes: await freeBytes(folder) };
}

/**
 * Removes what set-ups have fetched: TensorFlow, the weights, and what is left of downloads; of `gpu` the CUDA build alone. Images, features, runs
 * and a TensorFlow of the person's own stay.
 * @returns the bytes that this frees
 */
export async function removeSetUp(environment: NodeJS.ProcessEnv, device?: 'cpu' | 'gpu'): Promise<number> {
  const cache = cacheFolder(environment);
  const folders = device === 'gpu' ? [providedRuntimeFolder(environment, 'cuda'), wheelFolder(environment)]
    : device === 'cpu' ? [providedRuntimeFolder(environment, 'cpu'), wheelFolder(environment)]
    : ['runtimes', 'wheels', 'weights', 'build'].map((name) => path.join(cache, name));
  let freed = 0;
  for (const folder of folders) {
    freed += await sizeBelow(folder);
    await rm(folder, { recursive: true, force: true, maxRetries: 3 }); // of a link the link alone
  }
  return freed;
}

/** Bytes of what set-ups keep: TensorFlow by flavour, and everything else (weights, downloads, headers, a Node). */
export async function setUpBytes(environment: NodeJS.ProcessEnv): Promise<{ readonly cpu: number; readonly cuda: number; readonly other: number }> {
  const [cpu, cuda] = await Promise.all((['cpu', 'cuda'] as const).map((flavour) => sizeBelow(providedRuntimeFolder(environment, flavour))));
  const folders = ['wheels', 'weights', 'build'].map((name) => path.join(cacheFolder(environment), name));
  const other = await Promise.all([...folders, providedNodeFolder(environment)].map(sizeBelow));
  return { cpu: cpu ?? 0, cuda: cuda ?? 0, other: other.reduce((sum, bytes) => sum + bytes, 0) };
}

/** Whether the CUDA build is here and waits for its proof. */
export function waitsForProof(environment: NodeJS.ProcessEnv): boolean {
  const cuda = providedCuda(environment);
  return cuda !== undefined && cuda.proof === undefined;
}

/** Bytes of the files below a folder; a link counts nothing, as removing it frees nothing. */
async function sizeBelow(folder: string): Promise<number> {
  const found = await lstat(folder).catch(() => undefined); // not there
  if (found?.isDirectory() !== true) return 0;
  let bytes = 0;
  for await (const name of filesBelow(folder)) bytes += await stat(path.join(folder, name)).then(({ size }) => size, () => 0); // removed meanwhile
  return bytes;
}
