// The doctor: each part that training needs, with its state and, where it isn't well, what to do. Fit to be copied into a bug report.
import { existsSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { ContentCache } from '../dataset/contentCache.js';
import { freeBytes } from '../dataset/diskSpace.js';
import { checkGlibc, systemGlibc } from '../engine/glibc.js';
import { loadEngine } from '../engine/load.js';
import { chooseGpu, findNvidiaGpus, gpuTitle, usedBy } from '../engine/nvidia.js';
import { ADDON_FILE, LIBRARY_FOLDER, PLATFORMS, pinsFor, thisPlatform, whereInstead } from '../engine/pins.js';
import { describePython } from '../engine/pipWheel.js';
import { isRecentEnough, namedTensorflows } from '../engine/pythonTensorflow.js';
import { findRuntime, providedCuda, type Runtime } from '../engine/runtime.js';
import { formatBytes, formatSpeed } from '../metrics/format.js';
import { findWeights } from '../network/weights/cache.js';
import { DEFAULT_BACKBONE } from '../protocol/run.js';
import { ThawError } from '../protocol/errors.js';
import { cacheFolder } from '../storage/folders.js';
import { cacheCapBytes, configuredThreads } from './environment.js';
import { setUpBytes } from './setUp.js';
import { THAW_VERSION } from './version.js';

export interface Check {
  readonly name: string;
  readonly state: 'ok' | 'warning' | 'missing';
  readonly detail: string;
  /** Of what is missing: that setting up the engine brings it. Of all else `detail` says what to do. */
  readonly setUpBrings?: true;
}

/** Examines the machine; loads the engine to see what it really computes on. Never throws for what it finds. Details hold whole paths. */
export async function examine(environment: NodeJS.ProcessEnv): Promise<Check[]> {
  const cache = cacheFolder(environment);
  const electron = process.versions['electron'];
  const checks: Check[] = [
    { name: 'Thaw', state: 'ok', detail: THAW_VERSION },
    { name: 'Node', state: 'ok', detail: `${process.versions.node}${electron === undefined ? '' : `, Electron ${electron}`}` },
    platform(),
    glibc(),
  ];
  const engine = await examineEngine(environment);
  const ready = engine.every(({ state }) => state === 'ok');
  checks.push(await attempt('Python', async () => ({ state: 'ok', detail: await describePython(environment) }), ready ? 'warning' : 'missing'));
  checks.push(...engine, ...await examineGpu(environment));
  checks.push({ name: 'GPU training', state: 'warning', detail: 'Training on a GPU is untested on hardware' });
  checks.push(await attempt('Weights', () => {
    const weights = findWeights(DEFAULT_BACKBONE, environment);
    return weights === undefined
      ? { state: 'missing', detail: `The ImageNet weights of ${DEFAULT_BACKBONE} are not on this machine. Run \`thaw setup\`, or Thaw: Set Up Engine`, setUpBrings: true }
      : { state: 'ok', detail: `${weights.name}, SHA-256 ${weights.sha256.slice(0, 12)}…` };
  }));
  checks.push(await attempt('Cache', async () => {
    const images = new ContentCache({ folder: path.join(cache, 'images'), capBytes: cacheCapBytes(environment) });
    const { cpu, cuda, other } = await setUpBytes(environment);
    const kept = [
      `images and features ${formatBytes(await images.size())} of at most ${formatBytes(cacheCapBytes(environment))}`,
      `TensorFlow ${formatBytes(cpu)}`, ...(cuda > 0 ? [`for NVIDIA GPUs ${formatBytes(cuda)}`] : []), `weights and downloads ${formatBytes(other)}`,
    ];
    return { state: 'ok', detail: `${kept.join(', ')}, in ${cache}` };
  }));
  checks.push(await attempt('Disk', async () => {
    const free = await freeBytes(cache);
    return { state: free < 2 * 1024 ** 3 ? 'warning' : 'ok', detail: `${formatBytes(free)} free` };
  }));
  return checks;
}

/** The same without a private path: what is known by name is named, of any other path its last part stays. */
export function withoutPaths(checks: readonly Check[], environment: NodeJS.ProcessEnv): Check[] {
  const known: readonly (readonly [string | undefined, string])[] = [
    [environment['THAW_RUNTIME'], 'THAW_RUNTIME'], [environment['VIRTUAL_ENV'], 'VIRTUAL_ENV'], [environment['CONDA_PREFIX'], 'CONDA_PREFIX'],
    [cacheFolder(environment), '<cache>'], [environment['HOME'], '~'], [os.homedir(), '~'], [process.cwd(), '.'],
  ];
  return checks.map((check) => {
    let { detail } = check;
    for (const [folder, name] of known) if (folder !== undefined && path.isAbsolute(folder) && folder !== path.parse(folder).root) detail = detail.replaceAll(folder, name);
    return { ...check, detail: detail.replaceAll(/(?<![\w.~>/])(?:[A-Za-z]:)?[\\/](?:[^\s\\/,;:'"()]+[\\/])+([^\s\\/,;:'"()]*)/g, '…/$1') };
  });
}

function platform(): Check {
  const row = PLATFORMS[thisPlatform()];
  const detail = `${thisPlatform()}, ${os.release()}`;
  if (row?.cpu.state === 'tested') return { name: 'Platform', state: 'ok', detail: `${detail}; on a CPU ${row.cpu.state}, on an NVIDIA GPU ${row.cuda.state}` };
  const reason = row !== undefined && 'reason' in row.cpu ? row.cpu.reason : 'nobody has tried Thaw here';
  return { name: 'Platform', state: 'missing', detail: `${detail}: ${reason}. ${whereInstead()}` };
}

function glibc(): Check {
  const name = 'C library';
  if (process.platform !== 'linux') return { name, state: 'ok', detail: 'not asked on this system' };
  const version = systemGlibc();
  try {
    const [{ wheel }] = pinsFor().packages;
    if (wheel.platforms !== 'any') checkGlibc(wheel.platforms, `TensorFlow ${wheel.version}`, version);
    return { name, state: 'ok', detail: `glibc ${version ?? 'of unknown version'}` };
  } catch (error) {
    return failed(name, error, 'missing');
  }
}

/** TensorFlow and the addon, and what they compute on when they are loaded. */
async function examineEngine(environment: NodeJS.ProcessEnv): Promise<Check[]> {
  let runtime: Runtime | undefined;
  try {
    runtime = findRuntime({ environment });
    if (runtime === undefined) {
      pinsFor('cpu'); // where set-up would find nothing to fetch, that is said instead
      return [{ name: 'Engine', state: 'missing', detail: 'TensorFlow is not on this machine. Run `thaw setup`, or Thaw: Set Up Engine', setUpBrings: true }];
    }
    const engine = await loadEngine({ environment, threads: configuredThreads(environment) });
    const { device } = engine;
    return [
      { name: 'Engine', state: 'ok', detail: `TensorFlow ${engine.tensorflowVersion} (${runtime.flavour}), ${runtime.source === 'cache' ? 'provided by Thaw' : runtime.flavour === 'cuda' ? 'your own and not proved on a GPU' : 'your own'}, in ${runtime.directory}` },
      addon(runtime),
      { name: 'Device', state: 'ok', detail: device.reason === undefined ? device.name : `${device.name}: ${device.reason}` },
    ];
  } catch (error) {
    return [failed('Engine', error, 'missing'), ...(runtime === undefined ? [] : [addon(runtime)])];
  }
}

function addon(runtime: Runtime): Check {
  const carried = path.join(__dirname, ADDON_FILE);
  const beside = path.join(runtime.directory, LIBRARY_FOLDER, ADDON_FILE);
  const where = [...(existsSync(carried) ? ['with Thaw\'s program'] : []), ...(existsSync(beside) ? ['beside TensorFlow'] : [])];
  return where.length > 0 ? { name: 'Addon', state: 'ok', detail: `${ADDON_FILE}, ${where.join(' and ')}` } : { name: 'Addon', state: 'missing', detail: `${ADDON_FILE} is missing. Install Thaw again, or build it` };
}

/** Driver, GPU, the CUDA build and other TensorFlows: a machine without a GPU is well. */
async function examineGpu(environment: NodeJS.ProcessEnv): Promise<Check[]> {
  const checks: Check[] = [];
  const report = await findNvidiaGpus(environment);
  const state = environment['THAW_DEVICE'] === 'gpu' ? 'missing' : 'warning';
  if ('problem' in report) {
    const { code, message, next } = report.problem;
    checks.push({ name: 'GPU', state: code === 'no-gpu' && state === 'warning' ? 'ok' : state, detail: code === 'no-gpu' && state === 'warning' ? message : `${message}. ${next}` });
  } else {
    const [first] = report.gpus;
    checks.push({ name: 'Driver', state: 'ok', detail: `NVIDIA ${first?.driver ?? 'of unknown version'}` });
    const chosen = chooseGpu(report.gpus, { pinned: environment['THAW_GPU'], visible: environment['CUDA_VISIBLE_DEVICES'] });
    if ('problem' in chosen) checks.push({ name: 'GPU', state, detail: `${chosen.problem.message}. ${chosen.problem.next}` });
    for (const gpu of report.gpus) {
      const use = gpu.usedBytes === undefined || gpu.memoryBytes === undefined ? '' : `, ${formatBytes(gpu.memoryBytes - gpu.usedBytes)} free`;
      const taken = !('problem' in chosen) && chosen.gpu === gpu && report.gpus.length > 1 ? ', the one that is used' : '';
      checks.push({
        name: `GPU ${gpu.index}`, state: 'ok',
        detail: `${gpuTitle({ gpu, slice: undefined })}, compute capability ${gpu.capability ?? 'unknown'}${use}${gpu.divided ? `, divided (MIG) into ${gpu.slices.map(({ profile }) => profile).join(', ') || 'nothing'}` : ''}${taken}${usedBy(gpu)}`,
      });
    }
  }
  const cuda = providedCuda(environment);
  if (cuda !== undefined) {
    const { proof } = cuda;
    checks.push(proof === undefined
      ? { name: 'CUDA build', state: 'warning', detail: 'It is here, and no GPU has proved itself with it yet. Run `thaw setup --device gpu`, or Thaw: Set Up GPU' }
      : { name: 'CUDA build', state: 'ok', detail: `Proved ${proof.provedAt.slice(0, 10)} on ${proof.device}: largest difference from the CPU ${proof.error.toExponential(1)}, ResNet18 at ${formatSpeed(proof.gpuImagesPerSecond)}, ${(proof.gpuImagesPerSecond / proof.cpuImagesPerSecond).toFixed(1)} times the CPU` });
  }
  for (const { version, flavour, foundBy, environment: folder } of namedTensorflows(environment)) {
    if (environment['THAW_RUNTIME'] === folder || !isRecentEnough(version)) continue;
    checks.push({ name: 'Also here', state: 'ok', detail: `TensorFlow ${version ?? 'of unknown version'} (${flavour}) in ${foundBy}, ${folder}; THAW_RUNTIME or the setting thaw.runtimeFolder would use it` });
  }
  return checks;
}

async function attempt(name: string, look: () => Omit<Check, 'name'> | Promise<Omit<Check, 'name'>>, state: Check['state'] = 'missing'): Promise<Check> {
  try {
    return { name, ...await look() };
  } catch (error) {
    return failed(name, error, state);
  }
}

function failed(name: string, error: unknown, state: Check['state']): Check {
  if (error instanceof ThawError) return { name, state, detail: `${error.message}. ${error.next}` };
  throw error;
}
