// Set Up GPU… and Use Existing TensorFlow…: which TensorFlow trains. A GPU that could be set up is offered once; nothing is fetched unasked.
import { realpathSync } from 'node:fs';
import path from 'node:path';
import * as v from 'valibot';
import * as vscode from 'vscode';
import { freeBytes } from '../dataset/diskSpace.js';
import { chooseGpu, findNvidiaGpus, gpuTitle, type ChosenGpu, type GpuProblem } from '../engine/nvidia.js';
import { pinsFor, sizesOf } from '../engine/pins.js';
import { isRecentEnough, namedTensorflows, OLDEST_TENSORFLOW, tensorflowIn, type PythonTensorflow } from '../engine/pythonTensorflow.js';
import { findRuntime, keepsOffCuda, providedCuda, requireCudaUse } from '../engine/runtime.js';
import { formatBytes, formatSpeed } from '../metrics/format.js';
import { ThawError } from '../protocol/errors.js';
import { cacheFolder } from '../storage/folders.js';
import { CANCELLED, runCliWithProgress } from './cliProgress.js';
import type { CommandHandlers } from './commandTable.js';
import { plainText, sentences } from './plainText.js';
import type { Services } from './services.js';
import { requireTrust } from './trust.js';

const OFFERED = 'thaw.gpuOffered';
/** Set while a GPU is there that could be set up: the welcome view offers it. */
const CAN_SET_UP = 'thaw.canSetUpGpu';

const provedLine = v.object({
  type: v.literal('result'),
  proof: v.object({ device: v.string(), gpuImagesPerSecond: v.number(), cpuImagesPerSecond: v.number() }),
});

export function register(context: vscode.ExtensionContext, services: Services): CommandHandlers<'thaw.setUpGpu' | 'thaw.useTensorflow'> {
  void offerOnce(context, services).catch((error: unknown) => { services.log.warn(`No look for a GPU: ${error instanceof Error ? error.message : String(error)}`); });
  return {
    'thaw.setUpGpu': () => setUpGpu(services),
    'thaw.useTensorflow': () => useTensorflow(services),
  };
}

/** The GPU that training would use, or why none. */
async function findGpu(environment: NodeJS.ProcessEnv): Promise<ChosenGpu | { readonly problem: GpuProblem }> {
  const report = await findNvidiaGpus(environment);
  return 'problem' in report ? report : chooseGpu(report.gpus, { pinned: environment['THAW_GPU'], visible: environment['CUDA_VISIBLE_DEVICES'] });
}

/** Whether training runs on the CPU build that Thaw provides (or will, once it is set up), and nobody chose the CPU. */
function isOnCpuBuild(environment: NodeJS.ProcessEnv): boolean {
  if (environment['THAW_DEVICE'] === 'cpu') return false;
  const runtime = findRuntime({ environment });
  return runtime === undefined || (runtime.source === 'cache' && runtime.flavour === 'cpu');
}

/** Looks for a GPU that isn't used; says so once in a person's life with Thaw, and lets the welcome view offer it. */
async function offerOnce(context: vscode.ExtensionContext, services: Services): Promise<void> {
  const environment = services.installation.environment();
  if (!isOnCpuBuild(environment) || !isSupported()) return;
  const gpu = await findGpu(environment);
  if ('problem' in gpu) return;
  await vscode.commands.executeCommand('setContext', CAN_SET_UP, true);
  if (context.globalState.get<boolean>(OFFERED) === true) return;
  await context.globalState.update(OFFERED, true);
  const setUp = vscode.l10n.t('Set Up GPU…');
  const question = vscode.l10n.t('This machine has an {0}. Thaw trains on the CPU until its GPU is set up.', plainText(gpuTitle(gpu)));
  if (await vscode.window.showInformationMessage(question, setUp, vscode.l10n.t('Not Now')) === setUp) await vscode.commands.executeCommand('thaw.setUpGpu');
}

function isSupported(): boolean {
  try {
    pinsFor('cuda');
    return true;
  } catch {
    return false; // the command itself says why
  }
}

/** The settings that keep training off the GPU, by the variables that carry them. */
const IN_THE_WAY = { THAW_RUNTIME: 'runtimeFolder', THAW_DEVICE: 'device' } as const;

/** Asks with sizes, folder and room; fetches, proves, and says how fast the GPU is. Settings that would keep training elsewhere go at the end. True when the GPU is ready. */
async function setUpGpu({ installation, log }: Services): Promise<boolean> {
  const pins = pinsFor('cuda');
  const settings = keepsOffCuda(installation.environment());
  const withoutThem = (): NodeJS.ProcessEnv => ({ ...installation.environment(), ...Object.fromEntries(settings.map((name) => [name, process.env[name]])) });
  const environment = withoutThem();
  requireCudaUse(environment); // what a variable says no setting takes back
  const gpu = await findGpu(environment);
  if ('problem' in gpu) throw new ThawError('engine', gpu.problem.code, gpu.problem.message, gpu.problem.next);
  const { downloadBytes, keptBytes } = sizesOf(pins);
  const folder = cacheFolder(environment);
  const here = providedCuda(environment) !== undefined;
  const detail = [
    here ? vscode.l10n.t('TensorFlow for NVIDIA GPUs is here. The GPU is compared with the CPU again; that takes a minute.')
      : vscode.l10n.t('Downloads {0} (TensorFlow 2.21 for CUDA 12 and NVIDIA\'s libraries) and keeps {1} in {2}, where {3} are free; while it unpacks it needs {4}.', formatBytes(downloadBytes), formatBytes(keptBytes), plainText(folder), formatBytes(await freeBytes(folder)), formatBytes(downloadBytes + keptBytes)),
    settings.length === 0 ? vscode.l10n.t('Training stays on the CPU until the GPU has computed what the CPU computes. Training on a GPU is untested on hardware.')
      : vscode.l10n.t('Training stays where it is until the GPU has computed what the CPU computes. Training on a GPU is untested on hardware.'),
    ...settings.map((name) => (name === 'THAW_DEVICE' ? vscode.l10n.t('The setting thaw.device keeps training on the CPU. It is cleared once the GPU is ready.')
      : vscode.l10n.t('The setting thaw.runtimeFolder keeps training on the TensorFlow in {0}. It is cleared once the GPU is ready.', plainText(installation.environment()[name] ?? '', 4096)))),
  ].join('\n\n');
  const setUp = settings.length > 0 ? (here ? vscode.l10n.t('Prove, Then Clear Setting') : vscode.l10n.t('Set Up, Then Clear Setting'))
    : here ? vscode.l10n.t('Prove') : vscode.l10n.t('Set Up');
  if (await vscode.window.showInformationMessage(vscode.l10n.t('Set up training on the {0}?', plainText(gpuTitle(gpu))), { modal: true, detail }, setUp) !== setUp) return false;
  const outcome = await runCliWithProgress({ ...installation, ...installation.own, environment: withoutThem }, log, vscode.l10n.t('Setting up the GPU'), ['setup', '--device', 'gpu', '--json']);
  if (outcome === CANCELLED) {
    log.info('Set-up of the GPU cancelled; what was fetched is kept for the next time.');
    return false;
  }
  const { proof } = v.parse(provedLine, outcome);
  for (const name of settings) await vscode.workspace.getConfiguration('thaw').update(IN_THE_WAY[name], undefined, vscode.ConfigurationTarget.Global);
  await vscode.commands.executeCommand('setContext', CAN_SET_UP, false);
  void vscode.window.showInformationMessage(vscode.l10n.t('{0} is ready: ResNet18 trains at {1}, {2} times this CPU.', plainText(proof.device), formatSpeed(proof.gpuImagesPerSecond), (proof.gpuImagesPerSecond / proof.cpuImagesPerSecond).toFixed(1)));
  return true;
}

/** Offers the TensorFlows of Python environments, and Thaw's own; the choice is a setting of this machine. */
async function useTensorflow({ installation, log }: Services): Promise<string | undefined> {
  if (!await requireTrust()) return undefined;
  const own = { label: vscode.l10n.t('Thaw\'s own'), detail: vscode.l10n.t('TensorFlow 2.21, as Set Up Engine and Set Up GPU fetch it'), folder: '' };
  const browse = { label: `$(folder-opened) ${vscode.l10n.t('Choose an environment…')}`, detail: vscode.l10n.t('The folder of a virtual or conda environment with TensorFlow {0} or newer', OLDEST_TENSORFLOW.join('.')), folder: undefined };
  const items = foundTensorflows(installation.environment(), log).then((found): (vscode.QuickPickItem & { folder: string | undefined })[] => [
    ...found.map(({ version, flavour, environment, foundBy }) => ({ label: `TensorFlow ${version ?? ''} (${flavour})`, description: foundBy, detail: plainText(environment), folder: environment })), own, browse,
  ]);
  const picked = await vscode.window.showQuickPick(items, { title: vscode.l10n.t('Use Existing TensorFlow'), placeHolder: vscode.l10n.t('Which TensorFlow trains') });
  if (picked === undefined) return undefined;
  const folder = picked.folder ?? await browseEnvironment();
  if (folder === undefined) return undefined;
  if (folder !== '' && !await mayUse(folder)) return undefined;
  await vscode.workspace.getConfiguration('thaw').update('runtimeFolder', folder === '' ? undefined : folder, vscode.ConfigurationTarget.Global);
  log.info(folder === '' ? 'Trains with Thaw\'s own TensorFlow' : `Trains with the TensorFlow in ${folder}`);
  return folder;
}

async function browseEnvironment(): Promise<string | undefined> {
  const [chosen] = await vscode.window.showOpenDialog({ canSelectFiles: false, canSelectFolders: true, openLabel: vscode.l10n.t('Use') }) ?? [];
  if (chosen === undefined) return undefined;
  const tensorflow = tensorflowIn(chosen.fsPath, '');
  if (tensorflow === undefined) throw new ThawError('engine', 'runtime-not-found', vscode.l10n.t('{0} holds no TensorFlow that Thaw can use', plainText(chosen.fsPath)), vscode.l10n.t('Choose the folder of a Python environment with TensorFlow {0} or newer', OLDEST_TENSORFLOW.join('.')));
  if (!isRecentEnough(tensorflow.version)) throw new ThawError('engine', 'runtime-too-old', vscode.l10n.t('TensorFlow {0} is too old', tensorflow.version ?? ''), vscode.l10n.t('Choose an environment with TensorFlow {0} or newer', OLDEST_TENSORFLOW.join('.')));
  return chosen.fsPath;
}

/** An environment inside the workspace came with the workspace: its library runs as the person, so its whole path is shown and asked about. */
async function mayUse(folder: string): Promise<boolean> {
  if (!liesInWorkspace(folder)) return true;
  const use = vscode.l10n.t('Use It');
  const detail = sentences(plainText(folder, 4096), vscode.l10n.t('It lies inside this workspace. Its libraries will run with your rights at every training, in every workspace'));
  return await vscode.window.showWarningMessage(vscode.l10n.t('Use the TensorFlow of this folder?'), { modal: true, detail }, use) === use;
}

/** By its name, or by where it really is: a workspace may be opened through a link, and a link in it may lead anywhere. */
function liesInWorkspace(folder: string): boolean {
  const holds = (parent: string, child: string): boolean => child === parent || child.startsWith(parent + path.sep);
  return (vscode.workspace.workspaceFolders ?? []).some(({ uri: { fsPath } }) => holds(fsPath, path.resolve(folder)) || holds(realPath(fsPath), realPath(folder)));
}

function realPath(file: string): string {
  try {
    return realpathSync(file);
  } catch {
    return path.resolve(file); // not there, or not to be looked at: the name is all there is
  }
}

/** By VS Code's Python extension, `VIRTUAL_ENV` and `CONDA_PREFIX`; each once, the too old ones left out. */
async function foundTensorflows(environment: NodeJS.ProcessEnv, log: vscode.LogOutputChannel): Promise<PythonTensorflow[]> {
  const active = await activePythonEnvironment().catch((error: unknown) => {
    log.warn(`The Python extension doesn't say which environment is selected: ${error instanceof Error ? error.message : String(error)}`);
    return undefined;
  });
  const all = [...(active === undefined ? [] : [tensorflowIn(active, vscode.l10n.t('selected in the Python extension'))]), ...namedTensorflows(environment)];
  const seen = new Set<string>();
  return all.flatMap((each) => {
    if (each === undefined || seen.has(each.directory) || !isRecentEnough(each.version)) return [];
    seen.add(each.directory);
    return [each];
  });
}

const pythonApi = v.object({ environments: v.object({ getActiveEnvironmentPath: v.function(), resolveEnvironment: v.function() }) });
const resolved = v.object({ executable: v.object({ sysPrefix: v.string() }) });

/** What the Python extension has selected, if it is there. It knows once it is active, which it may not be before a Python file is opened. */
async function activePythonEnvironment(): Promise<string | undefined> {
  const exported = await vscode.extensions.getExtension<unknown>('ms-python.python')?.activate();
  const api = v.safeParse(pythonApi, exported);
  if (!api.success) return undefined;
  const { environments } = exported as { environments: { getActiveEnvironmentPath(): unknown; resolveEnvironment(path: unknown): Promise<unknown> } };
  const found = v.safeParse(resolved, await environments.resolveEnvironment(environments.getActiveEnvironmentPath()));
  return found.success ? found.output.executable.sysPrefix : undefined;
}
