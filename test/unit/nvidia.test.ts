// What is said of NVIDIA GPUs, with a stand-in for nvidia-smi on PATH and a stand-in for the system's files: no GPU is needed, or looked for.
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { chmodSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, test } from 'node:test';
import { build } from 'esbuild';
import { chooseDevice, describeDevice } from '../../src/engine/device.js';
import { chooseGpu, findNvidiaGpus, gpuTitle, sampleGpu, usedBy, whyNotUsable, type GpuReport, type NvidiaGpu, type System } from '../../src/engine/nvidia.js';
import { ThawError } from '../../src/protocol/errors.js';
import { GpuSampler } from '../../src/trainer/gpuSampler.js';

let folder: string;
beforeEach(() => { folder = mkdtempSync(path.join(tmpdir(), 'thaw-nvidia-')); });
afterEach(() => { rmSync(folder, { recursive: true, force: true }); });

/** A Linux with these files, and nothing else. */
function system(files: Readonly<Record<string, string>> = {}, platform: NodeJS.Platform = 'linux'): System {
  return {
    platform,
    exists: (file) => Object.hasOwn(files, file),
    read: (file) => (Object.hasOwn(files, file) ? files[file] : undefined),
    list: (place) => [...new Set(Object.keys(files).filter((file) => file.startsWith(`${place}/`)).map((file) => file.slice(place.length + 1).split('/')[0]!))],
  };
}

const WSL = { '/proc/sys/kernel/osrelease': '5.15.153.1-microsoft-standard-WSL2\n' };
const DRIVER = { '/proc/driver/nvidia/version': 'NVRM version: NVIDIA UNIX x86_64 Kernel Module  550.54.15' };
const CARD = { '/sys/bus/pci/devices/0000:01:00.0/vendor': '0x10de\n', '/sys/bus/pci/devices/0000:01:00.0/class': '0x030000\n' };
const AUDIO = { '/sys/bus/pci/devices/0000:01:00.1/vendor': '0x10de\n', '/sys/bus/pci/devices/0000:01:00.1/class': '0x040300\n' };

/** PATH with an nvidia-smi of this shell script and the machine's own programs behind it. */
function tool(script: string): NodeJS.ProcessEnv {
  const bin = path.join(folder, 'bin');
  mkdirSync(bin, { recursive: true });
  writeFileSync(path.join(bin, 'nvidia-smi'), `#!/bin/sh\n${script}\n`);
  chmodSync(path.join(bin, 'nvidia-smi'), 0o755);
  return { PATH: `${bin}:/usr/bin:/bin` };
}

/** nvidia-smi as drivers since 525 print. */
function answers({ gpus, list = '', users = '' }: { gpus: string; list?: string; users?: string }): string {
  return `case "$*" in\n*--query-gpu=index*) cat <<'GPUS'\n${gpus}\nGPUS\n;;\n-L) cat <<'LIST'\n${list}\nLIST\n;;\n*compute-apps*) cat <<'USERS'\n${users}\nUSERS\n;;\n*) exit 2;;\nesac`;
}

// index, uuid, driver_version, compute_cap, memory.total, memory.used, utilization.gpu, mig.mode.current, name
const RTX = '0, GPU-1111-aa, 550.54.15, 8.9, 24564, 564, 3, [N/A], NVIDIA GeForce RTX 4090';
const T4 = '1, GPU-2222-bb, 550.54.15, 7.5, 15360, 15000, 97, [N/A], Tesla T4';

function gpusOf(report: GpuReport): readonly NvidiaGpu[] {
  assert.ok('gpus' in report, JSON.stringify(report));
  return report.gpus;
}

async function problem(environment: NodeJS.ProcessEnv, files: Readonly<Record<string, string>> = {}, platform?: NodeJS.Platform): Promise<{ code: string; message: string; next: string }> {
  const report = await findNvidiaGpus(environment, system(files, platform), 3000);
  assert.ok('problem' in report, JSON.stringify(report));
  const { code, message, next } = report.problem;
  for (const sentence of [message, next]) assert.match(sentence, /^[A-Za-z].*[^.\s]$/s, 'a sentence without its full stop');
  return { code, message, next };
}

test('two GPUs, who uses them, how full they are', async () => {
  const environment = tool(answers({
    gpus: `${RTX}\n${T4}`,
    list: 'GPU 0: NVIDIA GeForce RTX 4090 (UUID: GPU-1111-aa)\nGPU 1: Tesla T4 (UUID: GPU-2222-bb)',
    users: 'GPU-2222-bb, 4711, 14000, /home/somebody/secret/bin/python3\nGPU-2222-bb, 4712, [N/A], [Not Found]',
  }));
  const gpus = gpusOf(await findNvidiaGpus(environment, system()));
  assert.deepEqual(gpus[0], {
    index: '0', uuid: 'GPU-1111-aa', name: 'NVIDIA GeForce RTX 4090', driver: '550.54.15', capability: '8.9', memoryBytes: 24_564 * 2 ** 20, usedBytes: 564 * 2 ** 20,
    utilization: 0.03, divided: false, slices: [], users: [],
  });
  assert.equal(usedBy(gpus[1]!), '; used by python3 (pid 4711, 13.7 GiB), [Not Found] (pid 4712)');
  assert.equal(whyNotUsable(gpus[0], system()), undefined);
  const full = whyNotUsable(gpus[1]!, system());
  assert.equal(full?.code, 'gpu-full');
  assert.match(full.message, /0\.4 GiB of 15\.0 GiB free; used by python3 \(pid 4711/);
  assert.doesNotMatch(full.message, /secret/);
});

test('the freest GPU is chosen, the setting pins one, CUDA_VISIBLE_DEVICES narrows', async () => {
  const third = '2, GPU-3333-cc, 550.54.15, 8.0, 40960, 100, 0, Disabled, NVIDIA A100-SXM4-40GB';
  const fourth = '3, GPU-4444-dd, 550.54.15, 8.0, 40960, 100, 60, Disabled, NVIDIA A100-SXM4-40GB';
  const gpus = gpusOf(await findNvidiaGpus(tool(answers({ gpus: [RTX, T4, fourth, third].join('\n') })), system()));
  const chosen = (wanted: Parameters<typeof chooseGpu>[1]): string => {
    const found = chooseGpu(gpus, wanted, system());
    return 'problem' in found ? found.problem.code : found.visibleDevice;
  };
  assert.equal(chosen({}), 'GPU-3333-cc', 'of two as empty the idle one');
  assert.equal(chosen({ pinned: '0' }), 'GPU-1111-aa');
  assert.equal(chosen({ pinned: 'GPU-1111' }), 'GPU-1111-aa');
  assert.equal(chosen({ pinned: '1' }), 'gpu-full', 'a pinned one is not replaced');
  assert.equal(chosen({ pinned: '1', evenFull: true }), 'GPU-2222-bb');
  assert.equal(chosen({ pinned: '7' }), 'no-such-gpu');
  assert.equal(chosen({ visible: '0,1' }), 'GPU-1111-aa');
  assert.equal(chosen({ visible: 'GPU-4444-dd' }), 'GPU-4444-dd');
  assert.equal(chosen({ visible: '' }), 'hidden');
  assert.equal(chosen({ visible: '-1' }), 'hidden');
  assert.equal(chosen({ visible: '1' }), 'gpu-full');
});

test('a divided GPU gives its largest slice; one without slices says so', async () => {
  const a100 = '0, GPU-3333-cc, 550.54.15, 8.0, 40960, 20, [N/A], Enabled, NVIDIA A100-SXM4-40GB';
  const list = `GPU 0: NVIDIA A100-SXM4-40GB (UUID: GPU-3333-cc)
  MIG 1g.5gb      Device  0: (UUID: MIG-aaaa-1)
  MIG 3g.20gb     Device  1: (UUID: MIG-bbbb-2)`;
  const gpus = gpusOf(await findNvidiaGpus(tool(answers({ gpus: a100, list })), system()));
  const found = chooseGpu(gpus, {}, system());
  assert.ok(!('problem' in found));
  assert.equal(found.visibleDevice, 'MIG-bbbb-2');
  assert.equal(gpuTitle(found), 'NVIDIA A100-SXM4-40GB, slice 3g.20gb, 20 GiB');
  const pinned = chooseGpu(gpus, { pinned: 'MIG-aaaa-1' }, system());
  assert.equal('problem' in pinned ? pinned.problem.code : pinned.slice?.profile, '1g.5gb');
  const undivided = gpusOf(await findNvidiaGpus(tool(answers({ gpus: a100 })), system()));
  assert.equal(whyNotUsable(undivided[0]!, system())?.code, 'no-slice');
});

test('an old driver and an old GPU are told by their numbers', async () => {
  const gpu = async (line: string): Promise<NvidiaGpu> => gpusOf(await findNvidiaGpus(tool(answers({ gpus: line })), system()))[0]!;
  const old = await gpu(RTX.replace('550.54.15', '525.59.99'));
  assert.equal(whyNotUsable(old, system())?.code, 'old-driver');
  assert.match(whyNotUsable(old, system())!.message, /525\.59\.99 is too old for CUDA 12, which needs 525\.60/);
  assert.match(whyNotUsable(old, system(WSL))!.next, /in Windows/);
  assert.equal(whyNotUsable(await gpu(RTX.replace('550.54.15', '525.60.13')), system()), undefined);
  assert.equal(whyNotUsable(await gpu(RTX.replace('550.54.15', '1000.1')), system()), undefined);
  const kepler = whyNotUsable(await gpu('0, GPU-5, 550.54.15, 3.5, 12288, 0, 0, [N/A], Tesla K40c'), system());
  assert.equal(kepler?.code, 'low-capability');
  assert.match(kepler.message, /Tesla K40c has compute capability 3\.5/);
  assert.equal(whyNotUsable(await gpu('0, GPU-6, 550.54.15, 12.0, 12288, 0, 0, [N/A], RTX 5070'), system()), undefined, 'two digits are more than one');
  // Memory shared with the processor: the driver gives no number.
  const shared = await gpu('0, GPU-7, 580.1, 12.1, [N/A], [N/A], 0, [N/A], NVIDIA GB10');
  assert.equal(shared.memoryBytes, undefined);
  assert.equal(whyNotUsable(shared, system()), undefined);
  assert.equal(gpuTitle({ gpu: shared, slice: undefined }), 'NVIDIA GB10');
});

test('a driver from before compute_cap was reported is asked again, and found too old', async () => {
  const environment = tool(`case "$*" in *compute_cap*) echo 'Field "compute_cap" is not a valid field to query.'; exit 2;; *--query-gpu=index*) echo '0, GPU-1, 460.91.03, 11178, 10, GeForce GTX 1080 Ti';; *) exit 0;; esac`);
  const [gpu] = gpusOf(await findNvidiaGpus(environment, system()));
  assert.equal(gpu?.name, 'GeForce GTX 1080 Ti');
  assert.equal(whyNotUsable(gpu, system())?.code, 'old-driver');
});

test('without nvidia-smi the system\'s files say why', { skip: existsSync('/usr/bin/nvidia-smi') ? 'this machine has nvidia-smi' : false }, async () => {
  const none = { PATH: path.join(folder, 'empty') };
  assert.equal((await problem(none)).code, 'no-gpu');
  assert.equal((await problem(none, AUDIO)).code, 'no-gpu', 'a sound device is no GPU');
  assert.equal((await problem(none, { ...AUDIO, ...CARD })).code, 'no-driver');
  assert.equal((await problem(none, { ...CARD, ...DRIVER })).code, 'no-device-nodes');
  assert.match((await problem(none, { ...CARD, ...DRIVER })).next, /--gpus all/);
  assert.equal((await problem(none, { ...CARD, ...DRIVER, '/dev/nvidiactl': '' })).code, 'no-nvidia-smi');
  assert.match((await problem(none, { ...DRIVER, '/dev/nvidiactl': '', '/.dockerenv': '' })).next, /NVIDIA_DRIVER_CAPABILITIES/);
  assert.equal((await problem(none, { ...WSL })).code, 'wsl-no-gpu');
  assert.equal((await problem(none, { ...WSL, '/dev/dxg': '' })).code, 'no-driver');
  assert.match((await problem(none, { ...WSL, '/dev/dxg': '' })).next, /in Windows \(not in WSL\)/);
});

test('Windows and macOS are told what to do, without asking any tool', async () => {
  const environment = tool('touch ran; exit 0');
  assert.match((await problem(environment, {}, 'win32')).next, /WSL/);
  assert.match((await problem(environment, {}, 'darwin')).message, /macOS/);
});

test('every failure of nvidia-smi has its sentence', async () => {
  const cases: [string, string, RegExp, Readonly<Record<string, string>>?][] = [
    ['driver-mismatch', 'echo "Failed to initialize NVML: Driver/library version mismatch"; exit 18', /updated and the old one is still loaded/],
    ['driver-not-running', 'echo "NVIDIA-SMI has failed because it couldn\'t communicate with the NVIDIA driver. Make sure that the latest NVIDIA driver is installed and running."; exit 9', /not loaded/],
    ['no-device-nodes', 'echo "NVIDIA-SMI couldn\'t find libnvidia-ml.so library in your system."; exit 12', /container/, { '/.dockerenv': '' }],
    ['no-device-nodes', 'echo "Failed to initialize NVML: Unknown Error"; exit 255', /\/dev\/nvidiactl/, DRIVER],
    ['not-permitted', 'echo "Insufficient Permissions"; exit 4', /may not use/],
    ['no-gpu', 'echo "No devices were found"; exit 6', /No NVIDIA GPU/],
    ['no-gpu', 'echo "No devices were found"', /No NVIDIA GPU/],
    ['driver-not-running', 'echo "Unable to determine the device handle for GPU 0000:01:00.0: GPU is lost.  Reboot the system to recover this GPU"; exit 15', /was lost/],
    ['nvidia-smi-failed', 'echo "Failed to initialize NVML: Something new." >&2; exit 77', /failed with 77: Failed to initialize NVML: Something new$/],
    ['nvidia-smi-unreadable', 'echo "<html>not what you think</html>"', /can't read: "<html>/],
    ['nvidia-smi-unreadable', 'echo "0, GPU-1, not a version, x"', /can't read/],
    ['nvidia-smi-unreadable', 'head -c 3000 /dev/zero | tr "\\\\0" "x"', /can't read/],
  ];
  for (const [code, script, words, files] of cases) {
    const found = await problem(tool(script), files);
    assert.equal(found.code, code, script);
    assert.match(found.message, words);
    assert.ok(found.message.length < 300);
  }
});

test('an nvidia-smi that hangs is given up, and ended', async () => {
  const environment = tool(`echo $$ >> ${folder}/pids; exec sleep 300`);
  const began = Date.now();
  const report = await findNvidiaGpus(environment, system(), 2000);
  assert.ok('problem' in report);
  assert.equal(report.problem.code, 'nvidia-smi-hangs');
  assert.match(report.problem.message, /no answer within 2 s/);
  assert.ok(Date.now() - began < 5000);
  const pids = readFileSync(path.join(folder, 'pids'), 'utf8').trim().split('\n');
  assert.equal(pids.length, 3);
  for (const pid of pids) assert.equal(await isGone(Number(pid)), true);
});

test('an nvidia-smi that can\'t be ended is not waited for, and keeps no process alive', async () => {
  // What outlives SIGKILL can't be made here: the asker's signals reach nobody instead. A grandchild keeps the pipes open as well.
  const environment = tool(`sleep 300 &\necho $! $$ >> ${folder}/pids\nexec sleep 300`);
  const asker = path.join(folder, 'asker.cjs');
  await build({
    stdin: {
      contents: `import { ChildProcess } from 'node:child_process';
        import { findNvidiaGpus } from './src/engine/nvidia.js';
        ChildProcess.prototype.kill = () => true;
        findNvidiaGpus(process.env, undefined, 2000).then((report) => { console.log(JSON.stringify(report)); });`,
      resolveDir: process.cwd(),
    },
    outfile: asker, bundle: true, platform: 'node', format: 'cjs', logLevel: 'error',
  });
  const pids = (): number[] => readFileSync(path.join(folder, 'pids'), 'utf8').trim().split(/\s+/).map(Number);
  try {
    const { status, stdout } = spawnSync(process.execPath, [asker], { env: environment, encoding: 'utf8', timeout: 10_000, killSignal: 'SIGKILL' });
    assert.equal(status, 0, 'the process that asked ends by itself');
    assert.match(stdout, /nvidia-smi-hangs.*no answer within 2 s/);
    assert.equal(pids().length, 6);
    for (const pid of pids()) process.kill(pid, 0); // still there
  } finally {
    for (const pid of pids()) process.kill(pid, 'SIGKILL');
  }
});

/** Whether a process ends within two seconds: one that was killed is listed until its parent has heard of it. */
async function isGone(pid: number): Promise<boolean> {
  for (let waited = 0; waited < 2000; waited += 20) {
    try {
      process.kill(pid, 0);
    } catch (error) {
      return (error as NodeJS.ErrnoException).code === 'ESRCH';
    }
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
  return false;
}

test('a nvidia-smi in a relative folder of PATH is not run', { skip: existsSync('/usr/bin/nvidia-smi') ? 'this machine has nvidia-smi' : false }, async () => {
  tool(`touch ${folder}/sprung`);
  const home = process.cwd();
  process.chdir(folder);
  try {
    assert.equal((await problem({ PATH: `bin:.:${path.join(folder, 'nothing')}` })).code, 'no-gpu');
  } finally {
    process.chdir(home);
  }
  assert.equal(existsSync(path.join(folder, 'sprung')), false);
});

test('a sample is utilization and memory, or nothing', async () => {
  assert.deepEqual(
    await sampleGpu('GPU-1111-aa', tool('[ "$1" = --id=GPU-1111-aa ] && echo "87, 1024, 24564"')),
    { utilization: 0.87, usedBytes: 2 ** 30, totalBytes: 24_564 * 2 ** 20 },
  );
  assert.deepEqual(await sampleGpu('GPU-1', tool('echo "[N/A], 1024, 24564"')), { utilization: undefined, usedBytes: 2 ** 30, totalBytes: 24_564 * 2 ** 20 });
  assert.equal(await sampleGpu('GPU-1', tool('echo nonsense')), undefined);
  assert.equal(await sampleGpu('GPU-1', tool('exit 1')), undefined);
});

test('a run\'s sampler asks again and again, and gives up on a tool that is gone', async () => {
  const bad = path.join(folder, 'bad');
  const environment = tool(`[ -e ${bad} ] && exit 1\necho "50, 1024, 24564"`);
  const samples: number[] = [];
  const given = new Promise<void>((resolve) => {
    new GpuSampler({
      uuid: 'GPU-1', environment, intervalMs: 5, onGivenUp: resolve,
      onSample: ({ utilization }) => {
        samples.push(utilization ?? NaN);
        if (samples.length === 3) writeFileSync(bad, '');
      },
    });
  });
  const alive = setInterval(() => undefined, 1000); // the sampler keeps no process alive
  await given;
  clearInterval(alive);
  assert.deepEqual(samples, [0.5, 0.5, 0.5]);
  const stopped = new GpuSampler({ uuid: 'GPU-1', environment, intervalMs: 5, onGivenUp: () => assert.fail('given up'), onSample: () => assert.fail('asked after its end') });
  stopped.stop();
  rmSync(bad);
  await new Promise((resolve) => setTimeout(resolve, 100));
});

test('the device that TensorFlow may see: the chosen one, none where it would fail, its own luck where nobody knows', { skip: process.platform === 'linux' ? false : 'nvidia-smi is asked on Linux only' }, async () => {
  const both = tool(answers({ gpus: `${RTX}\n${T4}` }));
  assert.equal((await chooseDevice('auto', both)).visibleDevices, 'GPU-1111-aa');
  assert.equal((await chooseDevice('auto', { ...both, THAW_GPU: '1' })).visibleDevices, '-1');
  assert.equal((await chooseDevice('auto', { ...both, THAW_GPU: '1' }, { evenFull: true })).visibleDevices, 'GPU-2222-bb');
  assert.equal((await chooseDevice('cpu', both)).visibleDevices, '-1');
  assert.equal((await chooseDevice('auto', tool('exit 77'))).visibleDevices, '0');
  assert.equal((await chooseDevice('auto', { ...tool('exit 77'), CUDA_VISIBLE_DEVICES: '3' })).visibleDevices, '3');
});

test('why no GPU is used is said in the device\'s line', async () => {
  const facts = { usesGpu: false, flavour: 'cuda', choice: 'auto', threads: 2 } as const;
  const full = await chooseDevice('auto', tool(answers({ gpus: T4 })));
  assert.match(describeDevice({ ...facts, gpu: full }).reason ?? '', /^the Tesla T4 is full/);
  assert.throws(() => describeDevice({ ...facts, choice: 'gpu', gpu: full }), (error) => error instanceof ThawError && error.code === 'no-gpu' && /asks for a GPU, but the Tesla T4 is full/.test(error.message));
  const chosen = await chooseDevice('auto', tool(answers({ gpus: RTX })));
  assert.match(describeDevice({ ...facts, gpu: chosen }).reason ?? '', /can't use the NVIDIA GeForce RTX 4090/);
  assert.deepEqual(describeDevice({ ...facts, usesGpu: true, gpu: chosen }), { kind: 'gpu', name: 'NVIDIA GeForce RTX 4090, 24 GiB', threads: 2, memoryBytes: 24_564 * 2 ** 20 });
  assert.equal(describeDevice({ ...facts, usesGpu: true }).name, 'NVIDIA GPU (nvidia-smi does not say which)');
});
