// The NVIDIA GPUs of this machine, by nvidia-smi: which there are, whether TensorFlow's CUDA build can use them, and which to take. Every way
// in which the tool can be missing, fail or hang has its own sentence.
import { execFile } from 'node:child_process';
import { accessSync, constants, existsSync, readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';

export interface GpuUser {
  readonly pid: number;
  /** The program's file name, without its folder. */
  readonly program: string;
  readonly usedBytes: number | undefined;
}

/** A part of a GPU that was divided by MIG (multi-instance GPU). */
export interface GpuSlice {
  readonly uuid: string;
  /** NVIDIA's word: `3g.20gb`. */
  readonly profile: string;
  readonly memoryBytes: number;
}

export interface NvidiaGpu {
  readonly index: string;
  readonly uuid: string;
  readonly name: string;
  /** `550.54.15` */
  readonly driver: string;
  /** Compute capability, `8.9`; undefined when the driver doesn't say. */
  readonly capability: string | undefined;
  /** Undefined on machines whose GPU shares the processor's memory. */
  readonly memoryBytes: number | undefined;
  readonly usedBytes: number | undefined;
  /** 0 to 1. */
  readonly utilization: number | undefined;
  readonly divided: boolean;
  readonly slices: readonly GpuSlice[];
  readonly users: readonly GpuUser[];
}

/** What stands in the way, in one sentence each. */
export interface GpuProblem {
  readonly code:
    | 'unsupported-platform' | 'no-gpu' | 'no-driver' | 'no-device-nodes' | 'no-nvidia-smi' | 'wsl-no-gpu' | 'nvidia-smi-hangs' | 'driver-mismatch'
    | 'driver-not-running' | 'not-permitted' | 'nvidia-smi-unreadable' | 'nvidia-smi-failed'
    | 'old-driver' | 'low-capability' | 'gpu-full' | 'no-slice' | 'no-such-gpu' | 'hidden';
  /** What is so, without a full stop. */
  readonly message: string;
  /** What to do, without a full stop. */
  readonly next: string;
}

export type GpuReport = { readonly gpus: readonly NvidiaGpu[] } | { readonly problem: GpuProblem };

/** What is asked of the system beside nvidia-smi; tests give their own. */
export interface System {
  readonly platform: NodeJS.Platform;
  exists(file: string): boolean;
  /** Undefined when it can't be read. */
  read(file: string): string | undefined;
  /** Empty when it can't be listed. */
  list(folder: string): readonly string[];
}

const THIS_SYSTEM: System = {
  platform: process.platform,
  exists: existsSync,
  read: (file) => {
    try {
      return readFileSync(file, 'utf8');
    } catch {
      return undefined;
    }
  },
  list: (folder) => {
    try {
      return readdirSync(folder);
    } catch {
      return [];
    }
  },
};

const MIB = 1024 ** 2;
const GIB = 1024 ** 3;
/** For all that nvidia-smi is asked at once: on a machine whose driver hangs it never answers. */
const LIMIT_MS = 5000;
/** CUDA 12 runs on this driver and newer ones (NVIDIA, CUDA compatibility: minor version compatibility). */
const OLDEST_DRIVER = [525, 60] as const;
/** TensorFlow 2.21's CUDA build carries code for sm_60 and later (its own `build_info`); the pinned cuDNN 9.10 runs on these too. */
const LOWEST_CAPABILITY = 6.0;
/** CUDA's context, cuDNN and the smallest training step need about as much; a GPU with less free is full. */
const LEAST_FREE_BYTES = GIB;
const NVIDIA_PCI_VENDOR = '0x10de';
const DISPLAY_CLASS = /^0x03/;
/** Where nvidia-smi lies when PATH doesn't say; the second is WSL's. */
const USUAL_FOLDERS = ['/usr/bin', '/usr/lib/wsl/lib', '/usr/local/nvidia/bin', '/run/current-system/sw/bin'];
const FIELDS = ['index', 'uuid', 'driver_version', 'compute_cap', 'memory.total', 'memory.used', 'utilization.gpu', 'mig.mode.current', 'name'] as const;
const OLD_FIELDS = ['index', 'uuid', 'driver_version', 'memory.total', 'memory.used', 'name'] as const;

/**
 * The NVIDIA GPUs of this machine, or why there are none to be seen. Takes 5 s at most; starts nothing but nvidia-smi.
 * @param environment whose PATH leads to nvidia-smi; relative entries are left out, as they would lead into a workspace
 */
export async function findNvidiaGpus(environment: NodeJS.ProcessEnv, system: System = THIS_SYSTEM, limitMs: number = LIMIT_MS): Promise<GpuReport> {
  if (system.platform === 'darwin') {
    return { problem: { code: 'unsupported-platform', message: 'TensorFlow has no GPU support on macOS in the packages that Thaw uses', next: 'Train on the CPU, or open the folder on a Linux machine with an NVIDIA GPU over SSH' } };
  }
  if (system.platform === 'win32') {
    return { problem: { code: 'unsupported-platform', message: 'TensorFlow has no GPU support on Windows itself', next: 'Open the folder in WSL (Remote - WSL): there Thaw runs on Linux and uses the GPU' } };
  }
  const program = findProgram(environment);
  if (program === undefined) return { problem: withoutTool(system) };
  const deadline = Date.now() + limitMs;
  const ask = (...args: string[]): Promise<Answer> => run(program, args, environment, Math.max(1, deadline - Date.now()));
  const query = (fields: readonly string[]): Promise<Answer> => ask(`--query-gpu=${fields.join(',')}`, '--format=csv,noheader,nounits');
  const [full, list, users] = await Promise.all([
    query(FIELDS),
    ask('-L'),
    ask('--query-compute-apps=gpu_uuid,pid,used_memory,process_name', '--format=csv,noheader,nounits'),
  ]);
  let answer = full;
  let fields: readonly string[] = FIELDS;
  if (answer.failed && /not a valid field/i.test(answer.text)) { // a driver from before these were reported
    fields = OLD_FIELDS;
    answer = await query(fields);
  }
  if (answer.failed) return { problem: problemOf(answer, system, limitMs) };
  const gpus = parseGpus(answer.text, fields, list.failed ? '' : list.text, users.failed ? '' : users.text);
  if (gpus.length > 0) return { gpus };
  if (answer.text.trim() === '' || /no devices were found/i.test(answer.text)) return { problem: withoutDevices(system) };
  return {
    problem: {
      code: 'nvidia-smi-unreadable', message: `nvidia-smi answers something that Thaw can't read: ${JSON.stringify(answer.text.trim().slice(0, 80))}`,
      next: 'Run nvidia-smi in a terminal and reinstall the NVIDIA driver if it complains; report it if it doesn\'t',
    },
  };
}

/** Whether TensorFlow's CUDA build can compute on a GPU now; undefined when it can, as far as can be told without trying. */
export function whyNotUsable(gpu: NvidiaGpu, system: System = THIS_SYSTEM): GpuProblem | undefined {
  const [major = NaN, minor = NaN] = gpu.driver.split('.').map(Number);
  if (major < OLDEST_DRIVER[0] || (major === OLDEST_DRIVER[0] && minor < OLDEST_DRIVER[1])) {
    return {
      code: 'old-driver', message: `The NVIDIA driver ${gpu.driver} is too old for CUDA 12, which needs ${OLDEST_DRIVER.join('.')} or newer`,
      next: isWsl(system) ? 'Update the NVIDIA driver in Windows, then run wsl --shutdown' : 'Update the NVIDIA driver',
    };
  }
  if (gpu.capability !== undefined && Number(gpu.capability) < LOWEST_CAPABILITY) {
    return {
      code: 'low-capability', message: `The ${gpu.name} has compute capability ${gpu.capability}; TensorFlow 2.21 needs ${LOWEST_CAPABILITY.toFixed(1)} (Pascal) or higher`,
      next: 'Train on the CPU, or use a newer GPU',
    };
  }
  if (gpu.divided && gpu.slices.length === 0) {
    return {
      code: 'no-slice', message: `The ${gpu.name} is in MIG mode and has no slice that can be used`,
      next: 'Have its administrator create one (nvidia-smi mig -cgi … -C), or turn MIG mode off',
    };
  }
  const free = freeBytes(gpu);
  if (!gpu.divided && free !== undefined && free < LEAST_FREE_BYTES) {
    return {
      code: 'gpu-full', message: `The ${gpu.name} is full: ${inGib(free)} of ${inGib(gpu.memoryBytes ?? 0)} free${usedBy(gpu)}`,
      next: 'End what uses it, choose another GPU by the setting thaw.gpu, or train on the CPU',
    };
  }
  return undefined;
}

export interface ChosenGpu {
  readonly gpu: NvidiaGpu;
  readonly slice: GpuSlice | undefined;
  /** For `CUDA_VISIBLE_DEVICES`: the UUID, which means the same whatever order CUDA numbers in. */
  readonly visibleDevice: string;
}

export interface WantedGpu {
  /** The setting `thaw.gpu`: an index, or the beginning of a UUID of a GPU or a slice; empty for none. */
  readonly pinned?: string | undefined;
  /** `CUDA_VISIBLE_DEVICES`: only these are looked at, unless one is pinned. */
  readonly visible?: string | undefined;
  /** Takes a full GPU too, for whoever only wants to know which one to wait for. */
  readonly evenFull?: boolean;
}

/**
 * The GPU to compute on: the pinned one, else the one with the most free memory (a tie to the less busy, then the first). Of a divided GPU its
 * largest slice; how full a slice is nvidia-smi doesn't say.
 */
export function chooseGpu(gpus: readonly NvidiaGpu[], wanted: WantedGpu = {}, system: System = THIS_SYSTEM): ChosenGpu | { readonly problem: GpuProblem } {
  const problemWith = (gpu: NvidiaGpu): GpuProblem | undefined => {
    const problem = whyNotUsable(gpu, system);
    return wanted.evenFull === true && problem?.code === 'gpu-full' ? undefined : problem;
  };
  const pinned = wanted.pinned?.trim() ?? '';
  if (pinned !== '') {
    const found = candidates(gpus).filter((candidate) => isMeant(candidate, pinned));
    const [first] = found;
    if (first === undefined) {
      return { problem: { code: 'no-such-gpu', message: `The setting thaw.gpu is ${JSON.stringify(pinned)}, and this machine has no such GPU`, next: `Set one of ${gpus.map(({ index, name }) => `${index} (${name})`).join(', ')}, or leave it empty for the freest` } };
    }
    const problem = problemWith(first.gpu);
    return problem === undefined ? first : { problem };
  }
  let allowed = candidates(gpus);
  if (wanted.visible !== undefined) {
    const names = wanted.visible.split(',').map((name) => name.trim()).filter((name) => name !== '');
    allowed = names.flatMap((name) => allowed.filter((candidate) => isMeant(candidate, name)).slice(0, 1));
    if (allowed.length === 0) {
      return { problem: { code: 'hidden', message: `CUDA_VISIBLE_DEVICES is ${JSON.stringify(wanted.visible)}, which hides every GPU of this machine`, next: 'Unset CUDA_VISIBLE_DEVICES, or name a GPU that nvidia-smi -L lists' } };
    }
  }
  const usable = allowed.filter(({ gpu }) => problemWith(gpu) === undefined);
  const [best] = [...usable].sort((a, b) => room(b) - room(a) || (a.gpu.utilization ?? 0) - (b.gpu.utilization ?? 0));
  if (best !== undefined) return best;
  const problems = (allowed.length > 0 ? allowed.map(({ gpu }) => gpu) : gpus).flatMap((gpu) => problemWith(gpu) ?? []);
  return { problem: problems[0] ?? withoutDevices(system) };
}

/** `NVIDIA GeForce RTX 4090, 24 GiB`, and of a slice `NVIDIA A100, slice 3g.20gb, 20 GiB`. */
export function gpuTitle({ gpu, slice }: Pick<ChosenGpu, 'gpu' | 'slice'>): string {
  const memory = slice?.memoryBytes ?? gpu.memoryBytes;
  return `${gpu.name.startsWith('NVIDIA') ? '' : 'NVIDIA '}${gpu.name}${slice === undefined ? '' : `, slice ${slice.profile}`}${memory === undefined ? '' : `, ${Math.round(memory / GIB)} GiB`}`;
}

/** ` by python (pid 1234), 20.1 GiB`, or nothing when nobody is named. */
export function usedBy({ users }: NvidiaGpu): string {
  if (users.length === 0) return '';
  const named = [...users].sort((a, b) => (b.usedBytes ?? 0) - (a.usedBytes ?? 0)).slice(0, 3)
    .map(({ pid, program, usedBytes }) => `${program} (pid ${pid}${usedBytes === undefined ? '' : `, ${inGib(usedBytes)}`})`);
  return `; used by ${named.join(', ')}${users.length > 3 ? ` and ${users.length - 3} more` : ''}`;
}

export interface GpuSample {
  /** 0 to 1; undefined where the driver doesn't say (MIG). */
  readonly utilization: number | undefined;
  readonly usedBytes: number;
  readonly totalBytes: number;
}

/** How busy and how full a GPU is now; undefined when nvidia-smi doesn't say within its limit. */
export async function sampleGpu(uuid: string, environment: NodeJS.ProcessEnv): Promise<GpuSample | undefined> {
  const program = findProgram(environment);
  if (program === undefined) return undefined;
  const { failed, text } = await run(program, [`--id=${uuid}`, '--query-gpu=utilization.gpu,memory.used,memory.total', '--format=csv,noheader,nounits'], environment, LIMIT_MS);
  if (failed) return undefined;
  const [utilization, used, total] = (text.split('\n')[0] ?? '').split(',').map(numberOf);
  return used === undefined || total === undefined ? undefined : { utilization: utilization === undefined ? undefined : Math.min(1, utilization / 100), usedBytes: used * MIB, totalBytes: total * MIB };
}

interface Answer {
  readonly failed: boolean;
  readonly hung: boolean;
  readonly exit: number | string | undefined;
  readonly text: string;
}

/** By a timer of its own: execFile's waits for the end of what it kills, and a process that waits for a driver that hangs outlives SIGKILL. */
function run(program: string, args: readonly string[], environment: NodeJS.ProcessEnv, limitMs: number): Promise<Answer> {
  return new Promise((resolve) => {
    const child = execFile(program, args, { env: { ...environment, LC_ALL: 'C' }, windowsHide: true, maxBuffer: MIB }, (error, stdout, stderr) => {
      clearTimeout(timer);
      const text = `${stdout}${error === null ? '' : `\n${stderr}`}`;
      resolve({ failed: error !== null, hung: false, exit: error?.code ?? undefined, text });
    });
    const timer = setTimeout(() => {
      resolve({ failed: true, hung: true, exit: undefined, text: '' });
      child.kill('SIGKILL');
      for (const pipe of [child.stdin, child.stdout, child.stderr]) pipe?.destroy();
      child.unref(); // whoever asked may end before it does
    }, limitMs);
  });
}

function findProgram(environment: NodeJS.ProcessEnv): string | undefined {
  const folders = (environment['PATH'] ?? '').split(path.delimiter).filter((folder) => path.isAbsolute(folder));
  return [...folders, ...USUAL_FOLDERS].map((folder) => path.join(folder, 'nvidia-smi')).find(isExecutable);
}

function isExecutable(file: string): boolean {
  try {
    accessSync(file, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}

function isWsl(system: System): boolean {
  return /microsoft/i.test(system.read('/proc/sys/kernel/osrelease') ?? '');
}

function isContainer(system: System): boolean {
  return system.exists('/.dockerenv') || system.exists('/run/.containerenv') || /docker|kubepods|containerd|libpod/.test(system.read('/proc/1/cgroup') ?? '');
}

/** An NVIDIA display adapter on the PCI bus, whatever its driver. */
function hasNvidiaCard(system: System): boolean {
  const bus = '/sys/bus/pci/devices';
  return system.list(bus).some((device) => system.read(`${bus}/${device}/vendor`)?.trim() === NVIDIA_PCI_VENDOR && DISPLAY_CLASS.test(system.read(`${bus}/${device}/class`)?.trim() ?? ''));
}

const NO_GPU: GpuProblem = { code: 'no-gpu', message: 'No NVIDIA GPU found', next: 'Train on the CPU, or open the folder on a machine with an NVIDIA GPU' };
const NO_DEVICE_NODES: GpuProblem = {
  code: 'no-device-nodes', message: 'The machine has an NVIDIA driver, but this container was started without the GPU: /dev/nvidiactl is missing',
  next: 'Start the container with the GPU (docker run --gpus all; in devcontainer.json "runArgs": ["--gpus", "all"] or "hostRequirements": {"gpu": true})',
};

/** Why there is no nvidia-smi. */
function withoutTool(system: System): GpuProblem {
  if (isWsl(system)) {
    return system.exists('/dev/dxg')
      ? { code: 'no-driver', message: 'WSL can reach the GPU, but there is no NVIDIA driver: nvidia-smi is missing', next: 'Install the NVIDIA driver in Windows (not in WSL), then run wsl --shutdown' }
      : { code: 'wsl-no-gpu', message: 'This WSL can\'t reach a GPU: /dev/dxg is missing', next: 'Use WSL 2 (wsl --set-version), run wsl --update, and install the NVIDIA driver in Windows' };
  }
  if (system.exists('/proc/driver/nvidia/version')) {
    if (!system.exists('/dev/nvidiactl')) return NO_DEVICE_NODES;
    return {
      code: 'no-nvidia-smi', message: 'The NVIDIA driver is loaded, but nvidia-smi is not on this machine',
      next: isContainer(system) ? 'Start the container with NVIDIA_DRIVER_CAPABILITIES=compute,utility' : 'Install the driver\'s utilities (Debian: nvidia-smi; Ubuntu: nvidia-utils), or add its folder to PATH',
    };
  }
  if (hasNvidiaCard(system)) return { code: 'no-driver', message: 'The machine has an NVIDIA GPU, but its driver is not loaded', next: `Install the NVIDIA driver ${OLDEST_DRIVER.join('.')} or newer, then restart the machine` };
  return NO_GPU;
}

/** nvidia-smi ran and listed none. */
function withoutDevices(system: System): GpuProblem {
  if (!isWsl(system) && system.exists('/proc/driver/nvidia/version') && !system.exists('/dev/nvidiactl')) return NO_DEVICE_NODES;
  return NO_GPU;
}

/** What nvidia-smi's failure means, by its words and its exit code (man nvidia-smi, RETURN VALUE). */
function problemOf({ hung, exit, text }: Answer, system: System, limitMs: number): GpuProblem {
  const restart = isWsl(system) ? 'Run wsl --shutdown in Windows, then open the folder again' : 'Restart the machine';
  if (hung) return { code: 'nvidia-smi-hangs', message: `nvidia-smi gave no answer within ${limitMs / 1000} s: the NVIDIA driver hangs`, next: restart };
  if (exit === 18 || /version mismatch/i.test(text)) return { code: 'driver-mismatch', message: 'The NVIDIA driver was updated and the old one is still loaded (driver/library version mismatch)', next: restart };
  if (/no devices were found/i.test(text)) return withoutDevices(system);
  if (!isWsl(system) && system.exists('/proc/driver/nvidia/version') && !system.exists('/dev/nvidiactl')) return NO_DEVICE_NODES;
  if (exit === 4 || /insufficient permissions/i.test(text)) return { code: 'not-permitted', message: 'This user may not use the NVIDIA GPU: nvidia-smi says insufficient permissions', next: 'Ask the administrator for access to /dev/nvidia* (often the group video or render)' };
  if (exit === 9 || exit === 12 || /couldn't communicate with the nvidia driver|libnvidia-ml/i.test(text)) {
    return isContainer(system)
      ? { code: 'no-device-nodes', message: 'nvidia-smi is here, but this container has no NVIDIA driver: it was started without the GPU', next: NO_DEVICE_NODES.next }
      : { code: 'driver-not-running', message: 'nvidia-smi can\'t reach the NVIDIA driver: it is not loaded', next: 'Install the driver again (after a kernel update its module has to be built anew), then restart the machine' };
  }
  if (exit === 15 || /gpu is lost|fallen off the bus/i.test(text)) return { code: 'driver-not-running', message: 'The NVIDIA GPU was lost: the driver can\'t reach it any more', next: restart };
  const words = text.trim().split('\n')[0]?.trim().slice(0, 200) ?? '';
  return {
    code: 'nvidia-smi-failed', message: `nvidia-smi failed${typeof exit === 'number' ? ` with ${exit}` : ''}${words === '' ? '' : `: ${words.replace(/\.+$/, '')}`}`,
    next: 'Run nvidia-smi in a terminal: what it says has to be put right first',
  };
}

/** @param fields the columns of `text`, the name last */
function parseGpus(text: string, fields: readonly string[], list: string, users: string): NvidiaGpu[] {
  const slices = parseSlices(list);
  const apps = parseUsers(users);
  return text.split('\n').flatMap((line): NvidiaGpu[] => {
    const cells = line.split(',').map((cell) => cell.trim());
    if (cells.length < fields.length) return [];
    const cell = (name: string): string | undefined => {
      const at = fields.indexOf(name);
      const value = at < 0 ? undefined : name === 'name' ? cells.slice(at).join(', ') : cells[at];
      return value === undefined || /^\[.*\]$|^N\/A$|^$/.test(value) ? undefined : value;
    };
    const [index, uuid, driver, name] = [cell('index'), cell('uuid'), cell('driver_version'), cell('name')];
    if (index === undefined || !/^\d+$/.test(index) || uuid === undefined || driver === undefined || !/^\d+\./.test(driver) || name === undefined) return [];
    const bytes = (column: string): number | undefined => {
      const mebibytes = numberOf(cell(column));
      return mebibytes === undefined ? undefined : mebibytes * MIB;
    };
    const utilization = numberOf(cell('utilization.gpu'));
    const capability = cell('compute_cap');
    return [{
      index, uuid, name, driver,
      capability: capability !== undefined && /^\d+\.\d+$/.test(capability) ? capability : undefined,
      memoryBytes: bytes('memory.total'), usedBytes: bytes('memory.used'),
      utilization: utilization === undefined ? undefined : Math.min(1, utilization / 100),
      divided: cell('mig.mode.current') === 'Enabled', slices: slices.get(uuid) ?? [], users: apps.get(uuid) ?? [],
    }];
  });
}

/** `nvidia-smi -L`: a line for each GPU, and indented below it one for each slice. */
function parseSlices(text: string): Map<string, GpuSlice[]> {
  const result = new Map<string, GpuSlice[]>();
  let current: GpuSlice[] = [];
  for (const line of text.split('\n')) {
    const gpu = /^GPU \d+:.*\(UUID: (GPU-[\w-]+)\)/.exec(line)?.[1];
    if (gpu !== undefined) result.set(gpu, current = []);
    const [, profile, gigabytes, uuid] = /^\s+MIG (\S*?(\d+)gb\S*)\s+Device\s+\d+:\s+\(UUID: (MIG-[\w/-]+)\)/.exec(line) ?? [];
    if (profile !== undefined && uuid !== undefined) current.push({ uuid, profile, memoryBytes: Number(gigabytes) * GIB });
  }
  return result;
}

function parseUsers(text: string): Map<string, GpuUser[]> {
  const result = new Map<string, GpuUser[]>();
  for (const line of text.split('\n')) {
    const [uuid, pid, mebibytes, ...program] = line.split(',').map((cell) => cell.trim());
    if (uuid === undefined || pid === undefined || !/^\d+$/.test(pid)) continue;
    const used = numberOf(mebibytes);
    const users = result.get(uuid) ?? [];
    users.push({ pid: Number(pid), program: path.basename(program.join(', ')) || 'a process', usedBytes: used === undefined ? undefined : used * MIB });
    result.set(uuid, users);
  }
  return result;
}

function numberOf(text: string | undefined): number | undefined {
  return text === undefined || !/^\s*\d+(?:\.\d+)?\s*$/.test(text) ? undefined : Number(text);
}

function freeBytes(gpu: NvidiaGpu): number | undefined {
  return gpu.memoryBytes === undefined || gpu.usedBytes === undefined ? undefined : gpu.memoryBytes - gpu.usedBytes;
}

/** Every device that can be named: whole GPUs, and the slices of divided ones, the largest first. */
function candidates(gpus: readonly NvidiaGpu[]): ChosenGpu[] {
  return gpus.flatMap((gpu): ChosenGpu[] => {
    if (!gpu.divided || gpu.slices.length === 0) return [{ gpu, slice: undefined, visibleDevice: gpu.uuid }];
    return [...gpu.slices].sort((a, b) => b.memoryBytes - a.memoryBytes).map((slice) => ({ gpu, slice, visibleDevice: slice.uuid }));
  });
}

function isMeant({ gpu, slice }: ChosenGpu, name: string): boolean {
  return gpu.index === name || (/^GPU-/.test(name) && gpu.uuid.startsWith(name)) || (/^MIG-/.test(name) && slice?.uuid.startsWith(name) === true);
}

function room({ gpu, slice }: ChosenGpu): number {
  return slice?.memoryBytes ?? freeBytes(gpu) ?? 0;
}

function inGib(bytes: number): string {
  return `${(bytes / GIB).toFixed(1)} GiB`;
}
