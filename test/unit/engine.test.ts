// The engine's parts that need no TensorFlow: what is found where, what is said of a device, which platform may, what a wheel may hold.
import assert from 'node:assert/strict';
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, test } from 'node:test';
import { deflateRawSync } from 'node:zlib';
import type { Tensor } from '@tensorflow/tfjs';
import { placeAddon } from '../../src/engine/addon.js';
import { memoryCapConfig } from '../../src/engine/contextConfig.js';
import { describeDevice, deviceChoice, gpuMemoryCap, precisionChoice } from '../../src/engine/device.js';
import { checkGlibc, systemGlibc } from '../../src/engine/glibc.js';
import type { OperationBackend } from '../../src/engine/kernels.js';
import { hasAvx512, useOneDnn } from '../../src/engine/oneDnn.js';
import { Pace } from '../../src/engine/pace.js';
import { ADDON_FILE, LIBRARY_FILES, LIBRARY_FOLDER, pinsFor, sizesOf, TENSORFLOW_VERSION } from '../../src/engine/pins.js';
import { extractFromWheel, pipEnvironment, pipError, requireSpace } from '../../src/engine/pipWheel.js';
import { keepsOffCuda, findRuntime, MANIFEST_FILE, PROOF_FILE, providedCuda, providedRuntimeFolder } from '../../src/engine/runtime.js';
import { ThawError } from '../../src/protocol/errors.js';
import { crc32 } from '../../src/storage/crc32.js';

let folder: string;
beforeEach(() => { folder = mkdtempSync(path.join(tmpdir(), 'thaw-engine-')); });
afterEach(() => { rmSync(folder, { recursive: true, force: true }); });

function withCode(code: string, words?: RegExp): (error: unknown) => boolean {
  return (error) => error instanceof ThawError && error.code === code && error.next !== '' && (words === undefined || words.test(error.message));
}

/** A folder as a Python package leaves it: libraries without a manifest. */
function makeLibraries(directory: string): void {
  mkdirSync(path.join(directory, LIBRARY_FOLDER), { recursive: true });
  for (const file of LIBRARY_FILES) writeFileSync(path.join(directory, LIBRARY_FOLDER, file), file);
}

/** A runtime as the set-up leaves it. */
function makeProvided(environment: NodeJS.ProcessEnv, change: object = {}): string {
  const directory = providedRuntimeFolder(environment);
  makeLibraries(directory);
  writeFileSync(path.join(directory, LIBRARY_FOLDER, ADDON_FILE), 'addon');
  writeFileSync(path.join(directory, MANIFEST_FILE), JSON.stringify({
    schemaVersion: 1, tensorflow: TENSORFLOW_VERSION, flavour: 'cpu', wheel: { file: 'a.whl', sha256: '00' },
    files: LIBRARY_FILES.map((file) => ({ path: `${LIBRARY_FOLDER}/${file}`, bytes: file.length, sha256: '00' })),
    ...change,
  }));
  return directory;
}

test('a provided runtime is found, and only when it is whole', () => {
  const environment = { THAW_HOME: folder };
  assert.equal(findRuntime({ environment }), undefined);
  const directory = makeProvided(environment);
  assert.deepEqual(findRuntime({ environment }), { directory, flavour: 'cpu', version: TENSORFLOW_VERSION, source: 'cache' });

  for (const damage of [
    () => writeFileSync(path.join(directory, LIBRARY_FOLDER, LIBRARY_FILES[0]), 'short'),
    () => rmSync(path.join(directory, LIBRARY_FOLDER, LIBRARY_FILES[1])),
    () => rmSync(path.join(directory, LIBRARY_FOLDER, ADDON_FILE)),
    () => rmSync(path.join(directory, MANIFEST_FILE)),
    () => writeFileSync(path.join(directory, MANIFEST_FILE), '{"schemaVersion":1'),
    () => makeProvided(environment, { tensorflow: '2.9.1' }),
    () => makeProvided(environment, { files: [] }),
  ]) {
    makeProvided(environment);
    damage();
    assert.equal(findRuntime({ environment }), undefined);
  }
});

test('a configured folder is taken, or refused by name: never another one instead', () => {
  makeProvided({ THAW_HOME: folder });
  const named = path.join(folder, 'mine');
  assert.throws(() => findRuntime({ environment: { THAW_HOME: folder, THAW_RUNTIME: named } }), withCode('runtime-not-found', /mine/));
  assert.throws(() => findRuntime({ environment: { THAW_HOME: folder, THAW_RUNTIME: 'mine' } }), withCode('runtime-not-found', /absolute/));
  makeLibraries(named);
  assert.deepEqual(findRuntime({ environment: { THAW_HOME: folder, THAW_RUNTIME: named } }), { directory: named, flavour: 'cpu', version: 'unknown', source: 'configured' });
  mkdirSync(path.join(named, 'nvidia', 'cublas', 'lib'), { recursive: true });
  mkdirSync(path.join(named, 'tensorflow-2.21.0.dist-info'));
  assert.deepEqual(findRuntime({ configured: named, environment: { THAW_RUNTIME: '/nowhere' } }), { directory: named, flavour: 'cuda', version: '2.21.0', source: 'configured' });
});

test('what keeps training off the CUDA build is a folder that is set, unless it is that build\'s, and the choice of the CPU', () => {
  const home = { THAW_HOME: folder };
  assert.deepEqual(keepsOffCuda({ ...home, THAW_RUNTIME: '', THAW_DEVICE: 'gpu' }), []);
  assert.deepEqual(keepsOffCuda({ ...home, THAW_RUNTIME: `${providedRuntimeFolder(home, 'cuda')}/` }), []);
  assert.deepEqual(keepsOffCuda({ ...home, THAW_RUNTIME: providedRuntimeFolder(home), THAW_DEVICE: 'cpu' }), ['THAW_RUNTIME', 'THAW_DEVICE']);
});

test('the pins say which platform is supported, and why another is not', () => {
  const [{ wheel, files }] = pinsFor('cpu', 'linux-x64').packages;
  assert.equal(wheel.bytes, 274_000_871);
  assert.deepEqual(files.map((file) => file.path), LIBRARY_FILES.map((file) => `${LIBRARY_FOLDER}/${file}`));
  assert.throws(() => pinsFor('cpu', 'linux-arm64'), withCode('unsupported-platform', /no addon for Linux on ARM, and it is untested/));
  assert.throws(() => pinsFor('cpu', 'darwin-arm64'), withCode('unsupported-platform', /macOS/));
  assert.throws(() => pinsFor('cuda', 'darwin-arm64'), withCode('unsupported-platform', /no CUDA on macOS/));
  assert.throws(() => pinsFor('cuda', 'win32-x64'), (error) => error instanceof ThawError && /Windows itself/.test(error.message) && /WSL/.test(error.next));
  assert.throws(() => pinsFor('cpu', 'sunos-x64'), withCode('unsupported-platform', /sunos-x64/));
  assert.throws(() => pinsFor('cpu', 'constructor'), withCode('unsupported-platform'));
});

test('the CUDA build is TensorFlow and the twelve packages that it declares, each pinned', () => {
  const { packages } = pinsFor('cuda', 'linux-x64');
  // Requires-Dist of tensorflow 2.21.0 with the extra and-cuda: name, least version, first version too new.
  const declared: readonly [string, string, string][] = [
    ['nvidia-cublas-cu12', '12.5.3.2', '13'], ['nvidia-cuda-cupti-cu12', '12.5.82', '13'], ['nvidia-cuda-nvcc-cu12', '12.5.82', '13'],
    ['nvidia-cuda-nvrtc-cu12', '12.5.82', '13'], ['nvidia-cuda-runtime-cu12', '12.5.82', '13'], ['nvidia-cudnn-cu12', '9.3.0.75', '10'],
    ['nvidia-cufft-cu12', '11.2.3.61', '12'], ['nvidia-curand-cu12', '10.3.6.82', '11'], ['nvidia-cusolver-cu12', '11.6.3.83', '12'],
    ['nvidia-cusparse-cu12', '12.5.1.3', '13'], ['nvidia-nccl-cu12', '2.27.7', '3'], ['nvidia-nvjitlink-cu12', '12.5.82', '13'],
  ];
  assert.deepEqual(packages.map(({ wheel }) => wheel.project), ['tensorflow', ...declared.map(([project]) => project)]);
  const compare = (a: string, b: string): number => {
    const [left, right] = [a, b].map((version) => version.split('.').map(Number)) as [number[], number[]];
    for (let at = 0; at < Math.max(left.length, right.length); at++) if ((left[at] ?? 0) !== (right[at] ?? 0)) return (left[at] ?? 0) - (right[at] ?? 0);
    return 0;
  };
  for (const [index, [project, least, tooNew]] of declared.entries()) {
    const { version } = packages[index + 1]!.wheel;
    assert.ok(compare(version, least) >= 0 && compare(version, tooNew) < 0, `${project} ${version}`);
  }
  for (const { wheel, files } of packages) {
    assert.match(wheel.sha256, /^[0-9a-f]{64}$/);
    assert.ok(wheel.file.startsWith(`${wheel.project.replaceAll('-', '_')}-${wheel.version}-`) && wheel.file.endsWith('.whl'), wheel.file);
    assert.ok(files.length > 0 && files.every((file) => /^(?:tensorflow\/libtensorflow|nvidia\/\w+\/lib\/lib|nvidia\/cuda_nvcc\/(?:bin|nvvm)\/)/.test(file.path)), wheel.file);
  }
  assert.deepEqual(packages.flatMap(({ files }) => files.filter(({ executable }) => executable)).map((file) => file.path), ['nvidia/cuda_nvcc/bin/ptxas']);
  const { downloadBytes, keptBytes, largestBytes } = sizesOf({ packages });
  assert.deepEqual([downloadBytes, keptBytes, largestBytes], [3_370_039_940, 5_202_960_280, 706_758_467]);
});

test('the speed is that of the last seconds, and what was there before counts as none', () => {
  const pace = new Pace();
  assert.deepEqual(pace.at(500, 1000, 0), { doneBytes: 500, totalBytes: 1000 });
  assert.deepEqual(pace.at(510, 1000, 500), { doneBytes: 510, totalBytes: 1000 }, 'too early to tell');
  assert.deepEqual(pace.at(600, 1000, 2000), { doneBytes: 600, totalBytes: 1000, bytesPerSecond: 50, secondsLeft: 8 });
  for (let second = 3; second <= 20; second++) pace.at(600 + (second - 2), 1000, second * 1000);
  assert.equal(Math.round(pace.at(619, 1000, 21_000).bytesPerSecond!), 1);
  assert.equal(pace.at(1000, 1000, 21_500).secondsLeft, 0);
});

test('the CUDA build is trained on once a GPU has proved itself with it, and never where the CPU is chosen', () => {
  const environment = { THAW_HOME: folder };
  const cpu = makeProvided(environment);
  const cuda = providedRuntimeFolder(environment, 'cuda');
  makeLibraries(cuda);
  writeFileSync(path.join(cuda, LIBRARY_FOLDER, ADDON_FILE), 'addon');
  writeFileSync(path.join(cuda, MANIFEST_FILE), JSON.stringify({
    schemaVersion: 1, tensorflow: TENSORFLOW_VERSION, flavour: 'cuda', wheel: { file: 'a.whl', sha256: '00' }, companions: [{ file: 'b.whl', sha256: '00' }],
    files: LIBRARY_FILES.map((file) => ({ path: `${LIBRARY_FOLDER}/${file}`, bytes: file.length, sha256: '00' })),
  }));
  assert.equal(findRuntime({ environment })?.directory, cpu);
  assert.equal(providedCuda(environment)?.runtime.directory, cuda);
  for (const nothing of ['', '{"schemaVersion":1', '{"schemaVersion":2}', 'null']) {
    writeFileSync(path.join(cuda, PROOF_FILE), nothing);
    assert.equal(findRuntime({ environment })?.directory, cpu);
  }
  writeFileSync(path.join(cuda, PROOF_FILE), JSON.stringify({ schemaVersion: 1, provedAt: '2026-11-25T00:00:00Z', device: 'NVIDIA A100', error: 1e-6, gpuImagesPerSecond: 900, cpuImagesPerSecond: 30 }));
  assert.deepEqual(findRuntime({ environment }), { directory: cuda, flavour: 'cuda', version: TENSORFLOW_VERSION, source: 'cache' });
  assert.equal(findRuntime({ environment: { ...environment, THAW_DEVICE: 'cpu' } })?.directory, cpu);
  rmSync(path.join(cuda, LIBRARY_FOLDER, LIBRARY_FILES[0]));
  assert.equal(findRuntime({ environment })?.directory, cpu, 'a damaged one is none');
});

test('a memory cap is a ConfigProto as protocol buffers write it', () => {
  // config_pb2.ConfigProto(gpu_options=config_pb2.GPUOptions(per_process_gpu_memory_fraction=0.25, allow_growth=True)).SerializeToString().hex()
  assert.equal(memoryCapConfig(0.25), '320b09000000000000d03f2001');
  assert.equal(gpuMemoryCap({ THAW_GPU_MEMORY_GIB: '1.5' }), 1.5 * 2 ** 30);
  assert.equal(gpuMemoryCap({}), undefined);
  assert.throws(() => gpuMemoryCap({ THAW_GPU_MEMORY_GIB: '-1' }), withCode('bad-environment', /-1/));
});

test('an old or another C library is told from a new one', () => {
  const tags = ['manylinux_2_27_x86_64'];
  checkGlibc(tags, 'tensorflow-cpu', '2.27');
  checkGlibc(tags, 'tensorflow-cpu', '3.0');
  assert.throws(() => checkGlibc(tags, 'tensorflow-cpu', '2.17'), withCode('old-glibc', /needs glibc 2\.27.*has glibc 2\.17/));
  assert.throws(() => checkGlibc(tags, 'tensorflow-cpu', '2.9'), withCode('old-glibc'));
  assert.throws(() => checkGlibc(tags, 'tensorflow-cpu', ''), withCode('old-glibc', /another C library/));
  checkGlibc(['manylinux_2_35_x86_64', 'manylinux_2_17_x86_64'], 'either', '2.17');
  checkGlibc(['win_amd64'], 'tensorflow-cpu', '');
  if (process.platform === 'linux') assert.match(systemGlibc() ?? 'musl', /^\d+\.\d+|^musl$/);
});

test('a device that is no GPU is described in plain words', () => {
  const cpu = { usesGpu: false, flavour: 'cpu', choice: 'auto', threads: 2 } as const;
  assert.deepEqual(describeDevice(cpu), { kind: 'cpu', name: 'CPU (2 threads)', reason: 'this TensorFlow is the CPU build', threads: 2 });
  assert.equal(describeDevice({ ...cpu, threads: 1 }).name, 'CPU (1 thread)');
  assert.equal(describeDevice({ ...cpu, flavour: 'cuda' }).reason, 'no NVIDIA GPU found');
  assert.equal(describeDevice({ ...cpu, flavour: 'cuda', choice: 'cpu' }).reason, 'THAW_DEVICE=cpu');
  assert.throws(() => describeDevice({ ...cpu, choice: 'gpu' }), withCode('no-gpu', /CPU build/));
});

test('THAW_DEVICE is one of three words', () => {
  assert.equal(deviceChoice({}), 'auto');
  assert.equal(deviceChoice({ THAW_DEVICE: 'gpu' }), 'gpu');
  assert.throws(() => deviceChoice({ THAW_DEVICE: 'tpu' }), withCode('bad-environment', /tpu/));
  assert.equal(precisionChoice({}), 'auto');
  assert.equal(precisionChoice({ THAW_PRECISION: 'float32' }), 'float32');
  assert.throws(() => precisionChoice({ THAW_PRECISION: 'float16' }), withCode('bad-environment', /float16/));
});

test('pip gets the way to an index, and nothing that changes what Python runs', () => {
  assert.deepEqual(
    pipEnvironment({
      PATH: ['/usr/bin', '.', '', 'bin'].join(path.delimiter), HOME: '/home/me', https_proxy: 'http://proxy', PIP_INDEX_URL: 'https://mirror/simple', PIP_CONFIG_FILE: '/etc/pip.conf',
      PYTHONPATH: '/evil', PYTHONSTARTUP: '/evil.py', PIP_TARGET: '/elsewhere', PIP_REQUIRE_VIRTUALENV: '1', LD_PRELOAD: '/evil.so', NODE_OPTIONS: '--x', THAW_HOME: '/t',
    }),
    { PATH: '/usr/bin', HOME: '/home/me', https_proxy: 'http://proxy', PIP_INDEX_URL: 'https://mirror/simple', PIP_CONFIG_FILE: '/etc/pip.conf' },
  );
});

test('what pip says becomes one sentence', () => {
  const cases: [string, string, RegExp][] = [
    ['no-pip', '/usr/bin/python3: No module named pip', /no pip/],
    ['disk-full', "ERROR: Could not install packages due to an OSError: [Errno 28] No space left on device", /disk/],
    ['no-network', `WARNING: Retrying (Retry(total=0)) after connection broken by 'NewConnectionError('<HTTPSConnection>: Failed to establish a new connection: [Errno -2] Name or service not known')': /simple/x/
ERROR: Could not find a version that satisfies the requirement x==1 (from versions: none)
ERROR: No matching distribution found for x==1`, /can't be reached \(Name or service not known\)/],
    ['no-network', "WARNING: Retrying after connection broken by 'ProxyError('Cannot connect to proxy.', OSError('Tunnel connection failed: 403 Forbidden'))'", /Tunnel connection failed: 403 Forbidden/],
    ['not-on-index', 'ERROR: Could not find a version that satisfies the requirement x==1 (from versions: 0.9)\nERROR: No matching distribution found for x==1', /has no x 1/],
    ['pip-failed', 'ERROR: something new', /something new/],
    ['pip-failed', '', /ended with 2/],
  ];
  for (const [code, output, words] of cases) {
    const error = pipError(output, 2, 'x 1');
    assert.equal(error.code, code, output);
    assert.match(error.message, words);
    assert.doesNotMatch(error.message + error.next, /\n|\.$/);
  }
});

test('too little space is said with both numbers', async () => {
  await requireSpace(folder, 1, 'for nothing');
  await assert.rejects(requireSpace(folder, 2 ** 60, 'to fetch much'), withCode('disk-full', /has \d+ MiB free; \d+ MiB are needed to fetch much/));
});

test('the addon is replaced when it differs, whole, and never through a link', async () => {
  const addon = path.join(folder, 'new.node');
  writeFileSync(addon, 'new');
  const libraries = path.join(folder, 'libraries');
  mkdirSync(libraries);
  const precious = path.join(folder, 'precious');
  writeFileSync(precious, 'precious');
  symlinkSync(precious, path.join(libraries, ADDON_FILE));
  assert.equal(await placeAddon(addon, libraries), true);
  assert.equal(readFileSync(path.join(libraries, ADDON_FILE), 'utf8'), 'new');
  assert.equal(readFileSync(precious, 'utf8'), 'precious');
  assert.equal(await placeAddon(addon, libraries), false);
});

/** A zip archive, written out here so that it can lie. */
function zipOf(entries: { name: string; content: Buffer; crc?: number; statedSize?: number }[]): Buffer {
  const parts: Buffer[] = [];
  const directory: Buffer[] = [];
  let offset = 0;
  for (const { name, content, crc = crc32(content), statedSize = content.length } of entries) {
    const packed = deflateRawSync(content);
    const fields = Buffer.alloc(26);
    fields.writeUInt16LE(20, 0);
    fields.writeUInt16LE(8, 4);
    fields.writeUInt32LE(crc, 10);
    fields.writeUInt32LE(packed.length, 14);
    fields.writeUInt32LE(statedSize, 18);
    fields.writeUInt16LE(Buffer.byteLength(name), 22);
    const local = Buffer.concat([Buffer.from('PK\x03\x04'), fields, Buffer.from(name), packed]);
    const central = Buffer.alloc(46);
    central.write('PK\x01\x02');
    central.writeUInt16LE(20, 4);
    fields.copy(central, 6);
    central.writeUInt32LE(offset, 42);
    directory.push(Buffer.concat([central, Buffer.from(name)]));
    parts.push(local);
    offset += local.length;
  }
  const listing = Buffer.concat(directory);
  const end = Buffer.alloc(22);
  end.write('PK\x05\x06');
  end.writeUInt16LE(entries.length, 8);
  end.writeUInt16LE(entries.length, 10);
  end.writeUInt32LE(listing.length, 12);
  end.writeUInt32LE(offset, 16);
  return Buffer.concat([...parts, listing, end]);
}

test('a wheel gives only what is wanted, to where it is wanted', async () => {
  const wheel = path.join(folder, 'a.whl');
  const library = Buffer.from('library '.repeat(10_000));
  writeFileSync(wheel, zipOf([{ name: 'tensorflow/other.py', content: Buffer.from('x') }, { name: 'tensorflow/a.so', content: library }]));
  const seen: number[] = [];
  const extracted = await extractFromWheel(wheel, (entry) => (entry === 'tensorflow/a.so' ? path.join(folder, 'out', 'a.so') : undefined), { onProgress: (bytes) => seen.push(bytes) });
  assert.deepEqual(extracted.map(({ entry, bytes }) => [entry, bytes]), [['tensorflow/a.so', library.length]]);
  assert.ok(readFileSync(path.join(folder, 'out', 'a.so')).equals(library));
  assert.equal(seen.at(-1), library.length);
});

test('a wheel that lies is refused', async () => {
  const wheel = path.join(folder, 'a.whl');
  const out = path.join(folder, 'out', 'a.so');
  const content = Buffer.from('library');
  const refused = async (archive: Buffer, options: { maxBytes?: number } = {}): Promise<void> => {
    writeFileSync(wheel, archive);
    rmSync(path.dirname(out), { recursive: true, force: true });
    await assert.rejects(extractFromWheel(wheel, () => out, options), withCode('wheel-damaged'));
  };
  await refused(zipOf([{ name: '../../evil', content }]));
  await refused(zipOf([{ name: '/evil', content }]));
  await refused(zipOf([{ name: 'a.so', content, crc: 1 }]));
  await refused(zipOf([{ name: 'a.so', content, statedSize: 3 }]));
  await refused(zipOf([{ name: 'a.so', content, statedSize: 30 }]));
  await refused(zipOf([{ name: 'a.so', content }]), { maxBytes: 6 });
  await refused(zipOf([{ name: 'a.so', content }]).subarray(0, 60));
  await refused(Buffer.from('not an archive'));
  const whole = zipOf([{ name: 'a.so', content: Buffer.from('library '.repeat(100)) }]);
  whole.fill(0xff, 36, 46);
  await refused(whole);
  assert.equal(existsSync(path.join(folder, '..', 'evil')), false);
});

test('an existing file is not overwritten, and a cancelled unpacking says so', async () => {
  const wheel = path.join(folder, 'a.whl');
  const out = path.join(folder, 'a.so');
  writeFileSync(wheel, zipOf([{ name: 'a.so', content: Buffer.from('library') }]));
  writeFileSync(out, 'mine');
  await assert.rejects(extractFromWheel(wheel, () => out), { code: 'EEXIST' });
  assert.equal(readFileSync(out, 'utf8'), 'mine');
  await assert.rejects(extractFromWheel(wheel, () => `${out}2`, { signal: AbortSignal.abort() }), withCode('cancelled'));
});

test('oneDNN takes over the operations that it is faster at, and none where the library has no such kernels', () => {
  const shaped = (...shape: number[]): Tensor => ({ shape, dispose: () => undefined }) as unknown as Tensor;
  const probe = { x: shaped(1, 2, 2, 1), filter: shaped(2, 2, 1, 1) };
  const backendWith = (oneDnn: boolean): { backend: OperationBackend; ran: string[] } => {
    const ran: string[] = [];
    const run = (name: string, attributes: readonly { name: string; value: unknown }[]): void => {
      const labelled = attributes.some((attribute) => attribute.name === '_kernel' && attribute.value === 'MklNameChangeOp');
      assert.equal(labelled, name.startsWith('_Mkl'), name);
      if (labelled && !oneDnn) throw new Error(`Op type not registered '${name}'`);
      ran.push(name);
    };
    const binding = { TF_ATTR_TYPE: 0, TF_ATTR_FLOAT: 1, TF_ATTR_INT: 2, TF_ATTR_STRING: 3, TF_ATTR_BOOL: 4, TF_FLOAT: 1 };
    const backend: OperationBackend = {
      binding,
      executeSingleOutput: (name, attributes) => { run(name, attributes); return shaped(1); },
      executeMultipleOutputs: (name, attributes) => { run(name, attributes); return [shaped(1)]; },
    };
    return { backend, ran };
  };
  const operations = (backend: OperationBackend): void => {
    backend.executeSingleOutput('DepthwiseConv2dNative', [], [shaped(1, 8, 8, 16), shaped(3, 3, 16, 1)]);
    backend.executeSingleOutput('_FusedDepthwiseConv2dNative', [], [shaped(1, 8, 8, 16), shaped(3, 3, 16, 1), shaped(16)]);
    backend.executeSingleOutput('DepthwiseConv2dNativeBackpropFilter', [], [shaped(1, 8, 8, 16), shaped(4), shaped(1, 8, 8, 16)]);
    for (const channels of [3, 64]) backend.executeSingleOutput('_FusedConv2D', [], [shaped(1, 8, 8, channels), shaped(3, 3, channels, 8), shaped(8)]);
    for (const [kernel, channels] of [[3, 256], [3, 64], [1, 256]] as const) {
      backend.executeSingleOutput('Conv2DBackpropInput', [], [shaped(4), shaped(kernel, kernel, channels, 8), shaped(1, 8, 8, 8)]);
    }
    backend.executeMultipleOutputs('FusedBatchNormV3', [], [shaped(1, 8, 8, 16)], 6);
    backend.executeMultipleOutputs('FusedBatchNormGradV3', [], [shaped(1, 8, 8, 16)], 5);
  };

  const able = backendWith(true);
  assert.equal(useOneDnn(able.backend, probe, false), true);
  able.ran.length = 0;
  operations(able.backend);
  assert.deepEqual(able.ran, [
    '_MklNativeDepthwiseConv2dNative', '_MklNativeFusedDepthwiseConv2dNative', 'DepthwiseConv2dNativeBackpropFilter', '_MklNativeFusedConv2D', '_FusedConv2D',
    '_MklNativeConv2DBackpropInput', 'Conv2DBackpropInput', 'Conv2DBackpropInput', '_MklNativeFusedBatchNormV3', '_MklNativeFusedBatchNormGradV3',
  ]);

  const wide = backendWith(true);
  assert.equal(useOneDnn(wide.backend, probe, true), true);
  wide.ran.length = 0;
  operations(wide.backend);
  assert.deepEqual(wide.ran.filter((name) => !name.startsWith('_Mkl')), ['DepthwiseConv2dNativeBackpropFilter'], 'with AVX-512 all but this one');
  assert.equal(hasAvx512('processor : 0\nflags\t\t: fpu avx2 avx512f avx512_vnni\n'), true);
  assert.equal(hasAvx512('processor : 0\nmodel name : avx512f\nflags : fpu avx2 avx512fp\n'), false);

  const unable = backendWith(false);
  assert.equal(useOneDnn(unable.backend, probe, false), false);
  operations(unable.backend);
  assert.ok(unable.ran.length === 10 && unable.ran.every((name) => !name.startsWith('_Mkl')), unable.ran.join());
});
